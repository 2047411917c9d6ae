//! What the rules of alerts count: how many, how many of late, how much money, and the oldest.
//!
//! Counting stops at 10,000: whoever is told that number does not need a larger one.

use std::time::Duration;

use time::OffsetDateTime;

use super::lease::interval;
use super::{Store, StoreError, Txn};
use crate::domain::alerts::{Case, Tally};

/// A tally and the columns of its oldest.
struct Row {
    count: i64,
    recent: i64,
    total: i64,
    id: i64,
    order_code: Option<String>,
    session_id: Option<String>,
    order_status: Option<String>,
    payment_status: Option<String>,
    amount: Option<i64>,
    since: OffsetDateTime,
    note: Option<String>,
}

impl From<Row> for Tally {
    fn from(row: Row) -> Self {
        Self {
            count: row.count,
            recent: row.recent,
            amount: row.total,
            oldest: Case {
                id: row.id,
                order_code: row.order_code,
                session_id: row.session_id,
                order_status: row.order_status,
                payment_status: row.payment_status,
                amount: row.amount,
                since: row.since,
                notes: row.note.into_iter().collect(),
            },
        }
    }
}

impl Store {
    /// Payments that came by webhook and have no order.
    pub async fn alerts_orphans_in_txn(&self, txn: &mut Txn) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, session_id, status, gross_amount, created_at FROM payments
                WHERE order_id IS NULL AND origin = 'webhook'
                ORDER BY created_at LIMIT 10000)
            SELECT t.count AS "count!", recent.count AS "recent!", t.total AS "total!",
                   f.id AS "id!", NULL::text AS order_code, f.session_id AS "session_id?",
                   NULL::text AS order_status, f.status AS "payment_status?",
                   f.gross_amount AS "amount?", f.created_at AS "since!", NULL::text AS note
            FROM (SELECT count(*) AS count, sum(gross_amount)::bigint AS total FROM found) AS t
            CROSS JOIN (
                SELECT count(*) AS count FROM (
                    SELECT FROM payments
                    WHERE order_id IS NULL AND origin = 'webhook'
                      AND created_at > now() - interval '1 hour'
                    LIMIT 10000) AS newest) AS recent
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY created_at LIMIT 1) AS f
            "#,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting orphans"))?;
        Ok(row.map(Tally::from))
    }

    /// Payments that are open for longer than that past their time.
    pub async fn alerts_stuck_payments_in_txn(
        &self,
        txn: &mut Txn,
        past: Duration,
    ) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, session_id, order_code, status, gross_amount, due_at
                FROM payments_open WHERE due_at <= now() - $1::interval
                ORDER BY due_at LIMIT 10000)
            SELECT t.count AS "count!", 0::bigint AS "recent!", t.total AS "total!", f.id AS "id!",
                   f.order_code AS "order_code?", f.session_id AS "session_id?",
                   o.status AS "order_status?", f.status AS "payment_status?",
                   f.gross_amount AS "amount?", f.due_at AS "since!", NULL::text AS note
            FROM (SELECT count(*) AS count, sum(gross_amount)::bigint AS total FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY due_at LIMIT 1) AS f
            LEFT JOIN orders o ON o.order_code = f.order_code
            "#,
            interval(past),
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting stuck payments"))?;
        Ok(row.map(Tally::from))
    }

    /// Orders that are open for longer than that past their time.
    pub async fn alerts_stuck_orders_in_txn(
        &self,
        txn: &mut Txn,
        past: Duration,
    ) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, order_code, session_id, status, gross_amount, expires_at FROM orders
                WHERE status = 'PENDING' AND expires_at <= now() - $1::interval
                ORDER BY expires_at LIMIT 10000)
            SELECT t.count AS "count!", 0::bigint AS "recent!", t.total AS "total!", f.id AS "id!",
                   f.order_code AS "order_code?", f.session_id AS "session_id?",
                   f.status AS "order_status?", p.status AS "payment_status?",
                   f.gross_amount AS "amount?", f.expires_at AS "since!", NULL::text AS note
            FROM (SELECT count(*) AS count, sum(gross_amount)::bigint AS total FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY expires_at LIMIT 1) AS f
            LEFT JOIN payments p ON p.session_id = f.session_id
            "#,
            interval(past),
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting stuck orders"))?;
        Ok(row.map(Tally::from))
    }

    /// Dead letters that nobody has settled.
    pub async fn alerts_dead_letters_in_txn(
        &self,
        txn: &mut Txn,
    ) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, order_code, session_id, amount, reason, first_failed_at
                FROM dead_letters WHERE status IN ('dead', 'replaying')
                ORDER BY id LIMIT 10000)
            SELECT t.count AS "count!", 0::bigint AS "recent!", t.total AS "total!", f.id AS "id!",
                   f.order_code AS "order_code?", f.session_id AS "session_id?",
                   o.status AS "order_status?", p.status AS "payment_status?",
                   f.amount AS "amount?", f.first_failed_at AS "since!", f.reason AS note
            FROM (SELECT count(*) AS count, coalesce(sum(amount), 0)::bigint AS total
                  FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY first_failed_at LIMIT 1) AS f
            LEFT JOIN orders o ON o.order_code = f.order_code
            LEFT JOIN payments p ON p.session_id = f.session_id
            "#,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting dead letters"))?;
        Ok(row.map(Tally::from))
    }

    /// What the reconciler has mended within a day.
    pub async fn alerts_repairs_in_txn(&self, txn: &mut Txn) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, order_code, session_id, event_type, created_at FROM payment_sync_logs
                WHERE event_type LIKE 'reconcile\_%' AND created_at > now() - interval '1 day'
                ORDER BY created_at LIMIT 10000)
            SELECT t.count AS "count!", 0::bigint AS "recent!", 0::bigint AS "total!",
                   f.id AS "id!", f.order_code AS "order_code?", f.session_id AS "session_id?",
                   o.status AS "order_status?", p.status AS "payment_status?",
                   o.gross_amount AS "amount?", f.created_at AS "since!", f.event_type AS note
            FROM (SELECT count(*) AS count FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY created_at LIMIT 1) AS f
            LEFT JOIN orders o ON o.order_code = f.order_code
            LEFT JOIN payments p ON p.session_id = f.session_id
            "#,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting repairs"))?;
        Ok(row.map(Tally::from))
    }

    /// Notifications that the status API contradicted, or whose transaction it does not know, within a
    /// day.
    pub async fn alerts_refused_in_txn(&self, txn: &mut Txn) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS (
                SELECT id, order_code, session_id, event_type, created_at FROM payment_sync_logs
                WHERE event_type IN ('notification_refused', 'confirm_gave_up')
                  AND created_at > now() - interval '1 day'
                ORDER BY created_at LIMIT 10000)
            SELECT t.count AS "count!", 0::bigint AS "recent!", 0::bigint AS "total!",
                   f.id AS "id!", f.order_code AS "order_code?", f.session_id AS "session_id?",
                   o.status AS "order_status?", p.status AS "payment_status?",
                   o.gross_amount AS "amount?", f.created_at AS "since!", f.event_type AS note
            FROM (SELECT count(*) AS count FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY created_at LIMIT 1) AS f
            LEFT JOIN orders o ON o.order_code = f.order_code
            LEFT JOIN payments p ON p.session_id = f.session_id
            "#,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("counting refused notifications"))?;
        Ok(row.map(Tally::from))
    }

    /// The newest payments of the last day that wait for their customers and are older than that,
    /// at most so many; `None` when a notification about any of them came. Midtrans notifies of
    /// every payment that begins, so this does not depend on how much is sold.
    pub async fn alerts_silence_in_txn(
        &self,
        txn: &mut Txn,
        after: Duration,
        newest: i64,
    ) -> Result<Option<Tally>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"
            WITH found AS MATERIALIZED (
                SELECT id, session_id, order_id, status, gross_amount, created_at FROM payments
                WHERE next_check_at IS NOT NULL AND status = 'pending' AND origin = 'checkout'
                  AND created_at <= now() - $1::interval
                  AND created_at > now() - interval '1 day'
                ORDER BY created_at DESC LIMIT $2)
            SELECT t.count AS "count!", 0::bigint AS "recent!", t.total AS "total!", f.id AS "id!",
                   o.order_code AS "order_code?", f.session_id AS "session_id?",
                   o.status AS "order_status?", f.status AS "payment_status?",
                   f.gross_amount AS "amount?", f.created_at AS "since!", NULL::text AS note
            FROM (SELECT count(*) AS count, sum(gross_amount)::bigint AS total FROM found) AS t
            CROSS JOIN LATERAL (SELECT * FROM found ORDER BY created_at LIMIT 1) AS f
            LEFT JOIN orders o ON o.id = f.order_id
            WHERE NOT EXISTS (
                SELECT FROM found n JOIN payment_webhook_events e ON e.order_id = n.session_id)
            "#,
            interval(after),
            newest,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("looking for payments without notification"))?;
        Ok(row.map(Tally::from))
    }
}
