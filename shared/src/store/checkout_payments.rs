//! Payment sessions as checkout makes them: the order and its sessions under lock, a new session,
//! who is getting an answer from Midtrans, and the answer.
//!
//! `checked_at` says when Midtrans was last asked about a session. While somebody is making its
//! payment it lies in the future: nobody else makes it before then.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Store, StoreError, Txn};

/// An order that somebody wants to pay, locked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckoutOrder {
    /// Primary key.
    pub id: i64,
    /// The shop's name of the order.
    pub order_code: String,
    /// The customer.
    pub user_id: String,
    /// `PENDING`, `PAID`, …
    pub status: String,
    /// Rupiah.
    pub gross_amount: i64,
    /// It was paid at some time.
    pub was_paid: bool,
    /// An operator closed it.
    pub closed_by_operator: bool,
    /// What it had reserved was given back.
    pub released: bool,
    /// When it closes unless paid.
    pub expires_at: OffsetDateTime,
    /// An event it holds tickets for has begun.
    pub event_past: bool,
    /// The clock.
    pub now: OffsetDateTime,
}

/// A session of an order, as checkout judges it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckoutSession {
    /// Primary key.
    pub id: i64,
    /// Midtrans' order id.
    pub session_id: String,
    /// The word of the transaction that decided.
    pub status: String,
    /// Its fraud status.
    pub fraud_status: Option<String>,
    /// Midtrans' id of it; `None` while there is none.
    pub transaction_id: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// The shop's word.
    pub method: Option<String>,
    /// Goes with it.
    pub bank: Option<String>,
    /// Goes with it.
    pub store: Option<String>,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// Midtrans' page, where it is one.
    pub snap_token: Option<String>,
    /// Until when it can be paid.
    pub expires_at: Option<OffsetDateTime>,
    /// Midtrans' answer is stored.
    pub answered: bool,
    /// Somebody is getting the answer.
    pub busy: bool,
    /// It cannot be paid any more.
    pub over: bool,
}

/// A session to open.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession<'a> {
    /// Midtrans' order id.
    pub session_id: &'a str,
    /// The order; none for a payment that stands alone.
    pub order_id: Option<i64>,
    /// The customer, where known.
    pub user_id: Option<&'a str>,
    /// Rupiah.
    pub gross_amount: i64,
    /// The shop's word.
    pub method: &'a str,
    /// Goes with it.
    pub bank: Option<&'a str>,
    /// Goes with it.
    pub store: Option<&'a str>,
    /// How long it can be paid, in seconds.
    pub life_seconds: f64,
    /// When the reconciler looks at it first, in seconds.
    pub check_in_seconds: f64,
    /// How long its opener has to make the payment, in seconds.
    pub busy_seconds: f64,
}

/// What became of opening a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It is there.
    New,
    /// Its id belongs to a payment that was there before.
    IdTaken,
}

/// What Midtrans answered when a payment was made.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionAnswer<'a> {
    /// The answer.
    pub answer: &'a Value,
    /// Names Midtrans' page.
    pub snap_token: Option<&'a str>,
    /// Where the customer goes.
    pub redirect_url: Option<&'a str>,
}

