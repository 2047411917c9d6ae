//! Notifications other than the classic one: recording them, and asking the status API about those
//! that nothing vouches for.
//!
//! They are few, so nothing here is in a hurry; what must be fast (a BI-SNAP payment that says
//! enough) is an observation by then and goes with the classic ones.

use serde::{Deserialize, Serialize};
use shared::apply::{Input, Item};
use shared::broker::{Delivery, Destination, Envelope, topology};
use shared::domain::notice::bi_snap::{self, Payment, Product};
use shared::domain::notice::progress::vouched;
use shared::domain::notice::{self, NoticeKind, NoticeReading};
use shared::domain::outcome::{Class, Classify, Failure, Settled};
use shared::domain::{Observation, Source};
use shared::notices::{Incoming, Recorded, record};
use shared::telemetry::metrics;

use crate::batch::{Applier, GiveBack, until_answered};
use crate::job::Job;
use crate::settle::{Settler, Stopping, own_headers};
use crate::webhooks::check_envelope;

/// Ask the status API about the transaction of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskJob {
    /// The notice, by its key in hexadecimal.
    pub notice: String,
    /// What is asked about: a transaction, or a session.
    pub id: String,
    /// The session, when the notice names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whose key signs the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
    /// What the notice says the transaction is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// How often the answer was "no such transaction".
    #[serde(default)]
    pub asked: u32,
}

/// A kind that this release does not know.
#[derive(Debug, thiserror::Error)]
#[error("there is no kind of notification called {0}")]
pub struct UnknownKind(String);

impl Classify for UnknownKind {
    fn classify(&self) -> Class {
        // A newer release may be rolling out: another worker may know it.
        Class::Retry
    }
}

/// What a message of the queue of notifications comes to.
pub enum Message {
    /// For the one path.
    Seen(Box<Observation>),
    /// To be recorded.
    Notice(NoticeKind, NoticeReading),
}

/// Reads a message of the queue of notifications.
pub fn read(delivery: &Delivery) -> Result<Message, Failure> {
    check_envelope(delivery)?;
    let headers = &delivery.headers;
    let source = Source::parse(&headers.source).unwrap_or(Source::Webhook);
    let Some(word) = headers.kind.as_deref() else {
        let seen = Observation::from_notification(&delivery.body, headers.received_at, source)?;
        return Ok(Message::Seen(Box::new(seen)));
    };
    let kind = NoticeKind::parse(word).ok_or_else(|| UnknownKind(word.to_owned()))?;
    if let NoticeKind::BiSnap(product @ (Product::Debit | Product::Qr | Product::VirtualAccount)) =
        kind
    {
        let read = bi_snap::observe(product, &delivery.body, headers.received_at, source)?;
        return Ok(match read {
            Payment::Seen(seen) => Message::Seen(seen),
            Payment::Ask(reading) => Message::Notice(kind, reading),
        });
    }
    let reading = notice::read(kind, &delivery.body)?;
    Ok(Message::Notice(kind, reading))
}

/// A notice in hand.
pub type InHand<'a> = (&'a Delivery, NoticeKind, NoticeReading);

/// Records notices and queues the questions that follow.
pub async fn settle(
    applier: &Applier,
    settler: &Settler,
    notices: &[InHand<'_>],
) -> Result<(), GiveBack> {
    if notices.is_empty() {
        return Ok(());
    }
    let batch: Vec<Incoming<'_>> = notices.iter().map(incoming).collect();
    match until_answered(applier, || record(applier.store(), &batch)).await? {
        Ok(recorded) => follow_up(settler, notices, &recorded).await,
        // One of them is to blame: each stands alone.
        Err(_) if notices.len() > 1 => {
            for one in notices.chunks(1) {
                Box::pin(settle(applier, settler, one)).await?;
            }
            Ok(())
        }
        Err(failure) => {
            let failed = settler.failed(notices[0].0, topology::WEBHOOKS_QUEUE, failure);
            failed.await.map_err(|Stopping| GiveBack)
        }
    }
}

fn incoming<'a>((delivery, kind, reading): &'a InHand<'_>) -> Incoming<'a> {
    Incoming {
        kind: *kind,
        reading,
        body: &delivery.body,
        received_at: delivery.headers.received_at,
        dead: None,
    }
}

async fn follow_up(
    settler: &Settler,
    notices: &[InHand<'_>],
    recorded: &[Recorded],
) -> Result<(), GiveBack> {
    for ((delivery, _, reading), recorded) in notices.iter().zip(recorded) {
        // A replayed dead letter has been counted as dead.
        if delivery.headers.source != Source::Replay.as_str() {
            metrics::settled(recorded.settled.as_str(), 1);
        }
        let Some(question) = reading.question.as_ref().filter(|_| recorded.ask) else {
            continue;
        };
        let job = Job::Ask(AskJob {
            notice: reading.event_key.to_string(),
            id: question.id.clone(),
            session_id: question.session_id.clone(),
            merchant_id: question.merchant_id.clone(),
            claimed: reading.status.clone(),
            asked: 0,
        });
        let envelope = Envelope {
            body: job.body(),
            headers: own_headers(delivery.headers.traceparent.clone()),
        };
        let to = Destination::Job(job.name());
        let sent = settler.publish(&to, envelope);
        sent.await.map_err(|Stopping| GiveBack)?;
    }
    Ok(())
}

/// The answer as an observation under its session: the one that the notice named, or that the
/// transaction is stored under, or that the answer names.
pub async fn under_session(
    applier: &Applier,
    job: &AskJob,
    answer: Box<Observation>,
) -> Result<Option<Box<Observation>>, GiveBack> {
    if job.session_id.is_some() {
        return Ok(Some(answer));
    }
    let asked = || applier.store().notices_session_of(&answer.transaction_id);
    let stored = until_answered(applier, asked).await?.ok().flatten();
    let named = answer.clone().under_its_own_session();
    Ok(match (stored, named) {
        (Some(session_id), named) => {
            let mut seen = named.unwrap_or(*answer);
            seen.session_id = session_id;
            Some(Box::new(seen))
        }
        (None, named) => named.map(Box::new),
    })
}

/// Gives a notice its verdict after the answer was applied.
pub async fn answered(applier: &Applier, job: &AskJob, item: &Item) -> Result<(), GiveBack> {
    let Input::Observed(answer) = &item.input else {
        return Ok(());
    };
    let verdict = vouched(job.claimed.as_deref(), answer);
    let why = (verdict == Settled::Refused).then_some("the status API says otherwise");
    conclude(applier, job, verdict, why).await
}

/// Refuses a notice whose transaction the status API does not know, however often it was asked.
pub async fn refuse(applier: &Applier, job: &AskJob, why: &'static str) -> Result<(), GiveBack> {
    tracing::warn!(
        payment.transaction_id = job.id,
        why,
        "a notification that nothing vouches for is refused"
    );
    conclude(applier, job, Settled::Refused, Some(why)).await
}

async fn conclude(
    applier: &Applier,
    job: &AskJob,
    verdict: Settled,
    why: Option<&'static str>,
) -> Result<(), GiveBack> {
    let Ok(key) = hex::decode(&job.notice) else {
        return Ok(());
    };
    let written = || {
        let store = applier.store();
        store.notices_settle(&key, verdict.as_str(), why)
    };
    if let Err(failure) = until_answered(applier, written).await? {
        tracing::error!(
            error = failure.chain(),
            "the verdict of a notification cannot be written"
        );
    }
    Ok(())
}
