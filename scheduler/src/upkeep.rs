//! Keeps what time consumes ahead of time: the monthly partitions.

use std::time::Duration;

use shared::store::Store;
use tracing::{info, warn};

use crate::leadership::Term;
use crate::pause::{Backoff, chain, pause};

/// Partitions exist for this month, the last and so many to come; rows of any other month still
/// find their place in the default partition.
const MONTHS_AHEAD: i32 = 2;

const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// At the beginning of the term and daily, until it ends.
pub(crate) async fn run(store: &Store, term: &Term) {
    let mut backoff = Backoff::new(FIRST_PAUSE);
    while !term.ending.is_cancelled() {
        let wait = match store.ensure_partitions(MONTHS_AHEAD).await {
            Ok(made) => {
                if made > 0 {
                    info!(partitions.made = made, "Partitions made");
                }
                backoff.reset();
                EVERY
            }
            Err(failed) => {
                warn!(error = chain(&failed), "Partitions could not be made");
                backoff.next()
            }
        };
        pause(wait, &term.ending).await;
    }
}
