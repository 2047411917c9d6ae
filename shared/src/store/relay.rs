//! The outbox from its other end: what waits to be published, and that it was.
//!
//! Writing to the outbox is in [`outbox`](super::outbox); publishing is the scheduler's.

use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lease::{Hold, Lease};
use super::{Store, StoreError};

/// A domain event as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainEvent {
    /// Its id; among the events of one order it grows in the order in which they happened.
    pub id: i64,
    /// E.g. `order.paid`.
    pub event_type: String,
    /// The order it concerns.
    pub order_code: Option<String>,
    /// What was written with it, JSON.
    pub data: Value,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
    /// When it happened.
    pub created_at: OffsetDateTime,
}

impl DomainEvent {
    /// The JSON that listeners get, on `lunas.events` and live: what was written, and always `id`,
    /// `type`, `order_code` and `at`.
    pub fn body(&self) -> Map<String, Value> {
        let mut body = match &self.data {
            Value::Object(fields) => fields.clone(),
            other => Map::from_iter([("value".to_owned(), other.clone())]),
        };
        body.insert("id".to_owned(), self.id.into());
        body.insert("type".to_owned(), self.event_type.as_str().into());
        if let Some(order_code) = &self.order_code {
            body.insert("order_code".to_owned(), order_code.as_str().into());
        }
        body.entry("order_code").or_insert(Value::Null);
        // Formatting fails only for years of five digits.
        let at = self.created_at.format(&Rfc3339).unwrap_or_default();
        body.entry("at").or_insert_with(|| at.into());
        body
    }
}

/// What waits in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxBacklog {
    /// Events not published yet; counted up to [`OutboxBacklog::COUNTED`].
    pub waiting: u64,
    /// Age of the oldest of them; zero when there is none.
    pub oldest: Duration,
}

impl OutboxBacklog {
    /// Counting ends here, so that measuring a great backlog costs no more than a small one.
    pub const COUNTED: i64 = 100_000;
}

impl Store {
    /// The oldest events that wait, by id, at most `limit`.
    ///
    /// Ids are drawn before the commit, so an event may become visible after one with a higher id.
    /// Taking only what was written by transactions older than every running one means that
    /// whatever comes later was not yet committed when anything taken here was: two events of one
    /// order, whose writers wait for each other, are never taken in the wrong order.
    pub async fn relay_waiting(&self, limit: i64) -> Result<Vec<DomainEvent>, StoreError> {
        sqlx::query_as!(
            DomainEvent,
            r#"
            SELECT id, event_type, order_code, data, traceparent, created_at
            FROM domain_events
            WHERE published_at IS NULL
              AND written_by < pg_snapshot_xmin(pg_current_snapshot())
            ORDER BY id LIMIT $1
            "#,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the outbox"))
    }

    /// Marks events as published, if the lease is still held; else it changes nothing. Check and
    /// mark are one statement, and the lease cannot change hands in between.
    pub async fn relay_mark_published(
        &self,
        lease: &Lease,
        ids: &[i64],
    ) -> Result<Hold, StoreError> {
        sqlx::query_scalar!(
            r#"
            WITH held AS MATERIALIZED (
                SELECT FROM scheduler_lease
                WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > clock_timestamp()
                FOR SHARE
            ), marked AS (
                UPDATE domain_events SET published_at = now()
                WHERE id = ANY($4) AND published_at IS NULL AND EXISTS (SELECT FROM held)
            )
            SELECT EXISTS (SELECT FROM held) AS "held!"
            "#,
            lease.name(),
            lease.holder(),
            lease.token(),
            ids,
        )
        .fetch_one(self.pool())
        .await
        .map(Hold::of)
        .map_err(StoreError::of("marking published events"))
    }

    /// How much waits and for how long.
    pub async fn relay_backlog(&self) -> Result<OutboxBacklog, StoreError> {
        let found = sqlx::query!(
            r#"
            SELECT count(*) AS "waiting!",
                   coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
                       AS "oldest!"
            FROM (SELECT created_at FROM domain_events
                  WHERE published_at IS NULL ORDER BY id LIMIT $1) AS first
            "#,
            OutboxBacklog::COUNTED,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("measuring the outbox"))?;
        Ok(OutboxBacklog {
            waiting: u64::try_from(found.waiting).unwrap_or(0),
            oldest: Duration::try_from_secs_f64(found.oldest).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(data: Value) -> DomainEvent {
        DomainEvent {
            id: 7,
            event_type: "order.paid".to_owned(),
            order_code: Some("LNS-1".to_owned()),
            data,
            traceparent: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_body_always_says_what_it_is_about() {
        let written = event(json!({"status": "PAID", "at": "2026-03-14T02:12:41Z"}));
        assert_eq!(
            Value::from(written.body()),
            json!({"id": 7, "type": "order.paid", "order_code": "LNS-1", "status": "PAID",
                   "at": "2026-03-14T02:12:41Z"})
        );
        assert_eq!(
            Value::from(event(json!("bare")).body()),
            json!({"id": 7, "type": "order.paid", "order_code": "LNS-1", "value": "bare",
                   "at": "1970-01-01T00:00:00Z"})
        );
    }
}
