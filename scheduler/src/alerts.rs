//! The leader looks for conditions that need somebody, and sends the messages that wait.
//!
//! The two do not wait for each other: a mail server that is slow does not delay a look.

use std::sync::Arc;
use std::time::Duration;

use shared::alerts::{BrokerNews, Channels, EvaluateError, Totals, Watch, send_due};
use shared::domain::jobs::JobName;
use shared::store::Store;
use shared::store::job_runs::{PageEnd, RunRow, Totals as RunTotals};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::leadership::Term;
use crate::pause::{Backoff, chain, pause};

/// How long a message may wait for its first attempt.
const LOOK_FOR_MESSAGES: Duration = Duration::from_secs(1);

/// How long a run may wait for its beginning.
const LOOK_FOR_RUNS: Duration = Duration::from_millis(200);

const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What looking and sending need; the same for every term.
#[derive(Clone)]
pub(crate) struct Alerts {
    pub(crate) store: Store,
    pub(crate) watch: Arc<Watch>,
    pub(crate) channels: Channels,
    pub(crate) broker: watch::Receiver<BrokerNews>,
}

impl Alerts {
    /// Looks and sends until the term ends.
    pub(crate) async fn run(&self, term: &Term) {
        tokio::join!(self.look_repeatedly(term), self.send_repeatedly(term));
    }

    /// Works on the runs of the job as they come up; no broker is needed for that.
    async fn look_repeatedly(&self, term: &Term) {
        while !term.ending.is_cancelled() {
            match self
                .store
                .job_runs_of_leader(JobName::Alerts.as_str())
                .await
            {
                Ok(Some(run)) => self.look(&run, term).await,
                Ok(None) => pause(LOOK_FOR_RUNS, &term.ending).await,
                Err(failed) => {
                    warn!(error = chain(&failed), "Runs of alerts could not be read");
                    pause(FIRST_PAUSE, &term.ending).await;
                }
            }
        }
    }

    async fn look(&self, run: &RunRow, term: &Term) {
        let broker = || self.broker.borrow().clone();
        let looked = self.watch.evaluate(&self.store, Some(&term.lease), broker);
        let (found, end) = match looked.await {
            Ok(totals) => {
                tell(&totals);
                (counted(&totals), PageEnd::Done)
            }
            // Whoever keeps the lease will notice too and end the term; the next leader looks.
            Err(EvaluateError::Fenced) => return,
            Err(failed) => {
                let why = chain(&failed);
                warn!(error = why, "Alerts could not be evaluated");
                (RunTotals::default(), PageEnd::Failed(why))
            }
        };
        if let Err(failed) = self.store.job_run_advance(run, found, &end).await {
            warn!(error = chain(&failed), "A run of alerts could not be ended");
            pause(FIRST_PAUSE, &term.ending).await;
        }
    }

    async fn send_repeatedly(&self, term: &Term) {
        let mut backoff = Backoff::new(FIRST_PAUSE);
        while !term.ending.is_cancelled() {
            let wait = match send_due(&self.store, &self.channels).await {
                Ok(_) => {
                    backoff.reset();
                    LOOK_FOR_MESSAGES
                }
                Err(failed) => {
                    warn!(error = chain(&failed), "Alerts could not be sent");
                    backoff.next()
                }
            };
            pause(wait, &term.ending).await;
        }
    }
}

fn tell(totals: &Totals) {
    if totals.opened + totals.resolved + totals.failed == 0 {
        return;
    }
    info!(
        alerts.opened = totals.opened,
        alerts.repeated = totals.repeated,
        alerts.resolved = totals.resolved,
        alerts.open = totals.open,
        alerts.rules_failed = totals.failed,
        "Alerts evaluated"
    );
}

/// A look mends nothing: what it found is what is open, and rules that could not be looked at are
/// given up.
fn counted(totals: &Totals) -> RunTotals {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    RunTotals {
        checked: count(totals.rules),
        repaired: count(totals.resolved),
        given_up: count(totals.failed),
        rupiah_at_risk: totals.rupiah_at_risk,
    }
}
