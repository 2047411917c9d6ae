//! The history of an order: what was notified, what was done, what was told.
//!
//! Three sources, each read by its own key and merged by time. Raw bodies and signatures never
//! leave the database by this way.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelineItem {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
    /// Where it stands among all items; not shown.
    #[serde(skip)]
    pub position: Position,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// Midtrans notified.
    Notification {
        /// Midtrans' `order_id`.
        session_id: String,
        /// Midtrans' id of the transaction.
        transaction_id: String,
        /// The status it spoke of.
        status: Option<String>,
        /// The fraud status it spoke of.
        fraud_status: Option<String>,
        /// What became of it.
        verdict: String,
        /// Why it changed nothing, where it did not.
        reason: Option<String>,
        /// How often it came.
        deliveries: i32,
    },
    /// Something was done or found.
    Log {
        /// The session it concerns.
        session_id: Option<String>,
        /// Who started it: `webhook`, `poll`, `admin`, …
        sync_type: String,
        /// What it was.
        event_type: String,
        /// The state before.
        from_status: Option<String>,
        /// The state after.
        to_status: Option<String>,
        /// The operator, if one did it.
        actor: Option<String>,
        /// What else is known.
        detail: Option<Value>,
    },
    /// A domain event was written.
    Event {
        /// Its id.
        id: i64,
        /// E.g. `order.paid`.
        event_type: String,
        /// What it says.
        data: Value,
        /// When listeners were told.
        #[serde(with = "time::serde::rfc3339::option")]
        published_at: Option<OffsetDateTime>,
    },
}

/// The place of an item in the order of all: by time, then by source, then by key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When.
    pub at: OffsetDateTime,
    /// Which item of that moment.
    pub key: PositionKey,
}

/// Which of the items of one moment; a notification comes before what it caused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PositionKey {
    /// A notification, by its event key.
    Notification(Vec<u8>),
    /// A log row, by its id.
    Log(i64),
    /// A domain event, by its id.
    Event(i64),
}

impl Position {
    /// Before everything.
    pub const START: Self = Self {
        at: OffsetDateTime::UNIX_EPOCH,
        key: PositionKey::Notification(Vec::new()),
    };

    /// Notifications after this position have a higher (time, key) than this.
    fn notification_key(&self) -> Vec<u8> {
        match &self.key {
            PositionKey::Notification(key) => key.clone(),
            // Above every key of 32 bytes.
            PositionKey::Log(_) | PositionKey::Event(_) => vec![0xff; 33],
        }
    }

    fn log_id(&self) -> i64 {
        match self.key {
            PositionKey::Notification(_) => i64::MIN,
            PositionKey::Log(id) => id,
            PositionKey::Event(_) => i64::MAX,
        }
    }

    fn event_id(&self) -> i64 {
        match self.key {
            PositionKey::Notification(_) | PositionKey::Log(_) => i64::MIN,
            PositionKey::Event(id) => id,
        }
    }
}

impl Store {
    /// What happened to an order after `after`, in the order of time, at most `limit` items.
    /// `code` may also be the session id of a payment without an order. `None` when there is
    /// neither.
    pub async fn timeline_read(
        &self,
        code: &str,
        after: &Position,
        limit: i64,
    ) -> Result<Option<Vec<TimelineItem>>, StoreError> {
        let sessions = self.timeline_sessions(code).await?;
        if sessions.is_empty() {
            return Ok(None);
        }
        let mut items = self.timeline_notifications(&sessions, after, limit).await?;
        items.extend(self.timeline_logs(code, &sessions, after, limit).await?);
        items.extend(self.timeline_events(code, after, limit).await?);
        items.sort_unstable_by(|a, b| a.position.cmp(&b.position));
        items.truncate(usize::try_from(limit).unwrap_or(0));
        Ok(Some(items))
    }

