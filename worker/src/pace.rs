//! How many messages a worker may hold at once.
//!
//! When a worker dies the broker counts a delivery for every message it held, the culprit and its
//! neighbours alike. So a worker starts carefully, with one message in hand, and goes to full
//! pace when it meets one that never came back; it is careful again as soon as it meets one that
//! came back [`SUSPECT`] times. Messages that came back are at the head of the queue.

use std::sync::Arc;

use tokio::sync::watch;

/// From this delivery count on a message may be the one that kills workers.
pub const SUSPECT: u32 = 3;

/// The pace of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Pace(Arc<watch::Sender<bool>>);

impl Pace {
    /// Careful, as every worker starts.
    pub fn careful() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Whether every lane may take as much as it likes.
    pub fn is_full(&self) -> bool {
        *self.0.borrow()
    }

    /// Nothing suspicious at the head of the queue.
    pub fn go_full(&self) {
        self.0
            .send_if_modified(|full| !std::mem::replace(full, true));
    }

    /// A suspect was met.
    pub fn slow_down(&self) {
        if self
            .0
            .send_if_modified(|full| std::mem::replace(full, false))
        {
            tracing::warn!("a message came back repeatedly: handling one at a time");
        }
    }

    /// Waits for full pace.
    pub async fn full(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|full| *full).await;
    }
}
