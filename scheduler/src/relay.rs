//! The relay: publishes what waits in the outbox to `lunas.events`.
//!
//! An event is marked only after the broker's confirm, and only under the lease. A crash in
//! between publishes it again: listeners get every event at least once, with its id to tell, and
//! those of one order in the order in which they happened. Different orders do not wait for each
//! other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use shared::broker::{Destination, Envelope, Headers, PublishError, Publisher};
use shared::fault;
use shared::store::lease::Hold;
use shared::store::relay::DomainEvent;
use shared::store::{Store, StoreError};
use shared::telemetry::{metrics, propagation, traces_enabled};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info_span, warn};

use crate::leadership::Term;
use crate::pause::{Backoff, chain, pause};

/// Events that wait for the broker's confirm at the same time.
pub(crate) const IN_FLIGHT: u16 = 64;

/// Events taken from the outbox at once.
const BATCH: i64 = 512;

/// How long an event may wait in an outbox that was empty.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How long the broker may take to confirm one event.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);

/// What messages say about where they come from.
const SOURCE: &str = "outbox";

/// Relays until the term ends.
pub(crate) async fn run(store: Store, publisher: Publisher, term: &Term) {
    let mut relay = Relay {
        store,
        publisher,
        term,
        unmarked: Vec::new(),
        troubled: false,
    };
    let mut backoff = Backoff::new(FIRST_PAUSE);
    while !term.ending.is_cancelled() {
        match relay.pass().await {
            Ok(Pass::More) => backoff.reset(),
            Ok(Pass::Drained) => {
                backoff.reset();
                pause(LOOK_EVERY, &term.ending).await;
            }
            // Whoever keeps the lease will notice too and end the term.
            Ok(Pass::Fenced) => return,
            Err(failed) => {
                warn!(error = chain(&failed), "Outbox could not be relayed");
                metrics::waited(failed.cause());
                pause(backoff.next(), &term.ending).await;
            }
        }
    }
    if let Err(failed) = relay.mark().await {
        warn!(error = chain(&failed), "Published events stay unmarked");
    }
}

/// How far a pass came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// There may be more.
    More,
    /// Nothing waits.
    Drained,
    /// The lease is lost.
    Fenced,
}

/// Why a pass could not be finished; the next one begins where it ended.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the outbox could not be read or marked")]
    Store(#[source] StoreError),
    #[error("event {id} was not confirmed by the broker")]
    Publish {
        id: i64,
        #[source]
        source: PublishError,
    },
}

impl RelayError {
    /// Whether others would fail just as well; else it is this event's own affair.
    const fn hits_all(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Publish { source, .. } => !matches!(source, PublishError::Returned),
        }
    }

    const fn cause(&self) -> &'static str {
        match self {
            Self::Store(_) => "database",
            Self::Publish { .. } => "broker",
        }
    }
}

struct Relay<'a> {
    store: Store,
    publisher: Publisher,
    term: &'a Term,
    /// Confirmed by the broker, not marked yet: an outage of the database alone publishes nothing
    /// twice.
    unmarked: Vec<i64>,
    /// The last pass was stopped by something that hits every event.
    troubled: bool,
}

impl Relay<'_> {
    async fn pass(&mut self) -> Result<Pass, RelayError> {
        if self.mark().await? == Hold::Lost {
            return Ok(Pass::Fenced);
        }
        let events = self
            .store
            .relay_waiting(BATCH)
            .await
            .map_err(RelayError::Store)?;
        let full = events.len() == usize::try_from(BATCH).unwrap_or(usize::MAX);
        let failed = self.publish(events).await;
        if !self.unmarked.is_empty() {
            fault::point("relay.published").await;
        }
        if self.mark().await? == Hold::Lost {
            return Ok(Pass::Fenced);
        }
        match failed {
            Some(failed) => Err(failed),
            None if full => Ok(Pass::More),
            None => Ok(Pass::Drained),
        }
    }

    /// Publishes them and keeps in mind what was confirmed; answers with a failure, if there was
    /// one. Begins nothing more after a failure that hits all; and after such a pass tries the
    /// next with one event in flight, so that a broker in trouble is not asked 64 times in vain.
    async fn publish(&mut self, events: Vec<DomainEvent>) -> Option<RelayError> {
        let mut last_failure = None;
        let in_flight = if self.troubled { 1 } else { IN_FLIGHT };
        let stopping = self.term.ending.child_token();
        let publisher = &self.publisher;
        let mut ends = stream::iter(chains(events))
            .map(|events| publish_chain(publisher, events, &stopping))
            .buffer_unordered(usize::from(in_flight));
        self.troubled = false;
        while let Some((confirmed, failed)) = ends.next().await {
            self.unmarked.extend(confirmed);
            if failed.as_ref().is_some_and(RelayError::hits_all) {
                self.troubled = true;
                stopping.cancel();
            }
            last_failure = failed.or(last_failure);
        }
        last_failure
    }

    /// Marks what was confirmed, in one statement that checks the lease.
    async fn mark(&mut self) -> Result<Hold, RelayError> {
        if self.unmarked.is_empty() {
            return Ok(Hold::Held);
        }
        let hold = self
            .store
            .relay_mark_published(&self.term.lease, &self.unmarked)
            .await
            .map_err(RelayError::Store)?;
        if hold == Hold::Held {
            metrics::events_relayed(self.unmarked.len() as u64);
        }
        self.unmarked.clear();
        Ok(hold)
    }
}

