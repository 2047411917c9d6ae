//! Payment sessions: making those a webhook brought, locking them, writing their projection.

use std::time::Duration;

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// A payment session as the projection sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRow {
    /// Primary key.
    pub id: i64,
    /// Midtrans' order id.
    pub session_id: String,
    /// The order it pays for, once known.
    pub order_id: Option<i64>,
    /// `checkout` or `webhook`.
    pub origin: String,
    /// Rupiah asked for.
    pub gross_amount: i64,
    /// The word of the transaction that decided.
    pub status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// When it was first paid.
    pub paid_at: Option<OffsetDateTime>,
}

/// A session that a webhook brought and nobody had created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPayment<'a> {
    /// Midtrans' order id.
    pub session_id: &'a str,
    /// The order it belongs to, when one was found.
    pub order_id: Option<i64>,
    /// Rupiah, as the webhook says.
    pub gross_amount: i64,
}

/// What a projection writes to a session.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentUpdate {
    /// Which payment.
    pub id: i64,
    /// The order, set where it was empty.
    pub order_id: Option<i64>,
    /// The new state.
    pub status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer, once known.
    pub payment_channel: Option<String>,
    /// Set once.
    pub paid_at: Option<OffsetDateTime>,
    /// When the gateway stops waiting for the customer, once known.
    pub expires_at: Option<OffsetDateTime>,
}

impl Store {
    /// Makes the sessions that do not exist yet. Rows are written in the order of their session
    /// ids, so that two batches that bring the same ones wait for, not on, each other.
    pub async fn payments_insert_missing_in_txn(
        &self,
        txn: &mut Txn,
        payments: &[NewPayment<'_>],
        first_check: Duration,
    ) -> Result<(), StoreError> {
        if payments.is_empty() {
            return Ok(());
        }
        columns!(payments,
            sessions: |p| p.session_id,
            orders: |p| p.order_id,
            amounts: |p| p.gross_amount,
        );
        sqlx::query!(
            r#"
            INSERT INTO payments (session_id, order_id, origin, gross_amount, next_check_at)
            SELECT p.session_id, p.order_id, 'webhook', p.gross_amount,
                   now() + make_interval(secs => $4)
            FROM unnest($1::text[], $2::bigint[], $3::bigint[])
                AS p (session_id, order_id, gross_amount)
            ORDER BY p.session_id
            ON CONFLICT (session_id) DO NOTHING
            "#,
            sessions as _,
            orders as _,
            &amounts,
            first_check.as_secs_f64(),
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("storing new payments"))?;
        Ok(())
    }

    /// Locks the named sessions and every other session of the named orders, by id: second in the
    /// one global lock order.
    pub async fn payments_lock_in_txn(
        &self,
        txn: &mut Txn,
        sessions: &[&str],
        orders: &[i64],
    ) -> Result<Vec<PaymentRow>, StoreError> {
        sqlx::query_as!(
            PaymentRow,
            r#"
            SELECT id, session_id, order_id, origin, gross_amount, status, payment_type,
                   payment_channel, paid_at
            FROM payments
            WHERE session_id = ANY($1::text[]) OR order_id = ANY($2::bigint[])
            ORDER BY id FOR NO KEY UPDATE
            "#,
            sessions as _,
            orders,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking payments"))
    }

    /// Writes what the projections say. A payment that may change again is checked again; one that
    /// is final keeps its check until the reconciler has seen that its order agrees.
    pub async fn payments_update_in_txn(
        &self,
        txn: &mut Txn,
        updates: &[PaymentUpdate],
        first_check: Duration,
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        columns!(updates,
            ids: |u| u.id,
            orders: |u| u.order_id,
            statuses: |u| u.status.as_str(),
            types: |u| u.payment_type.as_deref(),
            channels: |u| u.payment_channel.as_deref(),
            paid: |u| u.paid_at,
            expires: |u| u.expires_at,
        );
        sqlx::query!(
            r#"
            UPDATE payments p
            SET order_id = coalesce(p.order_id, u.order_id),
                status = u.status,
                payment_type = coalesce(u.payment_type, p.payment_type),
                payment_channel = coalesce(u.payment_channel, p.payment_channel),
                paid_at = coalesce(p.paid_at, u.paid_at),
                expires_at = coalesce(u.expires_at, p.expires_at),
                checks = CASE WHEN p.status = u.status THEN p.checks ELSE 0 END,
                next_check_at = CASE
                    WHEN p.next_check_at IS NULL
                         AND u.status IN ('created', 'pending', 'authorize', 'capture', 'deny')
                    THEN now() + make_interval(secs => $8) ELSE p.next_check_at END,
                updated_at = now()
            FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
                        $6::timestamptz[], $7::timestamptz[])
                AS u (id, order_id, status, payment_type, payment_channel, paid_at, expires_at)
            WHERE p.id = u.id
            "#,
            &ids,
            orders as _,
            statuses as _,
            types as _,
            channels as _,
            paid as _,
            expires as _,
            first_check.as_secs_f64(),
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing payments"))?;
        Ok(())
    }
}
