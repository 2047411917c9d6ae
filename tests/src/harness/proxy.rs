//! A TCP proxy that can cut the line to the broker or the database at any moment or byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ground::Port;

/// No limit on the bytes that may pass.
const UNLIMITED: u64 = u64::MAX;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the service to the server.
    ToServer,
    /// From the server to the service.
    ToClient,
}

/// What happens to connections and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    Stall,
    Refuse,
}

/// A line to a server that a test can break; it ends with this value.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    line: Arc<Line>,
    accepting: JoinHandle<()>,
}

/// What the connections of a proxy share.
#[derive(Debug)]
struct Line {
    server: String,
    mode: watch::Sender<Mode>,
    /// Each change resets every connection that is open then.
    cuts: watch::Sender<u64>,
    /// Each change silences every connection that is open then.
    mutes: watch::Sender<u64>,
    /// Bytes that may still pass before the line is cut, by direction.
    allowance: [AtomicU64; 2],
    passed: [AtomicU64; 2],
    opened: AtomicU64,
}

impl Proxy {
    /// A proxy in front of `server` (`host:port`), forwarding.
    pub async fn to(server: &str) -> Self {
        let port = Port::take();
        let line = Arc::new(Line {
            server: server.to_owned(),
            mode: watch::Sender::new(Mode::Forward),
            cuts: watch::Sender::new(0),
            mutes: watch::Sender::new(0),
            allowance: [AtomicU64::new(UNLIMITED), AtomicU64::new(UNLIMITED)],
            passed: [AtomicU64::new(0), AtomicU64::new(0)],
            opened: AtomicU64::new(0),
        });
        let listener = listen(port.addr()).await;
        let accepting = tokio::spawn(accept(listener, port.addr(), line.clone()));
        Self {
            port,
            line,
            accepting,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Resets every open connection; new ones are welcome.
    pub fn cut(&self) {
        self.line.cut();
    }

    /// Resets every connection as soon as so many more bytes have passed that way; bytes beyond
    /// them do not arrive. Happens once.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.line.allowance[direction as usize].store(bytes, Ordering::SeqCst);
    }

    /// Lets no byte pass, without a word to either side, as a network does that drops packets.
    pub fn stall(&self) {
        self.line.mode.send_replace(Mode::Stall);
    }

    /// No byte passes any more on connections that are open, for good and without a word to either
    /// side, as when a host vanishes; new ones work.
    pub fn mute(&self) {
        self.line.mutes.send_modify(|count| *count += 1);
    }

    /// Resets every open connection and refuses new ones, as a server does that is down.
    pub fn refuse(&self) {
        self.line.mode.send_replace(Mode::Refuse);
        self.cut();
    }

    /// Forwards again.
    pub fn restore(&self) {
        self.line.mode.send_replace(Mode::Forward);
    }

    /// Connections accepted so far.
    pub fn opened(&self) -> u64 {
        self.line.opened.load(Ordering::SeqCst)
    }

    /// Bytes that have passed that way so far.
    pub fn passed(&self, direction: Direction) -> u64 {
        self.line.passed[direction as usize].load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Line {
    fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

async fn listen(addr: SocketAddr) -> TcpListener {
    let listening = TcpListener::bind(addr).await;
    listening.expect("the port was reserved for this proxy")
}

async fn accept(first: TcpListener, addr: SocketAddr, line: Arc<Line>) {
    let mut mode = line.mode.subscribe();
    let mut listener = Some(first);
    loop {
        let refusing = *mode.borrow_and_update() == Mode::Refuse;
        // A closed listener is what makes the kernel refuse.
        listener = match (refusing, listener) {
            (true, _) => None,
            (false, Some(open)) => Some(open),
            (false, None) => Some(listen(addr).await),
        };
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            client = accepted => if let Ok((client, _)) = client {
                line.opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(carry(client, line.clone()));
            },
            _ = mode.changed() => {}
        }
    }
}

/// Carries one connection until it ends by itself or is cut.
async fn carry(mut client: TcpStream, line: Arc<Line>) {
    let mut cuts = line.cuts.subscribe();
    let mut mutes = line.mutes.subscribe();
    let server = tokio::select! {
        server = TcpStream::connect(&line.server) => server,
        _ = cuts.changed() => Err(std::io::ErrorKind::ConnectionReset.into()),
    };
    let Ok(mut server) = server else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::join!(
                pump(from_client, to_server, Direction::ToServer, &line),
                pump(from_server, to_client, Direction::ToClient, &line),
            )
        };
        let ends = async {
            tokio::select! {
                _ = both => {}
                _ = mutes.changed() => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ends => false,
            _ = cuts.changed() => true,
        }
    };
    if cut {
        // Closing with zero linger sends a reset instead of a polite end.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    line: &Line,
) -> std::io::Result<()> {
    let mut mode = line.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        // Holds the bytes back while the line is stalled.
        let forwarding = mode.wait_for(|mode| *mode != Mode::Stall).await;
        drop(forwarding.map_err(std::io::Error::other)?);
        let allowed = spend(&line.allowance[direction as usize], read as u64);
        let passing = usize::try_from(allowed).unwrap_or(read).min(read);
        to.write_all(&buffer[..passing]).await?;
        line.passed[direction as usize].fetch_add(passing as u64, Ordering::SeqCst);
        if passing < read {
            line.allowance[direction as usize].store(UNLIMITED, Ordering::SeqCst);
            line.cut();
            std::future::pending::<()>().await;
        }
    }
}

/// Takes `wanted` bytes from the allowance; what is granted of them.
fn spend(allowance: &AtomicU64, wanted: u64) -> u64 {
    let before = allowance.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        Some(if left == UNLIMITED {
            UNLIMITED
        } else {
            left.saturating_sub(wanted)
        })
    });
    before.unwrap_or(UNLIMITED).min(wanted)
}
