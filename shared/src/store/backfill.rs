//! What has lost its link: payments without an order, and orders without a session.

use super::{Store, StoreError, Txn};

/// A payment without an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlinked {
    /// The payment.
    pub id: i64,
    /// Its session.
    pub session_id: String,
}

/// An order as linking sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linkable {
    /// The order.
    pub id: i64,
    /// Its code.
    pub order_code: String,
    /// The session it names.
    pub session_id: Option<String>,
    /// Whether a payment is linked to it already.
    pub has_payments: bool,
}

/// An order that names no session though it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sessionless {
    /// The order.
    pub id: i64,
    /// Its code.
    pub order_code: String,
    /// Its newest session.
    pub session_id: String,
}

impl Store {
    /// A page of payments without an order, by id.
    pub async fn backfill_payments_in_txn(
        &self,
        txn: &mut Txn,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Unlinked>, StoreError> {
        sqlx::query_as!(
            Unlinked,
            r#"
            SELECT id, session_id FROM payments
            WHERE order_id IS NULL AND id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for payments without an order"))
    }

    /// Orders by id.
    pub async fn backfill_orders_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[i64],
    ) -> Result<Vec<Linkable>, StoreError> {
        sqlx::query_as!(
            Linkable,
            r#"
            SELECT id, order_code, session_id,
                   EXISTS (SELECT FROM payments p WHERE p.order_id = o.id) AS "has_payments!"
            FROM orders o WHERE id = ANY($1::bigint[])
            "#,
            ids,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading the orders of payments"))
    }

    /// A page of orders without a session that have a payment, by id, each with its newest session.
    /// Orders that were closed a week ago are let be: there are many, and nobody will pay them.
    pub async fn backfill_sessionless_in_txn(
        &self,
        txn: &mut Txn,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Sessionless>, StoreError> {
        sqlx::query_as!(
            Sessionless,
            r#"
            SELECT id AS "id!", order_code AS "order_code!", session_id AS "session_id!"
            FROM orders_missing_session WHERE id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for orders without a session"))
    }
}
