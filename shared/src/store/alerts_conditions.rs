//! What the rules of alerts ask: rows of single orders and payments.
//!
//! Each question goes through an index that holds little else than what it looks for, and is
//! bounded, so that asking costs what is wrong and not what is stored. What is counted instead is
//! in [`alerts_tallies`](super::alerts_tallies).

use std::time::Duration;

use time::OffsetDateTime;

use super::lease::interval;
use super::{Store, StoreError, Txn};
use crate::domain::alerts::Case;

/// Orders in review: those that were paid after their hold was released, or all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewKind {
    /// With the reason `paid_after_release`.
    PaidAfterRelease,
    /// Without it.
    Other,
}

/// What is sold or reserved beyond what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversold {
    /// The slot's id or the variant's SKU.
    pub ware: String,
    /// When its counters last changed.
    pub since: OffsetDateTime,
}

impl Store {
    /// Begins asking. The planner may not scan: a plan made while a table was nearly empty would
    /// be kept, and get slower with every row. No question may take long either.
    pub async fn alerts_begin(&self) -> Result<Txn, StoreError> {
        let mut txn = self.begin().await?;
        for setting in [
            "SET LOCAL enable_seqscan = off",
            "SET LOCAL jit = off",
            "SET LOCAL statement_timeout = '5s'",
        ] {
            sqlx::query(setting)
                .execute(&mut *txn)
                .await
                .map_err(StoreError::of("beginning to look for alerts"))?;
        }
        Ok(txn)
    }

