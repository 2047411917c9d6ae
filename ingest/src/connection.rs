//! One connection of the public listener: HTTP/1.1 with small buffers, and a watch that ends it
//! when the client is too slow.
//!
//! hyper's own header time-out also counts the time between two requests. A proxy in front keeps
//! idle connections for a minute, and closing one while it sends the next request costs that
//! notification two minutes; so being idle and dripping a head have limits of their own here. The
//! body has its limit in [`crate::body`].

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From the first byte of a request (or the connection) to the end of its head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Between two requests; longer than the usual proxy keeps a connection.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// The read buffer's limit, and so that of a head: the smallest that hyper allows, since every
/// connection has one.
const BUFFER_LIMIT: usize = 8 * 1024;

/// Serves requests until the client leaves, is too slow, or `stop` is cancelled and what is in hand
/// is answered.
pub(crate) async fn serve<H, F>(stream: TcpStream, stop: CancellationToken, handle: H)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let watch = Arc::new(Watch::new());
    let io = TokioIo::new(Watched {
        stream,
        watch: Arc::clone(&watch),
    });
    let service = service_fn(|request| {
        watch.enter(Phase::Handling);
        let answer = handle(request);
        let watch = &watch;
        async move {
            let response = answer.await;
            watch.enter(Phase::Idle);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .max_buf_size(BUFFER_LIMIT)
            .writev(false)
            .serve_connection(io, service)
    );
    let mut overdue = pin!(watch.overdue());
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            // A connection that breaks is the client's affair.
            _ = connection.as_mut() => return,
            () = overdue.as_mut() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Bytes of a head are awaited: the connection is new, or a request has begun.
    Head = 0,
    /// The request is with its handler, which has limits of its own.
    Handling = 1,
    /// The last request is answered.
    Idle = 2,
}

/// Since when the connection is in which phase: milliseconds since it was opened, and the phase in
/// the lowest two bits, in one word so that a request costs no lock.
#[derive(Debug)]
struct Watch {
    opened: Instant,
    state: AtomicU64,
}

impl Watch {
    fn new() -> Self {
        Self {
            opened: Instant::now(),
            state: AtomicU64::new(Phase::Head as u64),
        }
    }

    fn enter(&self, phase: Phase) {
        let millis = self.opened.elapsed().as_millis() as u64;
        self.state
            .store(millis << 2 | phase as u64, Ordering::Relaxed);
    }

    /// Bytes have come: between two requests this is the beginning of the next.
    fn bytes_arrived(&self) {
        if self.state.load(Ordering::Relaxed) & 3 == Phase::Idle as u64 {
            self.enter(Phase::Head);
        }
    }

    /// When the present phase must be over.
    fn deadline(&self) -> Option<Instant> {
        let state = self.state.load(Ordering::Relaxed);
        let since = self.opened + Duration::from_millis(state >> 2);
        match state & 3 {
            phase if phase == Phase::Head as u64 => Some(since + HEAD_LIMIT),
            phase if phase == Phase::Idle as u64 => Some(since + IDLE_LIMIT),
            _ => None,
        }
    }

    /// Returns once a phase has lasted too long. It looks only when a limit may have been reached,
    /// so that the timer is not touched by every request; a slow head is found at most one limit
    /// late.
    async fn overdue(&self) {
        loop {
            let now = Instant::now();
            match self.deadline() {
                Some(deadline) if deadline <= now => return,
                Some(deadline) => tokio::time::sleep_until(deadline.min(now + HEAD_LIMIT)).await,
                None => tokio::time::sleep_until(now + HEAD_LIMIT).await,
            }
        }
    }
}

/// The socket; tells the watch when bytes arrive.
struct Watched {
    stream: TcpStream,
    watch: Arc<Watch>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.bytes_arrived();
        }
        poll
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
