//! What travels through the broker: the original bytes, and headers about the journey.
//!
//! Our headers have names that start with `x-lunas-`; anything else that a message carries is
//! kept as it is, so that a dead letter shows all of it. A message without our headers, or with
//! nonsense in them, is representable: reading never fails.

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{fields, properties};

/// The version of the envelope around a classic notification or a job.
const VERSION: u8 = 1;
/// The version of the envelope around any other notification. A release that does not know kinds
/// does not know this version either: it keeps the message as a dead letter instead of taking it
/// for a classic notification.
const VERSION_WITH_KIND: u8 = 2;

/// A message: a body nobody touched, and what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The original bytes.
    pub body: Bytes,
    /// What is known about the journey.
    pub headers: Headers,
}

/// What is known about a message's journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Headers {
    /// Version of the envelope: 1, or 2 with a kind. 0 when the message does not say, so it is not
    /// ours.
    pub version: u8,
    /// What kind of notification the body is, when it is not a classic one.
    pub kind: Option<String>,
    /// When the fleet first saw it. A message that does not say was first seen when it was read.
    pub received_at: OffsetDateTime,
    /// Who brought it in, such as `webhook`. Empty when the message does not say.
    pub source: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Identity of the message, kept on every way it takes. One is made up when it is published
    /// without.
    pub message_id: Option<String>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Not to be worked on before this time.
    pub due_at: Option<OffsetDateTime>,
    /// When it failed for the first time.
    pub first_failed_at: Option<OffsetDateTime>,
    /// When it failed last.
    pub last_failed_at: Option<OffsetDateTime>,
    /// Why it is dead: a code of the closed list.
    pub reason: Option<String>,
    /// The error and its causes, at most 2 kB of it.
    pub error: Option<String>,
    /// The work queue it came from.
    pub queue: Option<String>,
    /// The routing key it had there; a replay publishes to it again.
    pub routing_key: Option<String>,
    /// Everything else the message carries, the broker's own headers included.
    pub foreign: Map<String, Value>,
}

impl Headers {
    /// Headers of a new message: first attempt, nothing failed yet.
    #[must_use]
    pub fn new(source: impl Into<String>, received_at: OffsetDateTime) -> Self {
        Self {
            version: VERSION,
            kind: None,
            received_at,
            source: source.into(),
            attempt: 1,
            message_id: None,
            traceparent: None,
            due_at: None,
            first_failed_at: None,
            last_failed_at: None,
            reason: None,
            error: None,
            queue: None,
            routing_key: None,
            foreign: Map::new(),
        }
    }

    /// For a notification that is not a classic one.
    #[must_use]
    pub fn of_kind(mut self, kind: &str) -> Self {
        self.version = VERSION_WITH_KIND;
        self.kind = Some(kind.to_owned());
        self
    }

    /// For another attempt, after one that failed at the given time.
    #[must_use]
    pub fn retried(mut self, failed_at: OffsetDateTime) -> Self {
        self.attempt = self.attempt.saturating_add(1);
        self.first_failed_at.get_or_insert(failed_at);
        self.last_failed_at = Some(failed_at);
        self
    }

    /// For the dead-letter queue.
    #[must_use]
    pub fn dead(
        mut self,
        reason: &str,
        error: &str,
        queue: &str,
        routing_key: &str,
        failed_at: OffsetDateTime,
    ) -> Self {
        self.reason = Some(reason.to_owned());
        self.error = Some(fields::truncated(error, properties::ERROR_LIMIT).to_owned());
        self.queue = Some(queue.to_owned());
        self.routing_key = Some(routing_key.to_owned());
        self.first_failed_at.get_or_insert(failed_at);
        self.last_failed_at = Some(failed_at);
        self
    }

    /// For a fresh start of a dead letter: its identity stays, its failures are forgotten.
    #[must_use]
    pub fn replayed(mut self) -> Self {
        self.attempt = 1;
        self.reason = None;
        self.error = None;
        self.queue = None;
        self.routing_key = None;
        self.due_at = None;
        self.first_failed_at = None;
        self.last_failed_at = None;
        self
    }

    /// Everything as JSON that PostgreSQL can store, under the names of the headers.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = self.foreign.clone();
        map.extend(fields::json_map(&self.own_fields()));
        if let Some(id) = &self.message_id {
            map.insert(properties::MESSAGE_ID.to_owned(), Value::from(id.as_str()));
        }
        map
    }

    /// The headers that [`to_json`](Self::to_json) wrote.
    #[must_use]
    pub fn from_json(map: &Map<String, Value>) -> Self {
        let mut headers = Self::read(&fields::amqp_table(map), None);
        headers.message_id = headers
            .foreign
            .remove(properties::MESSAGE_ID)
            .and_then(|id| id.as_str().map(str::to_owned));
        headers
    }
}
