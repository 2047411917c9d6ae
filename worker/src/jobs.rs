//! The role of `lunas.jobs`: asking the status API, looking for orders again.
//!
//! What a job ([`Job`]) finds out goes through the one path like everything else; a gateway that is
//! away puts it off and blames nobody.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use shared::apply::{Input, Item};
use shared::broker::topology::{self, DelayLevel};
use shared::broker::{Delivery, Destination, Envelope};
use shared::domain::outcome::{Class, Classify as _, Failure};
use shared::domain::{Source, StatusAnswer};
use shared::midtrans::{Gateway, GatewayError, Priority};
use time::OffsetDateTime;

use crate::batch::{Applier, GiveBack};
use crate::job::{ConfirmJob, Job, RunJob};
use crate::lane::Role;
use crate::long::Long;
use crate::notices::{self, AskJob};
use crate::runs::{RunOptions, Runs};
use crate::settle::{Settler, Stopping};
use crate::webhooks::{check_envelope, finish};

/// Questions to the gateway side by side; its budget is kept by the client.
const QUESTIONS: usize = 16;
/// When a transaction that the gateway does not know is asked for again, and how often.
#[derive(Debug, Clone, Copy)]
pub struct ConfirmRetries {
    /// How often.
    pub most: u32,
    /// After how long.
    pub interval: Duration,
}

/// Runs jobs.
#[derive(Clone)]
pub struct Jobs {
    applier: Applier,
    settler: Settler,
    gateway: Gateway,
    retries: ConfirmRetries,
    runs: Runs,
}

/// What a delivery asks the one path to do.
enum Step<'a> {
    Apply(&'a Delivery, Item),
    Later(&'a Delivery, DelayLevel),
    Again(&'a Delivery, Job),
    Refuse(AskJob, &'static str),
    Page(&'a Delivery, RunJob),
    GiveBack,
    Failed(&'a Delivery, Failure),
}

impl Jobs {
    /// The role with what it works on.
    pub fn new(
        applier: Applier,
        settler: Settler,
        gateway: Gateway,
        retries: ConfirmRetries,
        options: RunOptions,
    ) -> Self {
        let (its_applier, its_settler) = (applier.clone(), settler.clone());
        Self {
            runs: Runs::new(its_applier, its_settler, gateway.clone(), options),
            applier,
            settler,
            gateway: gateway.with_priority(Priority::Confirm),
            retries,
        }
    }

    async fn step<'a>(&self, delivery: &'a Delivery) -> Step<'a> {
        if let Some(level) = still_early(delivery) {
            return Step::Later(delivery, level);
        }
        let job = check_envelope(delivery).map_err(Failure::from);
        match job.and_then(|()| Job::read(delivery).map_err(Failure::from)) {
            Ok(Job::Link(job)) => {
                let input = Input::Link {
                    session_id: job.session_id,
                    source: Source::System,
                };
                Step::Apply(delivery, traced(delivery, input))
            }
            Ok(Job::Confirm(job)) => self.ask(delivery, job).await,
            Ok(Job::Ask(job)) => self.vouch(delivery, job).await,
            Ok(Job::Run(job)) => Step::Page(delivery, job),
            Err(failure) => Step::Failed(delivery, failure),
        }
    }

    async fn ask<'a>(&self, delivery: &'a Delivery, job: ConfirmJob) -> Step<'a> {
        let ConfirmJob {
            session_id,
            transaction_id,
            merchant_id,
            ..
        } = &job;
        let merchant = merchant_id.as_deref();
        let answer = self
            .gateway
            .status(transaction_id, session_id, merchant, Source::Poll)
            .await;
        match answer {
            Ok(StatusAnswer::Found(seen)) => {
                Step::Apply(delivery, traced(delivery, Input::Observed(seen)))
            }
            Ok(StatusAnswer::NotFound) if job.asked >= self.retries.most => {
                tracing::error!(
                    payment.session_id = session_id,
                    payment.transaction_id = transaction_id,
                    "the gateway does not know a transaction that was notified"
                );
                let (session_id, transaction_id) = (session_id.clone(), transaction_id.clone());
                let input = Input::GiveUp {
                    session_id,
                    transaction_id,
                    source: Source::Poll,
                };
                Step::Apply(delivery, traced(delivery, input))
            }
            Ok(StatusAnswer::NotFound) => {
                let asked = job.asked + 1;
                Step::Again(delivery, Job::Confirm(ConfirmJob { asked, ..job }))
            }
            Ok(StatusAnswer::Error { .. }) => Step::Later(delivery, DelayLevel::S10),
            Err(error) => put_off_or_fail(delivery, error),
        }
    }

    /// Asks about the transaction of a notice; the answer is applied like any other.
    async fn vouch<'a>(&self, delivery: &'a Delivery, job: AskJob) -> Step<'a> {
        // Without a session the answer tells which it is.
        let session = job.session_id.as_deref().unwrap_or_default();
        let merchant = job.merchant_id.as_deref();
        let answer = self
            .gateway
            .status(&job.id, session, merchant, Source::Poll);
        match answer.await {
            Ok(StatusAnswer::Found(seen)) => {
                match notices::under_session(&self.applier, &job, seen).await {
                    Ok(Some(seen)) => {
                        Step::Apply(delivery, traced(delivery, Input::Observed(seen)))
                    }
                    Ok(None) => Step::Refuse(job, "the status API names no session"),
                    Err(GiveBack) => Step::GiveBack,
                }
            }
            Ok(StatusAnswer::NotFound) if job.asked >= self.retries.most => {
                Step::Refuse(job, "the status API does not know the transaction")
            }
            Ok(StatusAnswer::NotFound) => {
                let asked = job.asked + 1;
                Step::Again(delivery, Job::Ask(AskJob { asked, ..job }))
            }
            Ok(StatusAnswer::Error { .. }) => Step::Later(delivery, DelayLevel::S10),
            Err(error) => put_off_or_fail(delivery, error),
        }
    }

    fn page(&self, index: usize, delivery: Delivery, job: RunJob) -> Long {
        let runs = self.runs.clone();
        let work = async move { runs.page(&delivery, &job).await }.boxed();
        Long { index, work }
    }

    async fn again(&self, delivery: &Delivery, job: Job) -> Result<(), Stopping> {
        let due_at = OffsetDateTime::now_utc() + self.retries.interval;
        let mut headers = delivery.headers.clone();
        headers.due_at = Some(due_at);
        let level = level_within(self.retries.interval);
        let envelope = Envelope {
            body: job.body(),
            headers,
        };
        self.settler
            .publish(&Destination::Retry(level, &delivery.routing_key), envelope)
            .await
    }

    /// A session that still has no order is looked at again, a few times.
    async fn look_again(&self, delivery: &Delivery) -> Result<(), Stopping> {
        let Ok(Job::Link(mut job)) = Job::read(delivery) else {
            return Ok(());
        };
        job.tries += 1;
        if job.is_over() {
            return Ok(());
        }
        let to = job.next_destination();
        let body = Job::Link(job).body();
        self.settler
            .publish(
                &to,
                Envelope {
                    body,
                    headers: delivery.headers.clone(),
                },
            )
            .await
    }
}

