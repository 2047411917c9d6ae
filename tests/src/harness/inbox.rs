//! Where alerts arrive: a receiver of HTTP that stands for Resend and for a program's webhook, and
//! a mail server that speaks just enough SMTP. Both can refuse.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::ground::Port;

/// What was posted.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The path.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: String,
    /// The `Idempotency-Key` header.
    pub key: String,
    /// The JSON.
    pub body: Value,
}

/// A receiver of HTTP; it ends with this value.
#[derive(Debug)]
pub struct Inbox {
    port: Port,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Desk {
    status: AtomicU16,
    letters: Mutex<Vec<Letter>>,
}

impl Inbox {
    /// One that takes everything.
    pub async fn open() -> Self {
        let port = Port::take();
        let desk = Arc::new(Desk {
            status: AtomicU16::new(200),
            letters: Mutex::default(),
        });
        let listener = TcpListener::bind(port.addr()).await;
        let listener = listener.expect("the port was reserved for this inbox");
        let router = Router::new().fallback(take).with_state(Arc::clone(&desk));
        let serving = tokio::spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Self {
            port,
            desk,
            serving,
        }
    }

    /// Its address, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.addr())
    }

    /// Answers with this status from now on. Letters that are refused are not kept.
    pub fn answer_with(&self, status: u16) {
        self.desk.status.store(status, Ordering::SeqCst);
    }

    /// Everything that was taken, in the order of arrival.
    pub fn letters(&self) -> Vec<Letter> {
        let letters = self.desk.letters.lock();
        letters.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State(desk): State<Arc<Desk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let status = StatusCode::from_u16(desk.status.load(Ordering::SeqCst));
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let letter = Letter {
            path: uri.path().to_owned(),
            authorization: header("authorization"),
            key: header("idempotency-key"),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        };
        let letters = desk.letters.lock();
        letters.unwrap_or_else(PoisonError::into_inner).push(letter);
    }
    status
}

/// A mail server; it ends with this value.
#[derive(Debug)]
pub struct MailServer {
    port: Port,
    mails: Arc<Mutex<Vec<Mail>>>,
    accepting: JoinHandle<()>,
}

/// A mail that was taken.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// To whom it was to be delivered.
    pub receivers: Vec<String>,
    /// Head and text as they came.
    pub data: String,
}

impl MailServer {
    /// One that takes everything.
    pub async fn open() -> Self {
        let port = Port::take();
        let listener = TcpListener::bind(port.addr()).await;
        let listener = listener.expect("the port was reserved for this server");
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let taken = Arc::clone(&mails);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let taken = Arc::clone(&taken);
                tokio::spawn(async move {
                    // A client that goes away in the middle has sent no mail.
                    let _ = converse(client, &taken).await;
                });
            }
        });
        Self {
            port,
            mails,
            accepting,
        }
    }

    /// As `SMTP_URL`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.port.addr())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Everything that was taken, in the order of arrival.
    pub fn mails(&self) -> Vec<Mail> {
        let mails = self.mails.lock();
        mails.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(client: TcpStream, taken: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(client);
    stream.write_all(b"220 inbox\r\n").await?;
    let (mut mail, mut in_data) = (Mail::default(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let said = line.trim_end_matches(['\r', '\n']);
        let answer = if in_data {
            if said != "." {
                mail.data.push_str(said.strip_prefix('.').unwrap_or(said));
                mail.data.push('\n');
                continue;
            }
            in_data = false;
            let done = std::mem::take(&mut mail);
            taken
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(done);
            "250 taken"
        } else {
            match said.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" | "HELO" | "MAIL" | "RSET" | "NOOP" => "250 inbox",
                "RCPT" => {
                    mail.receivers.push(said.to_owned());
                    "250 known"
                }
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                _ => "502 not here",
            }
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
