//! The headers of a message as AMQP properties, and back.
//!
//! Reading never fails, whatever a message carries.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use time::OffsetDateTime;
use uuid::Uuid;

use super::envelope::Headers;
use super::fields;

/// Not a header but a property of the message; under this name it stands in JSON.
pub(super) const MESSAGE_ID: &str = "message-id";
/// Longest error chain that a dead letter carries; the journal has the rest.
pub(super) const ERROR_LIMIT: usize = 2_048;
/// Headers must fit into one frame (128 KiB). Foreign ones are left behind beyond this.
const FOREIGN_LIMIT: usize = 64 * 1_024;
const PERSISTENT: u8 = 2;

mod name {
    pub(super) const VERSION: &str = "x-lunas-version";
    pub(super) const KIND: &str = "x-lunas-kind";
    pub(super) const RECEIVED_AT: &str = "x-lunas-received-at";
    pub(super) const SOURCE: &str = "x-lunas-source";
    pub(super) const ATTEMPT: &str = "x-lunas-attempt";
    pub(super) const DUE_AT: &str = "x-lunas-due-at";
    pub(super) const REASON: &str = "x-lunas-reason";
    pub(super) const ERROR: &str = "x-lunas-error";
    pub(super) const QUEUE: &str = "x-lunas-queue";
    pub(super) const ROUTING_KEY: &str = "x-lunas-routing-key";
    pub(super) const FIRST_FAILED_AT: &str = "x-lunas-first-failed-at";
    pub(super) const LAST_FAILED_AT: &str = "x-lunas-last-failed-at";
    pub(super) const TRACEPARENT: &str = "traceparent";
}

impl Headers {
    /// Reads what a delivery carries.
    pub(super) fn from_properties(properties: &BasicProperties) -> Self {
        let seen = properties.timestamp().map(AMQPValue::Timestamp);
        let empty = FieldTable::default();
        let table = properties.headers().as_ref().unwrap_or(&empty);
        let mut headers = Self::read(table, seen.as_ref().and_then(fields::time));
        let id = properties.message_id().as_ref();
        headers.message_id = id.and_then(|id| fields::text(&AMQPValue::ShortString(id.clone())));
        headers
    }

    pub(super) fn read(table: &FieldTable, seen: Option<OffsetDateTime>) -> Self {
        let mut headers = Self::new("", OffsetDateTime::UNIX_EPOCH);
        headers.version = 0;
        let mut received_at = seen;
        for (key, value) in table {
            match key.as_str() {
                name::VERSION => headers.version = small(value).unwrap_or(0),
                name::KIND => headers.kind = fields::text(value),
                name::RECEIVED_AT => received_at = fields::time(value).or(received_at),
                name::SOURCE => headers.source = fields::text(value).unwrap_or_default(),
                name::ATTEMPT => headers.attempt = small(value).unwrap_or(1),
                name::DUE_AT => headers.due_at = fields::time(value),
                name::REASON => headers.reason = fields::text(value),
                name::ERROR => headers.error = fields::text(value),
                name::QUEUE => headers.queue = fields::text(value),
                name::ROUTING_KEY => headers.routing_key = fields::text(value),
                name::FIRST_FAILED_AT => headers.first_failed_at = fields::time(value),
                name::LAST_FAILED_AT => headers.last_failed_at = fields::time(value),
                name::TRACEPARENT => headers.traceparent = fields::text(value),
                other => {
                    headers
                        .foreign
                        .insert(other.replace('\0', "\u{fffd}"), fields::json(value));
                }
            }
        }
        headers.received_at = received_at.unwrap_or_else(OffsetDateTime::now_utc);
        headers
    }

    /// How the message is published. The priority is never set: RabbitMQ 4 would obey it.
    pub(super) fn properties(&self) -> BasicProperties {
        let mut table = self.own_fields();
        let mut room = FOREIGN_LIMIT;
        for (key, value) in &self.foreign {
            let size = key.len() + value.to_string().len();
            let Ok(key) = ShortString::try_new(key.as_str()) else {
                continue;
            };
            if size <= room && !is_spent(key.as_str()) {
                room -= size;
                table.insert(key, fields::amqp(value));
            }
        }
        let id = self
            .message_id
            .as_deref()
            .and_then(|id| ShortString::try_new(id).ok());
        let id = id.unwrap_or_else(|| Uuid::now_v7().to_string().into());
        let now = OffsetDateTime::now_utc().unix_timestamp();
        BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(id)
            .with_timestamp(u64::try_from(now).unwrap_or_default())
            .with_headers(table)
    }

