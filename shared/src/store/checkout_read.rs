//! What checkout reads without a lock: a payment with its order, and what an order lacks.

use serde_json::Value;
use time::OffsetDateTime;

use super::{Store, StoreError, Txn};

/// A payment session with what a shop may know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentRead {
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
    /// Names Midtrans' page.
    pub snap_token: Option<String>,
    /// Where the customer goes.
    pub redirect_url: Option<String>,
    /// What Midtrans answered.
    pub answer: Option<Value>,
    /// Whether there is an answer.
    pub answered: bool,
    /// Somebody is getting the answer.
    pub busy: bool,
    /// Until when it can be paid.
    pub expires_at: Option<OffsetDateTime>,
    /// How long that is, in seconds; below zero when it is over.
    pub left_seconds: Option<f64>,
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// The clock.
    pub now: OffsetDateTime,
}

/// The first line of an order that cannot be reserved again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// `ticket` or `product`.
    pub kind: String,
    /// Slot or SKU.
    pub item: String,
    /// How many the order wants, all its lines of it together.
    pub requested: i64,
    /// How many there are.
    pub available: i64,
}

impl Store {
    /// The newest session of the order of that code, or the session of that id.
    pub async fn checkout_payment_find(
        &self,
        code_or_session: &str,
    ) -> Result<Option<PaymentRead>, StoreError> {
        let named = sqlx::query_scalar!(
            r#"
            SELECT p.session_id FROM payments p LEFT JOIN orders o ON o.id = p.order_id
            WHERE p.session_id = $1 OR o.order_code = $1
            ORDER BY coalesce(o.order_code = $1, false) DESC,
                     coalesce(o.session_id = p.session_id, false) DESC, p.id DESC
            LIMIT 1
            "#,
            code_or_session,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("looking for a payment"))?;
        match named {
            Some(session_id) => self.checkout_payment_read(&session_id).await,
            None => Ok(None),
        }
    }

    /// The session of that id.
    pub async fn checkout_payment_read(
        &self,
        session_id: &str,
    ) -> Result<Option<PaymentRead>, StoreError> {
        sqlx::query_as!(
            PaymentRead,
            r#"
            SELECT p.session_id, p.status, t.fraud_status,
                   t.midtrans_transaction_id AS "transaction_id?", p.gross_amount, p.method,
                   p.bank, p.store, p.payment_type, p.payment_channel, p.snap_token,
                   p.redirect_url, p.midtrans_response_json AS answer,
                   p.charged_at IS NOT NULL AS "answered!",
                   (p.charged_at IS NULL AND coalesce(p.checked_at > clock_timestamp(), false))
                       AS "busy!",
                   p.expires_at,
                   extract(epoch FROM p.expires_at - clock_timestamp())::float8 AS left_seconds,
                   o.order_code AS "order_code?", o.status AS "order_status?",
                   clock_timestamp() AS "now!"
            FROM payments p
            LEFT JOIN orders o ON o.id = p.order_id
            LEFT JOIN LATERAL (
                SELECT midtrans_transaction_id, fraud_status FROM payment_transactions
                WHERE payment_id = p.id AND status = p.status ORDER BY id DESC LIMIT 1
            ) t ON true
            WHERE p.session_id = $1
            "#,
            session_id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("reading a payment"))
    }

    /// What keeps an order whose reservation was given back from having it again.
    pub async fn checkout_shortage_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
    ) -> Result<Option<Shortage>, StoreError> {
        sqlx::query_as!(
            Shortage,
            r#"
            WITH wanted AS (
                SELECT kind, slot_id, sku, sum(quantity)::bigint AS requested, min(id) AS line
                FROM order_items WHERE order_id = $1 GROUP BY kind, slot_id, sku
            )
            SELECT w.kind AS "kind!", coalesce(w.slot_id, w.sku) AS "item!",
                   w.requested AS "requested!",
                   coalesce(s.capacity - s.reserved - s.sold, v.stock - v.reserved, 0)
                       AS "available!"
            FROM wanted w
            LEFT JOIN capacity_slots s ON s.id = w.slot_id
            LEFT JOIN product_variants v ON v.sku = w.sku
            WHERE w.requested > coalesce(s.capacity - s.reserved - s.sold, v.stock - v.reserved, 0)
            ORDER BY w.line LIMIT 1
            "#,
            order_id,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("looking for what an order lacks"))
    }
}
