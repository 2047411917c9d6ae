//! An HTTP client that writes what a test says, byte by byte if need be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No answer takes longer than this, not even that of a slow client.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Reply {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The member `code` of the problem document.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        document["code"].as_str().unwrap().to_owned()
    }
}

/// Posts a body to the webhook path.
pub(crate) async fn post(to: SocketAddr, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut request = head("POST", "/webhooks/midtrans", body.len()).into_bytes();
    request.extend_from_slice(body);
    raw(to, &request)
        .await
        .expect("the connection was closed without an answer")
}

/// Gets a path.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    raw(to, request.as_bytes())
        .await
        .expect("the connection was closed without an answer")
}

/// The head of a request after which the connection is closed.
pub(crate) fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Writes a request and reads until the service closes; `None` when there is no answer.
pub(crate) async fn raw(to: SocketAddr, request: &[u8]) -> Option<Reply> {
    let since = Instant::now();
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The service may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    read_reply(&mut stream, since).await
}

/// Reads the answer from a connection that the service then closes.
pub(crate) async fn read_reply(stream: &mut TcpStream, since: Instant) -> Option<Reply> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
    let _ = read.await.expect("no answer and no end of the connection");
    let took = since.elapsed();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
        took,
    })
}