    pub(super) fn own_fields(&self) -> FieldTable {
        let mut table = FieldTable::default();
        let mut put = |key: &str, value: Option<AMQPValue>| {
            if let Some(value) = value {
                table.insert(key.into(), value);
            }
        };
        let text = |text: &Option<String>| {
            text.as_deref()
                .map(|text| AMQPValue::LongString(text.into()))
        };
        let time = |time: Option<OffsetDateTime>| {
            time.and_then(fields::time_text)
                .map(|text| AMQPValue::LongString(text.into()))
        };
        put(
            name::VERSION,
            Some(AMQPValue::LongLongInt(self.version.into())),
        );
        put(name::KIND, text(&self.kind));
        put(name::RECEIVED_AT, time(Some(self.received_at)));
        put(
            name::SOURCE,
            Some(AMQPValue::LongString(self.source.as_str().into())),
        );
        put(
            name::ATTEMPT,
            Some(AMQPValue::LongLongInt(self.attempt.into())),
        );
        put(name::TRACEPARENT, text(&self.traceparent));
        put(name::DUE_AT, time(self.due_at));
        put(name::FIRST_FAILED_AT, time(self.first_failed_at));
        put(name::LAST_FAILED_AT, time(self.last_failed_at));
        put(name::REASON, text(&self.reason));
        let error = self
            .error
            .as_deref()
            .map(|error| fields::truncated(error, ERROR_LIMIT));
        put(
            name::ERROR,
            error.map(|error| AMQPValue::LongString(error.into())),
        );
        put(name::QUEUE, text(&self.queue));
        put(name::ROUTING_KEY, text(&self.routing_key));
        table
    }
}

fn small<T: TryFrom<i64>>(value: &AMQPValue) -> Option<T> {
    T::try_from(fields::number(value)?).ok()
}

/// Headers that must not travel on with a message that is published again: the broker writes its
/// own about deaths and deliveries, and would route by `CC` and `BCC`.
fn is_spent(key: &str) -> bool {
    matches!(
        key,
        "CC" | "BCC" | "x-death" | "x-delivery-count" | "x-acquired-count"
    ) || key.starts_with("x-first-death-")
        || key.starts_with("x-last-death-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const AT: OffsetDateTime = datetime!(2026-03-14 02:12:41.5 UTC);

    fn through_the_broker(headers: &Headers) -> Headers {
        Headers::from_properties(&headers.properties())
    }

    #[test]
    fn every_header_survives_the_journey() {
        let mut sent = Headers::new("webhook", AT).retried(AT).dead(
            "wrong_currency",
            "chain: of causes",
            "lunas.webhooks",
            "webhook.midtrans",
            AT,
        );
        sent = sent.of_kind("payout");
        sent.message_id = Some("m-1".to_owned());
        sent.traceparent = Some("00-0af7-b7ad-01".to_owned());
        sent.due_at = Some(AT);
        sent.foreign
            .insert("x-team".to_owned(), json!(["a", {"b": 1}]));
        assert_eq!(through_the_broker(&sent), sent);
        assert_eq!(Headers::from_json(&sent.to_json()), sent);
    }

    #[test]
    fn a_foreign_message_is_representable() {
        let mut table = FieldTable::default();
        table.insert(
            "x-lunas-version".into(),
            AMQPValue::LongString("one".into()),
        );
        table.insert(
            "x-lunas-attempt".into(),
            AMQPValue::FieldTable(FieldTable::default()),
        );
        table.insert(
            "x-lunas-received-at".into(),
            AMQPValue::ShortString("gestern".into()),
        );
        table.insert("n\0".into(), AMQPValue::LongString("v\0".into()));
        let properties = BasicProperties::default()
            .with_headers(table)
            .with_timestamp(86_400);
        let headers = Headers::from_properties(&properties);
        assert_eq!((headers.version, headers.attempt), (0, 1));
        assert_eq!(headers.received_at, datetime!(1970-01-02 0:00 UTC));
        assert_eq!(
            headers.foreign,
            *json!({"n\u{fffd}": "v\u{fffd}"}).as_object().unwrap()
        );
        assert_eq!(
            Headers::from_properties(&BasicProperties::default()).version,
            0
        );
    }

    #[test]
    fn what_the_broker_wrote_and_what_it_routes_by_does_not_travel_on() {
        let mut sent = Headers::new("webhook", AT);
        for key in [
            "CC",
            "BCC",
            "x-death",
            "x-first-death-queue",
            "x-last-death-reason",
            "mine",
        ] {
            sent.foreign.insert(key.to_owned(), json!("x"));
        }
        let keys: Vec<_> = through_the_broker(&sent)
            .foreign
            .into_iter()
            .map(|(k, _)| k)
            .collect();
        assert_eq!(keys, ["mine"]);
    }

    #[test]
    fn headers_always_fit_into_a_frame() {
        let mut sent = Headers::new("webhook", AT);
        for key in ["a", "b", "c"] {
            sent.foreign
                .insert(key.to_owned(), json!("x".repeat(50_000)));
        }
        sent.error = Some("ä".repeat(3_000));
        let read = through_the_broker(&sent);
        assert_eq!(read.foreign.len(), 1);
        assert_eq!(read.error.unwrap().len(), ERROR_LIMIT);
    }

    #[test]
    fn a_replay_keeps_the_identity_and_forgets_the_failures() {
        let mut first = Headers::new("webhook", AT).of_kind("payout");
        first.message_id = Some("m-1".to_owned());
        let died = first.clone().retried(AT).dead("r", "e", "q", "k", AT);
        assert_eq!(died.attempt, 2);
        assert_eq!(died.replayed(), first);
    }

    #[test]
    fn a_message_is_persistent_typed_and_has_an_identity() {
        let properties = Headers::new("webhook", AT).properties();
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(*properties.priority(), None);
        assert!(properties.timestamp().is_some());
        let id = properties
            .message_id()
            .as_ref()
            .unwrap()
            .as_str()
            .to_owned();
        assert!(Uuid::parse_str(&id).is_ok());
    }
}
