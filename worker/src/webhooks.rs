//! The role of `lunas.webhooks`: notifications become observations and are applied.

use std::time::Duration;

use futures::stream::{self, TryStreamExt as _};
use shared::apply::{FollowUp, Input, Item, Outcome};
use shared::broker::{Delivery, Destination, Envelope, topology};
use shared::domain::outcome::{Class, Classify, DeadReason, Failure, Settled};
use shared::domain::{Authority, Source};
use shared::telemetry::{metrics, propagation, traces_enabled};
use time::OffsetDateTime;
use tracing::Span;

use crate::batch::{Applier, GiveBack};
use crate::job::{ConfirmJob, Job, LinkJob};
use crate::lane::Role;
use crate::long::Long;
use crate::notices::{self, Message};
use crate::settle::{Settler, Stopping, own_headers};

/// Follow-ups that are published side by side.
const PUBLISHES: usize = 64;

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// None of our services wrote it.
    #[error("the message carries no envelope of ours")]
    Foreign,
    /// A newer release wrote it.
    #[error("the envelope has version {version}, which is not known")]
    Version {
        /// The version it has.
        version: u8,
    },
}

impl Classify for Unreadable {
    fn classify(&self) -> Class {
        Class::Dead(match self {
            Self::Foreign => DeadReason::ForeignMessage,
            Self::Version { .. } => DeadReason::UnknownVersion,
        })
    }
}

/// Refuses messages whose envelope is not ours.
pub fn check_envelope(delivery: &Delivery) -> Result<(), Unreadable> {
    match delivery.headers.version {
        // Version 2 names a kind, see `notices`.
        1 | 2 => Ok(()),
        0 => Err(Unreadable::Foreign),
        version => Err(Unreadable::Version { version }),
    }
}

/// Applies notifications.
#[derive(Clone)]
pub struct Webhooks {
    applier: Applier,
    settler: Settler,
}

impl Webhooks {
    /// The role with what it works on.
    pub fn new(applier: Applier, settler: Settler) -> Self {
        Self { applier, settler }
    }
}

impl Role for Webhooks {
    async fn handle(&self, group: &[Delivery]) -> Result<Vec<Long>, GiveBack> {
        let mut items = Vec::with_capacity(group.len());
        let mut spans = Vec::new();
        let mut from = Vec::with_capacity(group.len());
        let mut others = Vec::new();
        for delivery in group {
            match notices::read(delivery) {
                Ok(Message::Notice(kind, reading)) => others.push((delivery, kind, reading)),
                Ok(Message::Seen(seen)) => {
                    let span = span_of(delivery);
                    let traceparent = span.in_scope(propagation::inject);
                    items.push(Item {
                        input: Input::Observed(seen),
                        traceparent,
                    });
                    spans.push(span);
                    from.push(delivery);
                }
                Err(failure) => self.give_up(delivery, failure).await?,
            }
        }
        let results = self.applier.apply(&items).await?;
        for span in spans {
            // A span ends where it was left last, which is to be after the commit.
            span.in_scope(|| ());
        }
        finish(
            &self.settler,
            topology::WEBHOOKS_QUEUE,
            &items,
            &from,
            results,
        )
        .await?;
        notices::settle(&self.applier, &self.settler, &others).await?;
        Ok(Vec::new())
    }
}

impl Webhooks {
    async fn give_up(&self, delivery: &Delivery, failure: Failure) -> Result<(), GiveBack> {
        let failed = self
            .settler
            .failed(delivery, topology::WEBHOOKS_QUEUE, failure)
            .await;
        failed.map_err(|Stopping| GiveBack)
    }
}

/// Sees to what remains after a batch: failures, follow-ups, figures.
pub async fn finish(
    settler: &Settler,
    queue: &str,
    items: &[Item],
    from: &[&Delivery],
    results: Vec<Result<Outcome, Failure>>,
) -> Result<(), GiveBack> {
    let mut follow_ups = Vec::new();
    for ((item, delivery), result) in items.iter().zip(from).zip(results) {
        match result {
            Ok(outcome) => {
                count(item, outcome.settled);
                follow_ups.extend(outcome.follow_up.map(|next| (next, &item.traceparent)));
            }
            Err(failure) => {
                let failed = settler.failed(delivery, queue, failure).await;
                failed.map_err(|Stopping| GiveBack)?;
            }
        }
    }
    stream::iter(follow_ups.into_iter().map(Ok::<_, Stopping>))
        .try_for_each_concurrent(PUBLISHES, |(next, traceparent)| {
            send_follow_up(settler, next, traceparent.clone())
        })
        .await
        .map_err(|Stopping| GiveBack)
}

async fn send_follow_up(
    settler: &Settler,
    next: FollowUp,
    traceparent: Option<String>,
) -> Result<(), Stopping> {
    let job = match next {
        FollowUp::Link { session_id } => Job::Link(LinkJob {
            session_id,
            tries: 0,
        }),
        FollowUp::Confirm {
            session_id,
            transaction_id,
            merchant_id,
        } => Job::Confirm(ConfirmJob {
            session_id,
            transaction_id,
            merchant_id,
            asked: 0,
        }),
    };
    let envelope = Envelope {
        body: job.body(),
        headers: own_headers(traceparent),
    };
    match &job {
        Job::Link(link) => settler.publish(&link.next_destination(), envelope).await,
        Job::Confirm(_) | Job::Ask(_) | Job::Run(_) => {
            let to = Destination::Job(job.name());
            settler.publish(&to, envelope).await
        }
    }
}

/// One span per message that belongs to a trace, from its receipt to the commit.
fn span_of(delivery: &Delivery) -> Span {
    if !traces_enabled() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "process lunas.webhooks",
        otel.kind = "consumer",
        "messaging.system" = "rabbitmq",
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = "lunas:webhook.midtrans:lunas.webhooks",
        "messaging.message.id" = delivery.headers.message_id,
    );
    propagation::continue_from(&span, delivery.headers.traceparent.as_deref());
    span
}

fn count(item: &Item, settled: Settled) {
    let Input::Observed(seen) = &item.input else {
        return;
    };
    // A replayed dead letter was accepted once and has been counted as dead; an answer of the
    // status API was never accepted.
    if seen.authority != Authority::Notified || seen.source == Source::Replay {
        return;
    }
    metrics::settled(settled.as_str(), 1);
    let now = OffsetDateTime::now_utc();
    metrics::accept_lag(lag(now, seen.received_at));
    if let Some(at) = seen
        .transaction_time
        .filter(|_| settled == Settled::Applied)
    {
        metrics::transaction_lag(lag(now, at));
    }
}

/// Clocks of two machines differ; a lag below zero is zero.
fn lag(now: OffsetDateTime, then: OffsetDateTime) -> Duration {
    Duration::try_from(now - then).unwrap_or_default()
}
