//! When the next piece of work of a round is due: at once, or at a given rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Hands out the numbers of a round's pieces of work to any number of tasks.
#[derive(Debug)]
pub(super) struct Pace {
    next: AtomicUsize,
    pieces: usize,
    start: Instant,
    end: Instant,
    /// What starts before this does not count: connections and caches warm up.
    counted_from: Instant,
    /// Pieces per second; `None` is as fast as possible.
    rate: Option<f64>,
}

impl Pace {
    /// A round that starts now; its first fifth does not count.
    pub(super) fn start(pieces: usize, length: Duration, rate: Option<f64>) -> Self {
        let start = Instant::now();
        Self {
            next: AtomicUsize::new(0),
            pieces,
            start,
            end: start + length,
            counted_from: start + length / 5,
            rate,
        }
    }

    /// The next piece and the moment from which its latency counts, or `None` when the round is
    /// over. A task that comes too late for its piece starts from when it was due, so that a
    /// stall counts for all that it holds up; one that waits starts from when it is woken, so
    /// that the timer's coarseness counts for nothing.
    pub(super) async fn next(&self) -> Option<(usize, Instant)> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if piece >= self.pieces || now >= self.end {
            return None;
        }
        let Some(rate) = self.rate else {
            return Some((piece, now));
        };
        let due = self.start + Duration::from_secs_f64(piece as f64 / rate);
        if due >= self.end {
            return None;
        }
        if due <= now {
            return Some((piece, due));
        }
        tokio::time::sleep_until(due.into()).await;
        Some((piece, Instant::now()))
    }

    /// Whether a piece that started then counts.
    pub(super) fn counts(&self, since: Instant) -> bool {
        since >= self.counted_from && since < self.end
    }

    /// How long pieces count.
    pub(super) fn counted(&self) -> Duration {
        self.end - self.counted_from
    }

    /// Whether the prepared pieces ran out before the time.
    pub(super) fn ran_out(&self) -> bool {
        Instant::now() < self.end && self.next.load(Ordering::Relaxed) >= self.pieces
    }
}
