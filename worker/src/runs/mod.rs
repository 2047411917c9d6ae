//! Runs of periodic jobs: each message is a page of one, and the row in `job_runs` knows how far
//! the run is. What a page does may be done twice and is counted once.

mod ask;

mod effects;
mod expire;
mod links;
mod retention;
mod status;

use std::sync::Arc;
use std::time::Duration;

use shared::apply::{Input, Item, OrderAsk};
use shared::broker::topology::{self, DelayLevel};
use shared::broker::{Delivery, Destination, Envelope};
use shared::config::RetentionSettings;
use shared::domain::Source;
use shared::domain::jobs::JobName;
use shared::domain::outcome::{Class, Classify as _, Failure};
use shared::midtrans::{Gateway, GatewayError, Priority};
use shared::store::StoreError;
use shared::store::job_runs::{PageEnd, RunRow, Totals};
use tokio::sync::Semaphore;

use crate::batch::{Applier, GiveBack, until_answered};
use crate::job::{Job, RunJob};
use crate::settle::{Settler, Stopping, own_headers};

/// A page asks Midtrans for about so long; then the next message of the queue has its turn.
const SLICE: Duration = Duration::from_secs(8);
/// Pages at once in one process: two long runs leave a place for a short one, and all of them the
/// database to others.
const PAGES: usize = 3;

/// Works on runs.
#[derive(Clone)]
pub struct Runs {
    applier: Applier,
    settler: Settler,
    gateway: Gateway,
    options: RunOptions,
    pages: Arc<Semaphore>,
}

/// What runs depend on beside what is stored.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// How long after its first sight a payment is looked at first.
    pub first_check: Duration,
    /// How long what is kept.
    pub keep: RetentionSettings,
}

/// What a page found out, and how it ended.
struct Page {
    found: Totals,
    end: PageEnd,
}

/// Why a page could not be worked on.
enum Interrupted {
    /// The worker stops, or the database stays away.
    GiveBack,
    /// Midtrans is away; nobody is to blame.
    Gateway(GatewayError),
    /// It failed for its own sake.
    Failed(Failure),
}

impl From<GiveBack> for Interrupted {
    fn from(_: GiveBack) -> Self {
        Self::GiveBack
    }
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<GatewayError> for Interrupted {
    fn from(error: GatewayError) -> Self {
        match error.classify() {
            Class::Wait => Self::Gateway(error),
            Class::Retry | Class::Dead(_) => Self::Failed(error.into()),
        }
    }
}

impl Runs {
    /// Works on them with these.
    pub fn new(applier: Applier, settler: Settler, gateway: Gateway, options: RunOptions) -> Self {
        Self {
            applier,
            settler,
            gateway: gateway.with_priority(Priority::Periodic),
            options,
            pages: Arc::new(Semaphore::new(PAGES)),
        }
    }

    /// Works on the page that a message names, and sends the next one.
    pub async fn page(&self, delivery: &Delivery, job: &RunJob) -> Result<(), GiveBack> {
        let Ok(_turn) = self.pages.try_acquire() else {
            self.alive(job.run).await?;
            return self.put_off(delivery, job, DelayLevel::S2).await;
        };
        let store = self.applier.store();
        let read = until_answered(&self.applier, || store.job_run_read(job.run)).await?;
        let run = match read {
            Ok(Some(run)) if !run.finished => run,
            Ok(_) => return Ok(()),
            Err(failure) => return self.failed(delivery, failure).await,
        };
        if run.page != job.page {
            // Worked on already. A worker that died after that may not have sent the next one.
            return match delivery.delivery_count > 0 && run.page == job.page + 1 {
                true => self.send(run.id, run.page, job.name).await,
                false => Ok(()),
            };
        }
        self.work(delivery, job, &run).await
    }

    async fn work(&self, delivery: &Delivery, job: &RunJob, run: &RunRow) -> Result<(), GiveBack> {
        self.alive(run.id).await?;
        let worked = match job.name {
            JobName::ReconcileStatus => self.status(run).await,
            JobName::ReconcileEffects => self.effects(run).await,
            JobName::ReconcileLinks => self.links(run).await,
            JobName::ExpireOrders => self.expire(run).await,
            JobName::Retention => self.retention(run).await,
            // The leader of the schedulers works on these.
            JobName::Alerts => return Ok(()),
        };
        match worked {
            Ok(page) => self.ended(run, job.name, page).await,
            Err(Interrupted::GiveBack) => Err(GiveBack),
            Err(Interrupted::Gateway(error)) => {
                tracing::warn!(%error, job = %job.name, "the gateway is away: the run waits");
                let wanted = error.retry_after().unwrap_or(DelayLevel::S10.delay());
                self.alive(run.id).await?;
                self.put_off(delivery, job, topology::level_for(wanted))
                    .await
            }
            Err(Interrupted::Failed(failure)) => self.run_failed(delivery, run, failure).await,
        }
    }

