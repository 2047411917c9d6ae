//! The gate before the database: while it is away every lane waits here with what it has in hand,
//! one probe asks on everybody's behalf, and nobody's attempt is counted.

use std::sync::Arc;
use std::time::Duration;

use shared::store::Store;
use shared::telemetry::metrics;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The first pause between two probes; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two probes: a database that is back is noticed within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A single probe may take this long.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Open while the database answers. Clones share the state.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    stop: CancellationToken,
}

/// How waiting at the gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// The database answers.
    Open,
    /// It did not within the time.
    StillClosed,
    /// The worker is stopping.
    Stopping,
}

impl Gate {
    /// An open gate, with a task that probes the database while it is closed.
    pub fn start(store: Store, stop: CancellationToken) -> Self {
        let (open, _) = watch::channel(true);
        let gate = Self {
            open: Arc::new(open),
            stop,
        };
        tokio::spawn(gate.clone().keep(store));
        gate
    }

    /// Reports that the database is away. Says so in the log once per outage.
    pub fn close(&self, why: &str) {
        let closed_now = self
            .open
            .send_if_modified(|open| std::mem::replace(open, false));
        if closed_now {
            metrics::waited("database");
            tracing::warn!(error = why, "database is away: consumption pauses");
        }
    }

    /// Waits until the database answers, at most `within`.
    pub async fn pass(&self, within: Duration) -> Passage {
        let mut state = self.open.subscribe();
        tokio::select! {
            biased;
            open = timeout(within, state.wait_for(|open| *open)) => match open {
                Ok(Ok(_)) => Passage::Open,
                Ok(Err(_)) | Err(_) => Passage::StillClosed,
            },
            () = self.stop.cancelled() => Passage::Stopping,
        }
    }

    /// Waits until the database is away.
    pub async fn closed(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| !open).await;
    }

    /// Whether the database answered when it was last asked.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    async fn keep(self, store: Store) {
        let mut state = self.open.subscribe();
        while state.wait_for(|open| !open).await.is_ok() {
            metrics::database_up(false);
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                if matches!(timeout(PROBE_LIMIT, store.probe()).await, Ok(Ok(()))) {
                    break;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            metrics::database_up(true);
            tracing::info!("database is back: consumption goes on");
            self.open.send_replace(true);
        }
    }
}
