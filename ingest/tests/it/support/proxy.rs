//! A line to the broker that can be made to swallow what the broker says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Forwards both ways until told to keep the broker's answers back.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    mute: Arc<AtomicBool>,
}

impl Proxy {
    /// A line to `target`.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mute = Arc::new(AtomicBool::new(false));
        let (target, muted) = (target.to_owned(), Arc::clone(&mute));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, Arc::default()));
                tokio::spawn(forward(from_server, to_client, Arc::clone(&muted)));
            }
        });
        Self { addr, mute }
    }

    /// From now on nothing that the broker says arrives.
    pub(crate) fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mute: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(size @ 1..) = from.read(&mut buffer).await {
        if !mute.load(Ordering::Relaxed) && to.write_all(&buffer[..size]).await.is_err() {
            return;
        }
    }
}