    async fn ended(&self, run: &RunRow, name: JobName, page: Page) -> Result<(), GiveBack> {
        let store = self.applier.store();
        let advance = || store.job_run_advance(run, page.found, &page.end);
        let ours = until_answered(&self.applier, advance).await?;
        if page.found.repaired + page.found.given_up > 0 {
            tracing::warn!(
                job = %name,
                run.repaired = page.found.repaired,
                run.given_up = page.found.given_up,
                run.rupiah_at_risk = page.found.rupiah_at_risk,
                "reconciliation found something"
            );
        }
        // A page that somebody else has ended goes on there.
        match (ours, &page.end) {
            (Ok(true), PageEnd::Next(_)) => self.send(run.id, run.page + 1, name).await,
            _ => Ok(()),
        }
    }

    /// A page that fails is tried again like any message; in the end the run has failed, and the
    /// next tick tries anew: as a dead letter it would tell operators nothing more.
    async fn run_failed(
        &self,
        delivery: &Delivery,
        run: &RunRow,
        failure: Failure,
    ) -> Result<(), GiveBack> {
        if !self.settler.is_last(delivery) {
            return self.failed(delivery, failure).await;
        }
        let why = failure.chain();
        tracing::error!(job = run.name, error = why, "a run has failed");
        let end = PageEnd::Failed(why);
        let store = self.applier.store();
        let advance = || store.job_run_advance(run, Totals::default(), &end);
        match until_answered(&self.applier, advance).await? {
            Ok(_) => Ok(()),
            Err(failure) => self.failed(delivery, failure).await,
        }
    }

    async fn failed(&self, delivery: &Delivery, failure: Failure) -> Result<(), GiveBack> {
        let failed = self.settler.failed(delivery, topology::JOBS_QUEUE, failure);
        failed.await.map_err(|Stopping| GiveBack)
    }

    async fn alive(&self, run: i64) -> Result<(), GiveBack> {
        let store = self.applier.store();
        // Only the watch over silent runs depends on it.
        until_answered(&self.applier, || store.job_run_alive(run))
            .await
            .map(drop)
    }

    async fn put_off(
        &self,
        delivery: &Delivery,
        job: &RunJob,
        level: DelayLevel,
    ) -> Result<(), GiveBack> {
        tracing::debug!(job = %job.name, "a page is put off");
        let delay = self.settler.delay(delivery, level);
        delay.await.map_err(|Stopping| GiveBack)
    }

    async fn send(&self, run: i64, page: i32, name: JobName) -> Result<(), GiveBack> {
        let job = Job::Run(RunJob { name, run, page });
        let envelope = Envelope {
            body: job.body(),
            headers: own_headers(None),
        };
        let to = Destination::Job(job.name());
        let sent = self.settler.publish(&to, envelope);
        sent.await.map_err(|Stopping| GiveBack)
    }

    /// Applies items; what fails for its own sake is told and left for the next run. `false` when
    /// something failed.
    async fn apply(&self, items: &[Item]) -> Result<bool, Interrupted> {
        let applied = self.apply_each(items).await?;
        Ok(applied.into_iter().all(|well| well))
    }

    /// The same, item by item.
    async fn apply_each(&self, items: &[Item]) -> Result<Vec<bool>, Interrupted> {
        let results = self.applier.apply(items).await?;
        let well = |result: Result<_, Failure>| match result {
            Ok(_) => true,
            Err(failure) => {
                tracing::error!(error = failure.chain(), "a repair could not be applied");
                false
            }
        };
        Ok(results.into_iter().map(well).collect())
    }

    /// Reads, waiting for a database that is away.
    async fn read<T, F>(&self, work: impl Fn() -> F) -> Result<T, Interrupted>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        Ok(until_answered(&self.applier, work).await??)
    }
}

/// A question about an order, by the reconciler.
fn order_item(order_code: &str, ask: OrderAsk) -> Item {
    Item::new(Input::Order {
        order_code: order_code.to_owned(),
        ask,
        source: Source::Reconcile,
        actor: None,
    })
}
