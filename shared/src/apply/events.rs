//! Distinct notifications in memory: counting deliveries, changing verdicts.

use super::world::{Event, World};
use crate::domain::outcome::Settled;
use crate::domain::{EventKey, Observation};
use crate::store::events::{StoredEvent, UnconfirmedEvent};

impl Event {
    /// A notification that never came before.
    pub(super) fn new(seen: &Observation, settled: Settled) -> Self {
        Self {
            stored: None,
            first: Some(Box::new(seen.clone())),
            verdict: settled.as_str(),
            processing_error: None,
            deliveries: 1,
            changed: true,
        }
    }

    /// One more delivery.
    pub(super) fn count(&mut self) {
        self.deliveries += 1;
        self.changed = true;
    }

    /// Whether the verdict stands when the same comes again.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self.verdict, "unconfirmed" | "refused" | "dead")
    }
}

impl World {
    /// Gives a notification that waited for the status API its verdict. Its row may be in memory
    /// already, when the same notification is in this batch too.
    pub(super) fn settle_event(
        &mut self,
        key: &[u8],
        waiting: &UnconfirmedEvent,
        settled: Settled,
        why: Option<&str>,
    ) {
        let Some(key) = EventKey::from_slice(key) else {
            return;
        };
        let event = self.events.entry(key).or_insert_with(|| Event {
            stored: Some(StoredEvent {
                event_key: waiting.event_key.clone(),
                received_at: waiting.received_at,
                verdict: "unconfirmed".to_owned(),
            }),
            first: None,
            verdict: "unconfirmed",
            processing_error: None,
            deliveries: 0,
            changed: true,
        });
        event.verdict = settled.as_str();
        event.processing_error = why.map(str::to_owned);
        event.changed = true;
    }
}
