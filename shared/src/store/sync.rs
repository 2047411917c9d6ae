//! What asking about one order on the spot needs: its sessions with their transactions, which
//! orders are open, and whether anything has changed.

use std::time::Duration;

use time::OffsetDateTime;

use super::lease::interval;
use super::{Store, StoreError, Txn};

/// What a name stands for: an order with its sessions, or a session without an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSubject {
    /// The order.
    pub order_id: Option<i64>,
    /// Its code.
    pub order_code: Option<String>,
    /// The order's own word for its session, or the session that was named.
    pub session_id: Option<String>,
    /// What the order is, or the session where there is no order.
    pub status: String,
}

/// A session and one of its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSession {
    /// Midtrans' order id.
    pub session_id: String,
    /// Midtrans' id of the transaction; none has begun without one.
    pub transaction_id: Option<String>,
    /// Its status.
    pub status: Option<String>,
    /// What the fraud system said.
    pub fraud_status: Option<String>,
    /// Midtrans' word for the method.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
}

/// Since when something is open.
#[derive(Debug, Clone, Copy)]
pub enum Since {
    /// So long ago, by the database's clock.
    Ago(Duration),
    /// A moment.
    At(OffsetDateTime),
}

/// What an order, its sessions and what it got come to; without what changes by being looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncState {
    /// The order's status, or the session's.
    pub status: String,
    /// Differs when anything does.
    pub digest: String,
}

impl Store {
    /// The order of that code, or of the session of that id, or the session itself.
    pub async fn sync_subject(&self, name: &str) -> Result<Option<SyncSubject>, StoreError> {
        sqlx::query_as!(
            SyncSubject,
            r#"
            SELECT o.id AS order_id, o.order_code, o.session_id, o.status AS "status!"
            FROM orders o WHERE o.order_code = $1
            UNION ALL
            SELECT o.id, o.order_code, coalesce(o.session_id, p.session_id),
                   coalesce(o.status, p.status)
            FROM payments p LEFT JOIN orders o ON o.id = p.order_id
            WHERE p.session_id = $1
              AND NOT EXISTS (SELECT FROM orders named WHERE named.order_code = $1)
            "#,
            name,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("looking for an order to ask about"))
    }

    /// The sessions of an order, and the given one, oldest first, each as often as it has
    /// transactions.
    pub async fn sync_sessions(
        &self,
        order_id: Option<i64>,
        session_id: Option<&str>,
    ) -> Result<Vec<SyncSession>, StoreError> {
        sqlx::query_as!(
            SyncSession,
            r#"
            SELECT p.session_id, t.midtrans_transaction_id AS "transaction_id?",
                   t.status AS "status?", t.fraud_status, t.payment_type, t.payment_channel
            FROM payments p
            LEFT JOIN payment_transactions t ON t.payment_id = p.id
            WHERE p.order_id = $1 OR p.session_id = $2
            ORDER BY p.id, t.id
            "#,
            order_id,
            session_id,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the sessions to ask about"))
    }

    /// Orders and sessions without order that wait for a customer and were made since then, oldest
    /// first: codes and session ids.
    pub async fn sync_pending_since(&self, since: Since) -> Result<Vec<String>, StoreError> {
        let (at, ago) = match since {
            Since::At(at) => (Some(at), None),
            Since::Ago(ago) => (None, Some(interval(ago))),
        };
        sqlx::query_scalar!(
            r#"
            SELECT name AS "name!" FROM (
                SELECT order_code AS name, created_at FROM orders WHERE status = 'PENDING'
                UNION ALL
                SELECT session_id, created_at FROM payments_open WHERE order_code IS NULL
            ) AS open
            WHERE created_at >= coalesce($1, now() - $2::interval)
            ORDER BY created_at, name
            "#,
            at,
            ago,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for what is open"))
    }

    /// Keeps an order from changing until the transaction ends.
    pub async fn sync_lock_in_txn(
        &self,
        txn: &mut Txn,
        order_id: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query_scalar!("SELECT id FROM orders WHERE id = $1 FOR UPDATE", order_id)
            .fetch_optional(&mut **txn)
            .await
            .map_err(StoreError::of("locking an order"))?;
        Ok(())
    }

    /// What an order and its sessions, or a session without an order, come to now.
    pub async fn sync_state_in_txn(
        &self,
        txn: &mut Txn,
        order_id: Option<i64>,
        session_id: Option<&str>,
    ) -> Result<SyncState, StoreError> {
        sqlx::query_as!(
            SyncState,
            r#"
            WITH ordered AS (SELECT * FROM orders WHERE id = $1),
            session AS (
                SELECT * FROM payments WHERE order_id = $1 OR session_id = $2
            ), transaction AS (
                SELECT t.* FROM payment_transactions t JOIN session s ON s.id = t.payment_id
            ), ticket AS (
                SELECT t.id, t.voided_at FROM tickets t
                JOIN order_items i ON i.id = t.order_item_id WHERE i.order_id = $1
            )
            SELECT coalesce((SELECT status FROM ordered),
                            (SELECT status FROM session WHERE session_id = $2), 'unknown')
                       AS "status!",
                   md5(concat_ws(E'\n',
                       (SELECT to_jsonb(o) - 'updated_at' FROM ordered o),
                       (SELECT jsonb_agg(to_jsonb(s) - ARRAY['updated_at', 'checked_at',
                                   'next_check_at', 'checks'] ORDER BY s.id) FROM session s),
                       (SELECT jsonb_agg(to_jsonb(t) - ARRAY['updated_at', 'confirmed_at',
                                   'as_of'] ORDER BY t.id) FROM transaction t),
                       (SELECT jsonb_agg(to_jsonb(t) ORDER BY t.id) FROM ticket t)
                   )) AS "digest!"
            "#,
            order_id,
            session_id,
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("reading what an order comes to"))
    }
}
