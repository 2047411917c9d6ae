//! What a recovery looks at: sessions that were open since a moment, and stored notifications that
//! did not take effect.

use serde::Serialize;
use time::OffsetDateTime;

use super::lease::interval;
use super::sync::Since;
use super::{Store, StoreError};

/// A session, before or after a recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoverySession {
    /// Midtrans' order id.
    pub session_id: String,
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// Midtrans' word, or `created`.
    pub status: String,
    /// What the order is.
    pub order_status: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// Whether a transaction of it is known.
    pub started: bool,
}

/// A stored notification that did not take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedEvent {
    /// Its key.
    pub event_key: Vec<u8>,
    /// When it came.
    pub received_at: OffsetDateTime,
    /// What it said.
    pub raw_body: String,
}

impl Store {
    /// The moment that is meant, by the database's clock.
    pub async fn recover_moment(&self, since: Since) -> Result<OffsetDateTime, StoreError> {
        let ago = match since {
            Since::At(at) => return Ok(at),
            Since::Ago(ago) => interval(ago),
        };
        sqlx::query_scalar!(r#"SELECT now() - $1::interval AS "at!""#, ago)
            .fetch_one(self.pool())
            .await
            .map_err(StoreError::of("reading the clock"))
    }

    /// Sessions that were open at a moment or after it, in the order of their making, after an id.
    pub async fn recover_sessions(
        &self,
        since: OffsetDateTime,
    ) -> Result<Vec<RecoverySession>, StoreError> {
        sqlx::query_as!(
            RecoverySession,
            r#"
            SELECT p.session_id AS "session_id!", o.order_code AS "order_code?",
                   p.status AS "status!", o.status AS "order_status?",
                   p.gross_amount AS "gross_amount!",
                   EXISTS (SELECT FROM payment_transactions t WHERE t.payment_id = p.id)
                       AS "started!"
            FROM payments p LEFT JOIN orders o ON o.id = p.order_id
            WHERE p.next_check_at IS NOT NULL OR p.created_at >= $1 OR p.updated_at >= $1
            ORDER BY p.id
            "#,
            since,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for sessions to recover"))
    }

    /// A page of stored notifications that did not take effect and came since a moment.
    pub async fn recover_events(
        &self,
        since: OffsetDateTime,
        after: &[u8],
        limit: i64,
    ) -> Result<Vec<UnfinishedEvent>, StoreError> {
        sqlx::query_as!(
            UnfinishedEvent,
            r#"
            SELECT event_key, received_at, raw_body::text AS "raw_body!"
            FROM payment_webhook_events
            WHERE received_at >= $1 AND verdict IN ('unconfirmed', 'dead') AND event_key > $2
            ORDER BY event_key LIMIT $3
            "#,
            since,
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for notifications without effect"))
    }

    /// Dead letters that nobody has settled, and the rupiah in them.
    pub async fn recover_dead_letters(&self) -> Result<(i64, i64), StoreError> {
        sqlx::query!(
            r#"
            SELECT count(*) AS "count!", coalesce(sum(amount), 0)::bigint AS "rupiah!"
            FROM dead_letters WHERE status = 'dead'
            "#
        )
        .fetch_one(self.pool())
        .await
        .map(|row| (row.count, row.rupiah))
        .map_err(StoreError::of("counting dead letters"))
    }
}
