//! An HTTP server that answers each request with the next line of a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens to one request.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A whole answer; `headers` are lines that end in CRLF.
    Http {
        status: u16,
        headers: String,
        body: Vec<u8>,
    },
    /// The connection is reset.
    Reset,
    /// The connection is closed without a word.
    Close,
    /// The connection is closed in the middle of the body.
    Truncated,
    /// Nothing, until the client gives up.
    Silence,
    /// One byte of the body at a time, for longer than anybody waits.
    Drip,
}

impl Answer {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::Http {
            status,
            headers: "Content-Type: application/json\r\n".to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    pub(super) fn limited(retry_after: &str) -> Self {
        Self::Http {
            status: 429,
            headers: format!("Retry-After: {retry_after}\r\n"),
            body: Vec::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Play {
    script: VecDeque<Answer>,
    requests: Vec<String>,
}

/// The server; it ends with its owner.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    play: Arc<Mutex<Play>>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let play = Arc::new(Mutex::new(Play {
            script: script.into_iter().collect(),
            requests: Vec::new(),
        }));
        let shared = Arc::clone(&play);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            play,
            accepting,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds to the script.
    pub(super) fn then(&self, more: impl IntoIterator<Item = Answer>) {
        self.play.lock().unwrap().script.extend(more);
    }

    /// The requests so far, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.play.lock().unwrap().requests.clone()
    }

    /// Closes the port.
    pub(super) async fn stop(self) {
        self.accepting.abort();
        while !self.accepting.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, play: Arc<Mutex<Play>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let mut request = String::from_utf8(head).unwrap();
    // A body that nobody reads would reset the connection under the answer.
    let mut body = vec![0; length_of(&request)];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    request.push_str(std::str::from_utf8(&body).unwrap());
    let answer = {
        let mut play = play.lock().unwrap();
        play.requests.push(request);
        play.script.pop_front()
    };
    // The client may have gone, which is what some tests are about.
    let _ = perform(stream, answer.expect("the script covers every request")).await;
}

fn length_of(head: &str) -> usize {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    length.map_or(0, |length| length.trim().parse().unwrap())
}

async fn perform(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    const LONG: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{";
    match answer {
        Answer::Http {
            status,
            headers,
            body,
        } => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {length}\r\n\
                 Connection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Answer::Reset => stream.set_zero_linger(),
        Answer::Close => stream.shutdown().await,
        Answer::Truncated => {
            stream.write_all(LONG).await?;
            stream.shutdown().await
        }
        Answer::Silence => stream.read_u8().await.map(drop),
        Answer::Drip => {
            stream.write_all(LONG).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                stream.write_all(b" ").await?;
            }
        }
    }
}
