//! What `lunas doctor` asks of the counters: whether they are the sums of the orders.

use super::doctor::Broken;
use super::{Store, StoreError, Txn};

impl Store {
    /// Slots whose counters are not the sums of the orders that hold or own their places.
    pub async fn doctor_slots_in_txn(&self, txn: &mut Txn) -> Result<Broken, StoreError> {
        sqlx::query_as!(
            Broken,
            r#"
            SELECT count(*) AS "count!",
                   coalesce((array_agg(format(
                       '%s has reserved %s and sold %s, its orders hold %s and own %s',
                       id, reserved, sold, held, owned)))[1:5], '{}') AS "examples!"
            FROM (
                SELECT s.id, s.reserved, s.sold,
                       coalesce(sum(i.quantity) FILTER (
                           WHERE o.id IS NOT NULL AND o.tickets_issued_at IS NULL), 0) AS held,
                       coalesce(sum(i.quantity) FILTER (
                           WHERE o.tickets_issued_at IS NOT NULL), 0) AS owned
                FROM capacity_slots s
                LEFT JOIN order_items i ON i.slot_id = s.id
                LEFT JOIN orders o ON o.id = i.order_id AND o.capacity_released_at IS NULL
                GROUP BY s.id
            ) AS counted
            WHERE reserved <> held OR sold <> owned
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("adding up the places of slots"))
    }

    /// The same of variants.
    pub async fn doctor_variants_in_txn(&self, txn: &mut Txn) -> Result<Broken, StoreError> {
        sqlx::query_as!(
            Broken,
            r#"
            SELECT count(*) AS "count!",
                   coalesce((array_agg(format(
                       '%s has reserved %s and sold %s, its orders hold %s and own %s',
                       sku, reserved, sold, held, owned)))[1:5], '{}') AS "examples!"
            FROM (
                SELECT v.sku, v.reserved, v.sold,
                       coalesce(sum(i.quantity) FILTER (
                           WHERE o.id IS NOT NULL AND o.stock_confirmed_at IS NULL), 0) AS held,
                       coalesce(sum(i.quantity) FILTER (
                           WHERE o.stock_confirmed_at IS NOT NULL), 0) AS owned
                FROM product_variants v
                LEFT JOIN order_items i ON i.sku = v.sku
                LEFT JOIN orders o ON o.id = i.order_id AND o.stock_released_at IS NULL
                GROUP BY v.sku
            ) AS counted
            WHERE reserved <> held OR sold <> owned
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("adding up the stock of variants"))
    }
}