impl Store {
    /// Locks an order by its code.
    pub async fn checkout_order_lock_in_txn(
        &self,
        txn: &mut Txn,
        order_code: &str,
    ) -> Result<Option<CheckoutOrder>, StoreError> {
        sqlx::query_as!(
            CheckoutOrder,
            r#"
            SELECT o.id, o.order_code, o.user_id, o.status, o.gross_amount,
                   o.paid_at IS NOT NULL AS "was_paid!",
                   coalesce(o.resolution = 'close', false) AS "closed_by_operator!",
                   coalesce(o.capacity_released_at, o.stock_released_at) IS NOT NULL
                       AS "released!",
                   o.expires_at,
                   EXISTS (SELECT FROM order_items i JOIN capacity_slots s ON s.id = i.slot_id
                           WHERE i.order_id = o.id AND s.starts_at <= now()) AS "event_past!",
                   now() AS "now!"
            FROM orders o WHERE o.order_code = $1 FOR NO KEY UPDATE OF o
            "#,
            order_code,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking an order to be paid"))
    }

    /// Locks the sessions of an order, oldest first, as the global lock order wants it.
    pub async fn checkout_sessions_lock_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
    ) -> Result<Vec<CheckoutSession>, StoreError> {
        sqlx::query_as!(
            CheckoutSession,
            r#"
            SELECT p.id, p.session_id, p.status, t.fraud_status,
                   t.midtrans_transaction_id AS "transaction_id?", p.gross_amount, p.method,
                   p.bank, p.store, p.payment_type, p.payment_channel, p.snap_token,
                   p.expires_at, p.charged_at IS NOT NULL AS "answered!",
                   (p.charged_at IS NULL AND coalesce(p.checked_at > clock_timestamp(), false))
                       AS "busy!",
                   coalesce(p.expires_at <= now(), false) AS "over!"
            FROM payments p
            LEFT JOIN LATERAL (
                SELECT midtrans_transaction_id, fraud_status FROM payment_transactions
                WHERE payment_id = p.id AND status = p.status ORDER BY id DESC LIMIT 1
            ) t ON true
            WHERE p.order_id = $1 ORDER BY p.id FOR NO KEY UPDATE OF p
            "#,
            order_id,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking the sessions of an order"))
    }

    /// Opens a session. One that a notification made, and that no transaction was believed of,
    /// becomes this one.
    pub async fn checkout_session_open_in_txn(
        &self,
        txn: &mut Txn,
        new: &NewSession<'_>,
    ) -> Result<Opened, StoreError> {
        let opened = sqlx::query_scalar!(
            r#"
            INSERT INTO payments AS p (session_id, order_id, origin, user_id, gross_amount, method,
                                       bank, store, expires_at, next_check_at, checked_at)
            VALUES ($1, $2, 'checkout', $3, $4, $5, $6, $7,
                    now() + make_interval(secs => $8), now() + make_interval(secs => $9),
                    clock_timestamp() + make_interval(secs => $10))
            ON CONFLICT (session_id) DO UPDATE
            SET order_id = excluded.order_id, origin = 'checkout', user_id = excluded.user_id,
                gross_amount = excluded.gross_amount, method = excluded.method,
                bank = excluded.bank, store = excluded.store, expires_at = excluded.expires_at,
                next_check_at = excluded.next_check_at, checked_at = excluded.checked_at,
                updated_at = now()
            WHERE p.origin = 'webhook' AND p.status = 'created' AND p.method IS NULL
              AND coalesce(p.order_id = excluded.order_id, p.order_id IS NULL)
              AND NOT EXISTS (SELECT FROM payment_transactions t WHERE t.payment_id = p.id)
            RETURNING id
            "#,
            new.session_id,
            new.order_id,
            new.user_id,
            new.gross_amount,
            new.method,
            new.bank,
            new.store,
            new.life_seconds,
            new.check_in_seconds,
            new.busy_seconds,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("opening a payment session"))?;
        Ok(opened.map_or(Opened::IdTaken, |_| Opened::New))
    }

    /// Makes a session the newest of its order, and gives the order new time where it says so.
    pub async fn checkout_order_point_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
        session_id: &str,
        new_ttl_seconds: Option<f64>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE orders
            SET session_id = $2,
                expires_at = coalesce(now() + make_interval(secs => $3), expires_at),
                updated_at = now()
            WHERE id = $1
            "#,
            order_id,
            session_id,
            new_ttl_seconds,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("pointing an order at its session"))?;
        Ok(())
    }

    /// Marks a session as busy, under the lock of its order.
    pub async fn checkout_session_claim_in_txn(
        &self,
        txn: &mut Txn,
        session_id: &str,
        busy_seconds: f64,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE payments SET checked_at = clock_timestamp() + make_interval(secs => $2)
            WHERE session_id = $1
            "#,
            session_id,
            busy_seconds,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("claiming a payment session"))?;
        Ok(())
    }

    /// Ends the claim of a session that got no answer: the next one need not wait.
    pub async fn checkout_session_release(&self, session_id: &str) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE payments SET checked_at = clock_timestamp()
            WHERE session_id = $1 AND charged_at IS NULL AND checked_at > clock_timestamp()
            "#,
            session_id,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("releasing a payment session"))?;
        Ok(())
    }

    /// Stores what Midtrans answered.
    pub async fn checkout_answer_in_txn(
        &self,
        txn: &mut Txn,
        session_id: &str,
        answer: &SessionAnswer<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE payments
            SET midtrans_response_json = $2, snap_token = $3, redirect_url = $4,
                charged_at = coalesce(charged_at, now()), checked_at = clock_timestamp(),
                updated_at = now()
            WHERE session_id = $1
            "#,
            session_id,
            answer.answer,
            answer.snap_token,
            answer.redirect_url,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("storing Midtrans' answer"))?;
        Ok(())
    }

    /// Stores why Midtrans made no payment, for those who wait for it.
    pub async fn checkout_refusal_in_txn(
        &self,
        txn: &mut Txn,
        session_id: &str,
        refusal: &Value,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE payments
            SET midtrans_response_json = $2, checked_at = clock_timestamp(), updated_at = now()
            WHERE session_id = $1
            "#,
            session_id,
            refusal,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("storing Midtrans' refusal"))?;
        Ok(())
    }

    /// Whether the caller is the one who may ask Midtrans about a session now: once in so many
    /// seconds, over all processes.
    pub async fn checkout_check_claim(
        &self,
        session_id: &str,
        every_seconds: f64,
    ) -> Result<bool, StoreError> {
        let claimed = sqlx::query!(
            r#"
            UPDATE payments SET checked_at = clock_timestamp()
            WHERE session_id = $1
              AND (checked_at IS NULL
                   OR checked_at <= clock_timestamp() - make_interval(secs => $2))
            "#,
            session_id,
            every_seconds,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("claiming a status check"))?;
        Ok(claimed.rows_affected() == 1)
    }
}
