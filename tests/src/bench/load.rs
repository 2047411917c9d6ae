//! The load generator: many keep-alive connections, each with one request in flight, over bare
//! sockets. Requests are made before the round, because this shares the machine with what it
//! measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::pace::Pace;
use super::stats::Round;

/// Every request of a round, one after the other in memory.
pub(super) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// Wraps bodies into requests with the headers that Midtrans sends.
    pub(super) fn of(bodies: &[String]) -> Self {
        let mut bytes = Vec::with_capacity(bodies.iter().map(|body| body.len() + 180).sum());
        let mut ends = Vec::with_capacity(bodies.len());
        for body in bodies {
            bytes.extend_from_slice(
                format!(
                    "POST /webhooks/midtrans HTTP/1.1\r\nHost: bench\r\nUser-Agent: Veritrans\r\n\
                     Accept: application/json\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                )
                .as_bytes(),
            );
            bytes.extend_from_slice(body.as_bytes());
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// What a round of requests gave.
pub(super) struct Answers {
    pub(super) round: Round,
    /// Answers with 200, those of the warm-up included: so many messages must be in the queue.
    pub(super) accepted: usize,
    /// When each accepted request was answered: its index, and microseconds since 1970.
    pub(super) answered_at: Vec<(usize, i64)>,
}

/// Sends requests over `connections` for `length`, as fast as possible or at `rate`.
pub(super) fn round(
    addr: SocketAddr,
    requests: Requests,
    connections: usize,
    length: Duration,
    rate: Option<f64>,
) -> anyhow::Result<Answers> {
    // Two threads of its own: the rest of the benchmark must not get in between.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(addr)
                .await
                .context("connecting to ingest")?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let requests = Arc::new(requests);
        let pace = Arc::new(Pace::start(requests.ends.len(), length, rate));
        let tasks: Vec<_> = streams
            .into_iter()
            .map(|stream| tokio::spawn(client(stream, Arc::clone(&requests), Arc::clone(&pace))))
            .collect();
        let (mut micros, mut answered_at) = (Vec::new(), Vec::new());
        for task in tasks {
            let (part, answered) = task.await??;
            micros.extend(part);
            answered_at.extend(answered);
        }
        ensure!(
            !pace.ran_out(),
            "too few requests were prepared for the round"
        );
        Ok(Answers {
            round: Round::of(micros, pace.counted()),
            accepted: answered_at.len(),
            answered_at,
        })
    })
}

type Times = (Vec<u32>, Vec<(usize, i64)>);

async fn client(
    mut stream: TcpStream,
    requests: Arc<Requests>,
    pace: Arc<Pace>,
) -> anyhow::Result<Times> {
    let (mut micros, mut answered_at) = (Vec::new(), Vec::new());
    let mut buffer = vec![0; 4_096];
    while let Some((index, since)) = pace.next().await {
        stream.write_all(requests.get(index)).await?;
        read_answer(&mut stream, &mut buffer).await?;
        if pace.counts(since) {
            micros.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        answered_at.push((index, unix_micros()));
    }
    Ok((micros, answered_at))
}

/// Reads one whole answer, which must be 200; anything else makes the figures worthless.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "ingest closed a connection");
        filled += read;
        // The answer to an accepted notification ends with its JSON object.
        if buffer[..filled].ends_with(b"}") {
            break;
        }
    }
    if !buffer.starts_with(b"HTTP/1.1 200") {
        bail!(
            "ingest answered: {}",
            String::from_utf8_lossy(&buffer[..filled])
        );
    }
    Ok(())
}

fn unix_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// So many requests are needed for a round at the given rate, with room to spare.
pub(super) fn needed(length: Duration, rate: f64) -> usize {
    (length.as_secs_f64() * rate) as usize + 1_000
}