impl Role for Jobs {
    async fn handle(&self, group: &[Delivery]) -> Result<Vec<Long>, GiveBack> {
        let questions: Vec<BoxFuture<'_, Step<'_>>> = group
            .iter()
            .map(|delivery| self.step(delivery).boxed())
            .collect();
        let steps: Vec<Step<'_>> = stream::iter(questions).buffered(QUESTIONS).collect().await;
        let (mut items, mut from, mut longs) = (Vec::new(), Vec::new(), Vec::new());
        for (index, step) in steps.into_iter().enumerate() {
            let seen_to = match step {
                Step::Apply(delivery, item) => {
                    items.push(item);
                    from.push(delivery);
                    Ok(())
                }
                Step::Later(delivery, level) => self.settler.delay(delivery, level).await,
                Step::Again(delivery, job) => self.again(delivery, job).await,
                Step::Refuse(job, why) => {
                    notices::refuse(&self.applier, &job, why).await?;
                    Ok(())
                }
                Step::Page(delivery, job) => {
                    longs.push(self.page(index, delivery.clone(), job));
                    Ok(())
                }
                Step::GiveBack => Err(Stopping),
                Step::Failed(delivery, failure) => {
                    self.settler
                        .failed(delivery, topology::JOBS_QUEUE, failure)
                        .await
                }
            };
            seen_to.map_err(|Stopping| GiveBack)?;
        }
        let mut results = self.applier.apply(&items).await?;
        for ((item, delivery), result) in items.iter().zip(&from).zip(&mut results) {
            if let (Ok(Job::Ask(job)), Ok(_)) = (Job::read(delivery), &result) {
                notices::answered(&self.applier, &job, item).await?;
            }
            let (Input::Link { .. }, Ok(outcome)) = (&item.input, result) else {
                continue;
            };
            if outcome.follow_up.take().is_some() {
                self.look_again(delivery)
                    .await
                    .map_err(|Stopping| GiveBack)?;
            }
        }
        finish(&self.settler, topology::JOBS_QUEUE, &items, &from, results).await?;
        Ok(longs)
    }
}

fn put_off_or_fail(delivery: &Delivery, error: GatewayError) -> Step<'_> {
    match error.classify() {
        Class::Wait => {
            tracing::warn!(%error, "the gateway is away: the question is put off");
            let wanted = error.retry_after().unwrap_or(DelayLevel::S10.delay());
            Step::Later(delivery, topology::level_for(wanted))
        }
        Class::Retry | Class::Dead(_) => Step::Failed(delivery, error.into()),
    }
}

fn traced(delivery: &Delivery, input: Input) -> Item {
    Item {
        input,
        traceparent: delivery.headers.traceparent.clone(),
    }
}

/// A delay that is made of several levels: the level for what is left of it.
fn still_early(delivery: &Delivery) -> Option<DelayLevel> {
    let left = Duration::try_from(delivery.headers.due_at? - OffsetDateTime::now_utc()).ok()?;
    (left >= DelayLevel::Ms500.delay() / 2).then(|| level_within(left))
}

/// The longest level that is over within the time, or the shortest one.
fn level_within(time: Duration) -> DelayLevel {
    let fitting = DelayLevel::ALL
        .into_iter()
        .rev()
        .find(|level| level.delay() <= time);
    fitting.unwrap_or(DelayLevel::Ms500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_delay_is_made_of_levels_that_fit() {
        let levels = [119, 60, 59, 3, 1].map(|s| level_within(Duration::from_secs(s)));
        use DelayLevel::{M1, Ms500, S2, S10};
        assert_eq!(levels, [M1, M1, S10, S2, Ms500]);
    }
}
