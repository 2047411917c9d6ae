//! A proxy before the broker that cuts connections, freezes, or raises an alarm.
//!
//! The alarm does what RabbitMQ does under memory or disk pressure: at the first publish of a
//! connection it announces `connection.blocked` and reads nothing more from it, until the alarm is
//! over. A real alarm would hold up every other test on the node.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Frozen,
    Alarm,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    cut: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, mode_seen) = watch::channel(Mode::Open);
        let (cut, cut_seen) = watch::channel(0);
        let upstream = upstream.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&upstream).await.unwrap();
                let (mode, mut cut) = (mode_seen.clone(), cut_seen.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = relay(client, server, mode) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            mode,
            cut,
            task,
        }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Ends every connection without a word.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Keeps every connection, old and new, and passes nothing on.
    pub(crate) fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    pub(crate) fn raise_alarm(&self) {
        self.mode.send_replace(Mode::Alarm);
    }

    /// Ends the frost or the alarm.
    pub(crate) fn recover(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn relay(client: TcpStream, server: TcpStream, mode: watch::Receiver<Mode>) -> Option<()> {
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (announce, announced) = mpsc::channel(4);
    tokio::select! {
        done = upstream(from_client, to_server, mode.clone(), announce) => done,
        done = downstream(from_server, to_client, mode, announced) => done,
    }
}

async fn upstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    announce: mpsc::Sender<Vec<u8>>,
) -> Option<()> {
    let mut protocol_header = [0; 8];
    from.read_exact(&mut protocol_header).await.ok()?;
    mode.wait_for(|mode| *mode != Mode::Frozen).await.ok()?;
    to.write_all(&protocol_header).await.ok()?;
    loop {
        let frame = read_frame(&mut from).await?;
        mode.wait_for(|mode| *mode != Mode::Frozen).await.ok()?;
        let publishes = frame[0] == 1 && frame[7..11] == [0, 60, 0, 40];
        if publishes && *mode.borrow() == Mode::Alarm {
            announce.send(control_frame(60, b"\x05alarm")).await.ok()?;
            mode.wait_for(|mode| *mode == Mode::Open).await.ok()?;
            announce.send(control_frame(61, b"")).await.ok()?;
        }
        to.write_all(&frame).await.ok()?;
    }
}

async fn downstream(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    mut announced: mpsc::Receiver<Vec<u8>>,
) -> Option<()> {
    let (frames, mut received) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Some(frame) = read_frame(&mut from).await {
            if frames.send(frame).await.is_err() {
                return;
            }
        }
    });
    loop {
        let frame = tokio::select! {
            frame = received.recv() => frame?,
            frame = announced.recv() => frame?,
        };
        mode.wait_for(|mode| *mode != Mode::Frozen).await.ok()?;
        to.write_all(&frame).await.ok()?;
    }
}

async fn read_frame(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; 7];
    from.read_exact(&mut frame).await.ok()?;
    let size = u32::from_be_bytes(frame[3..7].try_into().unwrap()) as usize;
    frame.resize(7 + size + 1, 0);
    from.read_exact(&mut frame[7..]).await.ok()?;
    Some(frame)
}

/// A method of class `connection` on channel 0.
fn control_frame(method: u8, arguments: &[u8]) -> Vec<u8> {
    let size = u32::try_from(4 + arguments.len()).unwrap();
    let mut frame = vec![1, 0, 0];
    frame.extend(size.to_be_bytes());
    frame.extend([0, 10, 0, method]);
    frame.extend(arguments);
    frame.push(0xCE);
    frame
}