    /// Payments that are paid, for so long, while their order does not say so: what the view
    /// `payments_mismatched` shows, asked each minute. So of closed orders only the newest are looked
    /// at, each of which was looked at many times before newer ones take its place, and those that an
    /// open alert names.
    pub async fn alerts_paid_not_applied_in_txn(
        &self,
        txn: &mut Txn,
        after: Duration,
        limit: i64,
    ) -> Result<Vec<Case>, StoreError> {
        sqlx::query_as!(
            Case,
            r#"
            WITH closed AS MATERIALIZED (
                SELECT id, order_code, status, updated_at, resolution FROM orders
                WHERE status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
                  AND updated_at > now() - interval '7 days'
                ORDER BY updated_at DESC LIMIT 20000),
            o AS MATERIALIZED (
                SELECT id, order_code, status, updated_at FROM orders WHERE status = 'PENDING'
                UNION
                SELECT id, order_code, status, updated_at FROM closed
                WHERE resolution IS DISTINCT FROM 'close'
                UNION
                SELECT n.id, n.order_code, n.status, n.updated_at
                FROM alerts a JOIN orders n ON n.order_code = a.order_code
                WHERE a.resolved_at IS NULL AND a.rule = 'paid_not_applied'
                  AND n.status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
                  AND n.resolution IS DISTINCT FROM 'close')
            SELECT p.id, o.order_code AS "order_code?", p.session_id AS "session_id?",
                   o.status AS "order_status?", p.status AS "payment_status?",
                   p.gross_amount AS "amount?", greatest(p.updated_at, o.updated_at) AS "since!",
                   '{}'::text[] AS "notes!"
            FROM o
            -- From the orders to their payments, never the other way: for the sake of a limit the
            -- planner would walk all payments in the order of their ids.
            CROSS JOIN LATERAL (
                SELECT * FROM payments p
                WHERE p.order_id = o.id AND p.status IN ('settlement', 'capture') OFFSET 0) AS p
            JOIN LATERAL (
                SELECT FROM payment_transactions t
                WHERE t.payment_id = p.id
                  AND (t.status = 'settlement'
                       OR t.status = 'capture' AND coalesce(t.fraud_status, 'accept') = 'accept')
                LIMIT 1) AS paid ON true
            WHERE greatest(p.updated_at, o.updated_at) <= now() - $1::interval
            ORDER BY p.id LIMIT $2
            "#,
            interval(after),
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for paid payments of unpaid orders"))
    }

    /// Orders in review, with their reasons.
    pub async fn alerts_in_review_in_txn(
        &self,
        txn: &mut Txn,
        kind: ReviewKind,
        limit: i64,
    ) -> Result<Vec<Case>, StoreError> {
        sqlx::query_as!(
            Case,
            r#"
            SELECT o.id, o.order_code AS "order_code?", o.session_id,
                   o.status AS "order_status?", p.status AS "payment_status?",
                   o.gross_amount AS "amount?",
                   coalesce(p.paid_at, o.updated_at) AS "since!", o.review_reasons AS notes
            FROM orders o LEFT JOIN payments p ON p.session_id = o.session_id
            WHERE o.status = 'REVIEW'
              AND (o.review_reasons @> '{paid_after_release}') = $1
            ORDER BY o.id LIMIT $2
            "#,
            kind == ReviewKind::PaidAfterRelease,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for orders in review"))
    }

    /// Orders that are paid more than once.
    pub async fn alerts_paid_twice_in_txn(
        &self,
        txn: &mut Txn,
        limit: i64,
    ) -> Result<Vec<Case>, StoreError> {
        sqlx::query_as!(
            Case,
            r#"
            SELECT o.id, o.order_code AS "order_code?", o.session_id,
                   o.status AS "order_status?", p.status AS "payment_status?",
                   o.gross_amount AS "amount?",
                   o.updated_at AS since, o.review_reasons AS notes
            FROM orders o LEFT JOIN payments p ON p.session_id = o.session_id
            WHERE o.status IN ('PAID', 'PARTIALLY_REFUNDED')
              AND o.review_reasons @> '{duplicate_payment}'
            ORDER BY o.id LIMIT $1
            "#,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for orders paid twice"))
    }

    /// Orders of the last week whose status has demanded for so long what was not done: paid ones
    /// that got nothing, closed ones that gave nothing back. One transaction does all of it, so an
    /// order that got a part was changed by hand; the reconciler and `lunas doctor` compare those.
    pub async fn alerts_effects_missing_in_txn(
        &self,
        txn: &mut Txn,
        after: Duration,
        limit: i64,
    ) -> Result<Vec<Case>, StoreError> {
        sqlx::query_as!(
            Case,
            r#"
            SELECT o.id AS "id!", o.order_code, o.session_id, o.status AS order_status,
                   p.status AS "payment_status?", o.gross_amount AS amount, o.since AS "since!",
                   ARRAY[o.note] AS "notes!"
            FROM (
                SELECT id, order_code, session_id, status, gross_amount, paid_at AS since,
                       'nothing was handed out' AS note
                FROM orders
                WHERE status IN ('PAID', 'PARTIALLY_REFUNDED')
                  AND tickets_issued_at IS NULL AND stock_confirmed_at IS NULL
                  AND paid_at > now() - interval '7 days' AND paid_at <= now() - $1::interval
                UNION ALL
                SELECT id, order_code, session_id, status, gross_amount, updated_at,
                       'what it held was not given back'
                FROM orders
                WHERE status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
                  AND capacity_released_at IS NULL AND stock_released_at IS NULL
                  AND picked_up_at IS NULL
                  AND updated_at > now() - interval '7 days'
                  AND updated_at <= now() - $1::interval) AS o
            LEFT JOIN payments p ON p.session_id = o.session_id
            WHERE EXISTS (SELECT FROM order_items i WHERE i.order_id = o.id)
            ORDER BY o.id LIMIT $2
            "#,
            interval(after),
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for effects that are missing"))
    }

    /// Wares of which more is sold or reserved than there is. The tables' constraints forbid it:
    /// what is found here was written around them, or they were lost in a restore.
    pub async fn alerts_oversold_in_txn(
        &self,
        txn: &mut Txn,
        limit: i64,
    ) -> Result<Vec<Oversold>, StoreError> {
        sqlx::query_as!(
            Oversold,
            r#"
            SELECT id AS "ware!", updated_at AS "since!" FROM capacity_slots
            WHERE reserved + sold > capacity OR reserved < 0 OR sold < 0
            UNION ALL
            SELECT sku, updated_at FROM product_variants
            WHERE reserved > stock OR reserved < 0 OR sold < 0
            ORDER BY 1 LIMIT $1
            "#,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for what is oversold"))
    }
}
