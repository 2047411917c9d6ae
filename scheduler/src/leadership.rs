//! Who leads: a candidate takes the lease when it is free, keeps it by renewing, and steps down
//! before anybody else can have it.
//!
//! All moments that decide are the database's. This process's own clock is used for one thing
//! only: to stop in time when the database cannot be asked, counted from before the question, so
//! that it errs on the early side.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shared::store::Store;
use shared::store::lease::{Hold, Lease};
use shared::telemetry::metrics;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::pause::{Backoff, chain, pause};

/// The lease's name in `scheduler_lease`.
const LEASE: &str = "scheduler";

/// A leader that died is followed after this and [`ASK_EVERY`]; the promise is 15 s.
const TERM: Duration = Duration::from_secs(9);

/// Two renewals may fail before the term ends.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// How often a standby asks whether the lease is free.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Pauses after a renewal that could not be asked for.
const RENEW_AGAIN: Duration = Duration::from_millis(500);

/// What the duties may take to finish what is in hand.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Giving the lease back is a courtesy; it is not waited for any longer.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// A process that would lead.
pub(crate) struct Candidate {
    store: Store,
    holder: String,
    stop: CancellationToken,
    /// Set from the moment this process leads until it sees that another one does: while nobody
    /// can lead, it tells who speaks for the fleet.
    led_last: Arc<AtomicBool>,
}

/// The time during which a process leads.
pub(crate) struct Term {
    /// The proof, for whatever is written under it.
    pub(crate) lease: Lease,
    /// Cancelled when the process stops or the lease is lost: finish what is in hand and return.
    pub(crate) ending: CancellationToken,
}

impl Candidate {
    pub(crate) fn new(store: Store, stop: CancellationToken, led_last: Arc<AtomicBool>) -> Self {
        Self {
            store,
            holder: holder(),
            stop,
            led_last,
        }
    }

    /// Leads again and again, calling `duties` for each term, until told to stop.
    pub(crate) async fn run<F, Fut>(self, duties: F)
    where
        F: Fn(Arc<Term>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        metrics::scheduler_leads(false);
        while let Some((lease, asked)) = self.wait_for_lease().await {
            info!(lease.token = lease.token(), "Leading");
            metrics::scheduler_leads(true);
            self.led_last.store(true, Ordering::SeqCst);
            let term = Arc::new(Term {
                lease: lease.clone(),
                ending: self.stop.child_token(),
            });
            let running = tokio::spawn(duties(Arc::clone(&term)));
            let held = self.lead(&term, asked, running).await;
            metrics::scheduler_leads(false);
            if held == Hold::Held {
                self.release(lease).await;
            }
            // A duty that panics at once must not turn in circles; and another may try.
            pause(ASK_EVERY, &self.stop).await;
        }
    }

    /// The lease and the moment before it was asked for; `None` when the process stops.
    async fn wait_for_lease(&self) -> Option<(Lease, Instant)> {
        let mut backoff = Backoff::new(ASK_EVERY);
        while !self.stop.is_cancelled() {
            let asked = Instant::now();
            let wait = match self.store.lease_acquire(LEASE, &self.holder, TERM).await {
                Ok(Some(lease)) => return Some((lease, asked)),
                Ok(None) => {
                    self.led_last.store(false, Ordering::SeqCst);
                    backoff.reset();
                    ASK_EVERY
                }
                Err(failed) => {
                    warn!(error = chain(&failed), "Lease could not be asked for");
                    backoff.next()
                }
            };
            pause(wait, &self.stop).await;
        }
        None
    }

    /// Keeps the lease while the duties run; tells whether it is still held at their end.
    async fn lead(&self, term: &Term, asked: Instant, mut running: JoinHandle<()>) -> Hold {
        tokio::select! {
            ended = &mut running => {
                if let Err(panic) = ended {
                    error!(error = %panic, "A duty panicked; the term ends");
                }
                Hold::Held
            }
            () = self.overstayed() => {
                warn!("Duties cut off at the end of the drain");
                running.abort();
                Hold::Held
            }
            () = self.keep(&term.lease, asked) => {
                warn!(lease.token = term.lease.token(), "Lease lost, stepping down");
                metrics::scheduler_leads(false);
                term.ending.cancel();
                finish(running).await;
                Hold::Lost
            }
        }
    }

    /// Returns when the process was told to stop and the duties have had their time.
    async fn overstayed(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    }

    /// Renews for as long as it is possible.
    async fn keep(&self, lease: &Lease, asked: Instant) {
        let mut valid_until = asked + TERM;
        let mut wait = RENEW_EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let asked = Instant::now();
            wait = match timeout_at(valid_until, self.store.lease_renew(lease, TERM)).await {
                Ok(Ok(Hold::Held)) => {
                    valid_until = asked + TERM;
                    RENEW_EVERY
                }
                Ok(Ok(Hold::Lost)) | Err(_) => return,
                Ok(Err(failed)) => {
                    warn!(error = chain(&failed), "Lease could not be renewed");
                    RENEW_AGAIN
                }
            };
        }
    }

    async fn release(&self, lease: Lease) {
        match timeout(RELEASE_LIMIT, self.store.lease_release(lease)).await {
            Ok(Ok(_)) => info!("Lease given back"),
            Ok(Err(failed)) => warn!(error = chain(&failed), "Lease could not be given back"),
            Err(_) => warn!("Lease could not be given back in time"),
        }
    }
}

async fn finish(mut running: JoinHandle<()>) {
    if timeout(DRAIN_LIMIT, &mut running).await.is_err() {
        warn!("Duties cut off at the end of the term");
        running.abort();
    }
}

/// Unique among all processes that ever were, and telling for whoever looks at the table.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}:{}", host.trim(), std::process::id(), Uuid::new_v4())
}