    /// The sessions whose history is the order's. The order's own code is one of them: a
    /// notification may have come, and died, before there was a payment.
    async fn timeline_sessions(&self, code: &str) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT order_code AS "session!" FROM orders WHERE order_code = $1
            UNION
            SELECT session_id FROM orders WHERE order_code = $1 AND session_id IS NOT NULL
            UNION
            SELECT p.session_id FROM payments p JOIN orders o ON o.id = p.order_id
            WHERE o.order_code = $1
            UNION
            SELECT session_id FROM payments WHERE session_id = $1
            "#,
            code,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the sessions of an order"))
    }

    async fn timeline_notifications(
        &self,
        sessions: &[String],
        after: &Position,
        limit: i64,
    ) -> Result<Vec<TimelineItem>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT event_key, received_at, order_id, midtrans_transaction_id, verdict,
                   processing_error, deliveries,
                   raw_body ->> 'transaction_status' AS status,
                   raw_body ->> 'fraud_status' AS fraud_status
            FROM payment_webhook_events
            WHERE order_id = ANY($1) AND (received_at, event_key) > ($2, $3)
            ORDER BY received_at, event_key LIMIT $4
            "#,
            sessions,
            after.at,
            after.notification_key(),
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the notifications of an order"))?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let what = Happening::Notification {
                    session_id: row.order_id,
                    transaction_id: row.midtrans_transaction_id,
                    status: row.status,
                    fraud_status: row.fraud_status,
                    verdict: row.verdict,
                    reason: row.processing_error,
                    deliveries: row.deliveries,
                };
                let key = PositionKey::Notification(row.event_key);
                item(row.received_at, key, what)
            })
            .collect())
    }

    async fn timeline_logs(
        &self,
        code: &str,
        sessions: &[String],
        after: &Position,
        limit: i64,
    ) -> Result<Vec<TimelineItem>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT id, created_at, session_id, sync_type, event_type, from_status, to_status,
                   actor, detail
            FROM payment_sync_logs
            WHERE (order_code = $1 OR (order_code IS NULL AND session_id = ANY($2))) AND (created_at, id) > ($3, $4)
            ORDER BY created_at, id LIMIT $5
            "#,
            code,
            sessions,
            after.at,
            after.log_id(),
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the log of an order"))?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let what = Happening::Log {
                    session_id: row.session_id,
                    sync_type: row.sync_type,
                    event_type: row.event_type,
                    from_status: row.from_status,
                    to_status: row.to_status,
                    actor: row.actor,
                    detail: row.detail,
                };
                item(row.created_at, PositionKey::Log(row.id), what)
            })
            .collect())
    }

    async fn timeline_events(
        &self,
        code: &str,
        after: &Position,
        limit: i64,
    ) -> Result<Vec<TimelineItem>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT id, created_at, event_type, data, published_at
            FROM domain_events
            WHERE order_code = $1 AND (created_at, id) > ($2, $3)
            ORDER BY created_at, id LIMIT $4
            "#,
            code,
            after.at,
            after.event_id(),
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the events of an order"))?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let what = Happening::Event {
                    id: row.id,
                    event_type: row.event_type,
                    data: row.data,
                    published_at: row.published_at,
                };
                item(row.created_at, PositionKey::Event(row.id), what)
            })
            .collect())
    }
}

fn item(at: OffsetDateTime, key: PositionKey, what: Happening) -> TimelineItem {
    TimelineItem {
        at,
        what,
        position: Position { at, key },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_moment_a_notification_comes_before_what_it_caused() {
        let at = OffsetDateTime::UNIX_EPOCH;
        let keys = [
            PositionKey::Notification(vec![0; 32]),
            PositionKey::Notification(vec![255; 32]),
            PositionKey::Log(1),
            PositionKey::Log(9),
            PositionKey::Event(1),
        ];
        let positions = keys.map(|key| Position { at, key });
        assert!(positions.is_sorted_by(|a, b| a < b));
        // The keys handed to each source keep the same order.
        assert!(positions[2].notification_key() > vec![255; 32]);
        assert_eq!(
            (positions[1].log_id(), positions[4].log_id()),
            (i64::MIN, i64::MAX)
        );
        assert_eq!(
            (positions[3].event_id(), positions[4].event_id()),
            (i64::MIN, 1)
        );
    }
}