/// Events that must not overtake each other, together: those of one order, or else of one payment
/// session.
fn chains(events: Vec<DomainEvent>) -> Vec<Vec<DomainEvent>> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut chains: Vec<Vec<DomainEvent>> = Vec::new();
    for event in events {
        let session = event.data.get("session_id").and_then(Value::as_str);
        let place = match event.order_code.as_deref().or(session) {
            Some(key) => *places.entry(key.to_owned()).or_insert(chains.len()),
            None => chains.len(),
        };
        match chains.get_mut(place) {
            Some(chain) => chain.push(event),
            None => chains.push(vec![event]),
        }
    }
    chains
}

/// Publishes one after the other, up to the first that fails or until told to stop; answers with
/// the ids that were confirmed.
async fn publish_chain(
    publisher: &Publisher,
    events: Vec<DomainEvent>,
    stopping: &CancellationToken,
) -> (Vec<i64>, Option<RelayError>) {
    let mut confirmed = Vec::with_capacity(events.len());
    for event in &events {
        if stopping.is_cancelled() {
            break;
        }
        match publish_one(publisher, event).await {
            Ok(()) => confirmed.push(event.id),
            Err(source) => {
                let id = event.id;
                return (confirmed, Some(RelayError::Publish { id, source }));
            }
        }
    }
    (confirmed, None)
}

async fn publish_one(publisher: &Publisher, event: &DomainEvent) -> Result<(), PublishError> {
    let span = span_of(event);
    let mut headers = Headers::new(SOURCE, event.created_at);
    headers.message_id = Some(event.id.to_string());
    headers.traceparent = span
        .in_scope(propagation::inject)
        .or_else(|| event.traceparent.clone());
    let envelope = Envelope {
        body: Bytes::from(Value::Object(event.body()).to_string()),
        headers,
    };
    let since = Instant::now();
    let result = publisher
        .publish(
            &Destination::Event(&event.event_type),
            envelope,
            CONFIRM_LIMIT,
        )
        .instrument(span)
        .await;
    let outcome = match &result {
        Ok(()) => "confirmed",
        Err(error) => error.as_str(),
    };
    metrics::published("events", outcome, since.elapsed());
    result
}

/// Continues the trace of the change that the event tells of.
fn span_of(event: &DomainEvent) -> Span {
    if !traces_enabled() {
        return Span::none();
    }
    let span = info_span!(
        "publish lunas.events",
        otel.kind = "producer",
        "messaging.system" = "rabbitmq",
        "messaging.operation.name" = "publish",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = "lunas.events",
        "messaging.rabbitmq.destination.routing_key" = event.event_type,
        "messaging.message.id" = event.id,
    );
    propagation::continue_from(&span, event.traceparent.as_deref());
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::store::relay::DomainEvent;

    fn event(id: i64, order_code: Option<&str>, data: Value) -> DomainEvent {
        DomainEvent {
            id,
            event_type: "order.paid".to_owned(),
            order_code: order_code.map(str::to_owned),
            data,
            traceparent: None,
            created_at: std::time::SystemTime::UNIX_EPOCH.into(),
        }
    }

    #[test]
    fn events_of_one_order_or_session_stay_in_line_and_others_do_not_wait() {
        let orphan = || json!({"session_id": "S-1"});
        let chains = chains(vec![
            event(1, Some("A"), json!({})),
            event(2, None, orphan()),
            event(3, Some("B"), json!({})),
            event(4, Some("A"), json!({})),
            event(5, None, orphan()),
            event(6, None, json!({})),
            event(7, None, json!({})),
        ]);
        let ids: Vec<Vec<i64>> = chains
            .iter()
            .map(|chain| chain.iter().map(|event| event.id).collect())
            .collect();
        assert_eq!(ids, [vec![1, 4], vec![2, 5], vec![3], vec![6], vec![7]]);
    }
}
