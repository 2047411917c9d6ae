//! Counts what needs somebody to look at it, for `/metrics`.
//!
//! Only the leader does: one process of the fleet asks the database. When its term ends it says 0,
//! so that the sum and the maximum over all schedulers are the leader's count.

use std::time::Duration;

use shared::store::Store;
use shared::telemetry::metrics;
use tracing::warn;

use crate::leadership::Term;
use crate::pause::{Backoff, chain, pause};

const EVERY: Duration = Duration::from_secs(30);

const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Counts until the term ends.
pub(crate) async fn run(store: &Store, sla: Duration, term: &Term) {
    let mut backoff = Backoff::new(FIRST_PAUSE);
    while !term.ending.is_cancelled() {
        let wait = match store.monitor_counts(sla).await {
            Ok(counts) => {
                metrics::monitored(
                    counts.orphans,
                    counts.stuck,
                    counts.mismatches,
                    counts.missing_session,
                );
                metrics::oldest_unreconciled(counts.oldest_unreconciled);
                backoff.reset();
                EVERY
            }
            Err(failed) => {
                warn!(error = chain(&failed), "What is wrong could not be counted");
                backoff.next()
            }
        };
        pause(wait, &term.ending).await;
    }
    metrics::monitored(0, 0, 0, 0);
    metrics::oldest_unreconciled(Duration::ZERO);
}
