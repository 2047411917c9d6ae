//! Orders: locking them for a batch, writing their projection, creating and reading them.

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};
use crate::domain::linking::session_id;

/// An order as the projection sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    /// Primary key.
    pub id: i64,
    /// The shop's name of the order.
    pub order_code: String,
    /// The state as stored.
    pub status: String,
    /// Rupiah.
    pub gross_amount: i64,
    /// The newest session, if any.
    pub session_id: Option<String>,
    /// When an unpaid order closes.
    pub expires_at: OffsetDateTime,
    /// When it was first paid.
    pub paid_at: Option<OffsetDateTime>,
    /// When its tickets were issued.
    pub tickets_issued_at: Option<OffsetDateTime>,
    /// When its stock was taken.
    pub stock_confirmed_at: Option<OffsetDateTime>,
    /// When its capacity hold was given back.
    pub capacity_released_at: Option<OffsetDateTime>,
    /// When its stock hold was given back.
    pub stock_released_at: Option<OffsetDateTime>,
    /// What the customer shows to get the goods.
    pub pickup_code: Option<String>,
    /// When the code was taken back.
    pub pickup_revoked_at: Option<OffsetDateTime>,
    /// When the goods were handed over.
    pub picked_up_at: Option<OffsetDateTime>,
    /// Why a human must look at it.
    pub review_reasons: Vec<String>,
    /// What an operator decided: `fulfil` or `close`.
    pub resolution: Option<String>,
    /// The paid transactions that decision was made for.
    pub resolution_paid: Option<Vec<String>>,
}

/// What a projection writes to an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderUpdate {
    /// Which order.
    pub id: i64,
    /// Its new state.
    pub status: String,
    /// Set where it was empty.
    pub session_id: Option<String>,
    /// Set where it was empty.
    pub paid_at: Option<OffsetDateTime>,
    /// The reasons, all of them.
    pub review_reasons: Vec<String>,
    /// What it holds, all of it.
    pub markers: Markers,
}

/// When what happened to what an order holds, and its pickup code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markers {
    /// Its tickets were issued and its capacity sold.
    pub tickets_issued_at: Option<OffsetDateTime>,
    /// Its capacity was given back.
    pub capacity_released_at: Option<OffsetDateTime>,
    /// Its goods were taken from the stock.
    pub stock_confirmed_at: Option<OffsetDateTime>,
    /// Its goods went back.
    pub stock_released_at: Option<OffsetDateTime>,
    /// What the customer shows to get the goods.
    pub pickup_code: Option<String>,
    /// The code was taken back.
    pub pickup_revoked_at: Option<OffsetDateTime>,
}

impl OrderRow {
    /// Its markers as stored.
    pub fn markers(&self) -> Markers {
        Markers {
            tickets_issued_at: self.tickets_issued_at,
            capacity_released_at: self.capacity_released_at,
            stock_confirmed_at: self.stock_confirmed_at,
            stock_released_at: self.stock_released_at,
            pickup_code: self.pickup_code.clone(),
            pickup_revoked_at: self.pickup_revoked_at,
        }
    }
}

/// What an operator decided about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderResolution {
    /// Which order.
    pub id: i64,
    /// `fulfil` or `close`.
    pub action: &'static str,
    /// The paid transactions it was decided for.
    pub paid: Vec<String>,
}

/// An order to create.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder<'a> {
    /// The shop's name of the order.
    pub order_code: &'a str,
    /// The customer.
    pub user_id: &'a str,
    /// Rupiah.
    pub gross_amount: i64,
    /// How long it may stay unpaid, in seconds.
    pub ttl_seconds: f64,
}

impl Store {
    /// Locks orders, by id, which is first in the one global lock order.
    pub async fn orders_lock_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[i64],
    ) -> Result<Vec<OrderRow>, StoreError> {
        sqlx::query_as!(
            OrderRow,
            r#"
            SELECT id, order_code, status, gross_amount, session_id, expires_at, paid_at,
                   tickets_issued_at, stock_confirmed_at, capacity_released_at,
                   stock_released_at, pickup_code, pickup_revoked_at, picked_up_at,
                   review_reasons, resolution, resolution_paid
            FROM orders WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
            "#,
            ids
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking orders"))
    }

    /// Writes what the projections say.
    pub async fn orders_update_in_txn(
        &self,
        txn: &mut Txn,
        updates: &[OrderUpdate],
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        columns!(updates,
            ids: |u| u.id,
            statuses: |u| u.status.as_str(),
            sessions: |u| u.session_id.as_deref(),
            paid: |u| u.paid_at,
            // Arrays of arrays must be rectangular in PostgreSQL; a joined text need not be.
            reasons: |u| u.review_reasons.join(","),
            issued: |u| u.markers.tickets_issued_at,
            capacity_back: |u| u.markers.capacity_released_at,
            confirmed: |u| u.markers.stock_confirmed_at,
            stock_back: |u| u.markers.stock_released_at,
            codes: |u| u.markers.pickup_code.as_deref(),
            revoked: |u| u.markers.pickup_revoked_at,
        );
        sqlx::query_file!(
            "src/store/orders_update.sql",
            &ids,
            statuses as _,
            sessions as _,
            paid as _,
            reasons as _,
            issued as _,
            capacity_back as _,
            confirmed as _,
            stock_back as _,
            codes as _,
            revoked as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing orders"))?;
        Ok(())
    }

    /// Remembers what an operator decided; what follows from it is projected.
    pub async fn orders_resolve_in_txn(
        &self,
        txn: &mut Txn,
        resolution: &OrderResolution,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE orders SET resolution = $2, resolution_paid = $3, resolved_at = now()
            WHERE id = $1
            "#,
            resolution.id,
            resolution.action,
            &resolution.paid,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing an operator's decision"))?;
        Ok(())
    }

    /// The ids of the orders of these codes, where there are such.
    pub async fn orders_ids_in_txn(
        &self,
        txn: &mut Txn,
        codes: &[&str],
    ) -> Result<Vec<i64>, StoreError> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_scalar!(
            "SELECT id FROM orders WHERE order_code = ANY($1::text[])",
            codes as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for orders"))
    }

    /// Creates an order; its code must be new.
    pub async fn orders_create_in_txn(
        &self,
        txn: &mut Txn,
        order: &NewOrder<'_>,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            INSERT INTO orders (order_code, user_id, gross_amount, expires_at)
            VALUES ($1, $2, $3, now() + make_interval(secs => $4))
            RETURNING id
            "#,
            order.order_code,
            order.user_id,
            order.gross_amount,
            order.ttl_seconds,
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("creating an order"))
    }

    /// Sessions of payments without an order that the given order's code names: an order that
    /// comes after its webhook takes them in. Attempts beyond the hundredth are left to the
    /// reconciler: a list is found by the index, a pattern would read every payment.
    pub async fn orders_waiting_sessions_in_txn(
        &self,
        txn: &mut Txn,
        order_code: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sessions: Vec<String> = (1..=100)
            .map(|attempt| session_id(order_code, attempt))
            .collect();
        sqlx::query_scalar!(
            r#"
            SELECT session_id FROM payments
            WHERE order_id IS NULL AND session_id = ANY($1) ORDER BY id
            "#,
            &sessions,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of(
            "looking for payments that wait for an order",
        ))
    }
}
