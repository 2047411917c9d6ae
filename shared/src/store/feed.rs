//! The outbox as a stream that is read in the order of ids, by readers who come and go.
//!
//! Ids are drawn before the commit: an event may become visible after one with a higher id, and a
//! reader who remembers one id only would never see it. So a reader goes up to an id only when no
//! smaller one can appear any more. That is certain for an unbroken run of ids. For a gap (a
//! writer that is not done, or one that rolled back) it is certain once every transaction is over
//! that had begun to write when the ids behind the gap were already there: see [`Fence`].
//!
//! It takes two facts. A writer has its transaction id before it draws an event's id
//! ([`outbox`](super::outbox) sees to that), and transaction ids are given out in order.

use super::relay::DomainEvent;
use super::{Store, StoreError};

/// A moment in the life of the outbox. Whoever drew an id up to `last` had a transaction id below
/// that of the fence; when no transaction up to it runs any more, all these ids are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The highest id that was visible.
    pub last: i64,
    /// A transaction id drawn after that.
    xid: i64,
}

impl Store {
    /// Events after an id, in the order of ids, at most `limit`.
    pub async fn feed_after(
        &self,
        after: i64,
        up_to: i64,
        limit: i64,
    ) -> Result<Vec<DomainEvent>, StoreError> {
        sqlx::query_as!(
            DomainEvent,
            r#"
            SELECT id, event_type, order_code, data, traceparent, created_at
            FROM domain_events WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3
            "#,
            after,
            up_to,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading events"))
    }

    /// The same of one order.
    pub async fn feed_of_order_after(
        &self,
        order_code: &str,
        after: i64,
        up_to: i64,
        limit: i64,
    ) -> Result<Vec<DomainEvent>, StoreError> {
        sqlx::query_as!(
            DomainEvent,
            r#"
            SELECT id, event_type, order_code, data, traceparent, created_at
            FROM domain_events
            WHERE order_code = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4
            "#,
            order_code,
            after,
            up_to,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the events of an order"))
    }

    /// Sets up a fence behind what is visible now. The snapshot is older than the transaction id
    /// that the statement draws while it runs.
    pub async fn feed_fence(&self) -> Result<Fence, StoreError> {
        sqlx::query_as!(
            Fence,
            r#"
            SELECT coalesce(max(id), 0) AS "last!",
                   pg_current_xact_id()::text::bigint AS "xid!"
            FROM domain_events
            "#
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("fencing events"))
    }

    /// Whether every transaction that had begun to write before the fence is over.
    pub async fn feed_is_past(&self, fence: Fence) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1 AS "past!""#,
            fence.xid,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("looking at running transactions"))
    }
}
