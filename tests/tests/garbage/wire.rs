//! Bytes over TCP, as no HTTP client would send them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any limit of ingest.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a request on a connection of its own; the answer's status, `None` when the connection
/// ended without one.
pub(crate) async fn exchange(addr: SocketAddr, request: &[u8]) -> Option<u16> {
    let line = TcpStream::connect(addr).await.unwrap();
    let (mut from, mut to) = line.into_split();
    // Both at once: the answer may come, and the connection end, before everything is written.
    let write = async {
        let _ = to.write_all(request).await;
        to
    };
    let (_to, status) = tokio::join!(write, read_status(&mut from));
    status
}

/// Sends a part of a request, and then byte after byte until ingest has had enough; how that
/// ended.
pub(crate) async fn drip(addr: SocketAddr, number: usize) -> Option<u16> {
    let line = TcpStream::connect(addr).await.unwrap();
    let (mut from, mut to) = line.into_split();
    let head = "POST /webhooks/midtrans HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{";
    // Some never finish their head, some never begin it.
    let unfinished = "POST /webhooks/midtrans HTTP/1.1\r\nhost: x";
    let first = [head, unfinished, ""][number % 3];
    let write = async {
        let mut pace = tokio::time::interval(Duration::from_millis(250));
        let mut open = to.write_all(first.as_bytes()).await.is_ok();
        while open {
            pace.tick().await;
            open = first.is_empty() || to.write_all(b"x").await.is_ok();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write => None,
        status = read_status(&mut from) => status,
    }
}

async fn read_status(from: &mut tokio::net::tcp::OwnedReadHalf) -> Option<u16> {
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    let read = async {
        while answer.len() < 12 {
            match from.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
            }
        }
    };
    let ended = timeout(PATIENCE, read).await;
    assert!(ended.is_ok(), "a connection was neither answered nor ended");
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}
