//! What the reconciler looks for in orders and counters, page by page, by the orders' ids and the
//! counters' keys.

use super::{Store, StoreError, Txn};

/// An order that lacks something, or kept something it should have given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The order.
    pub id: i64,
    /// The shop's name of it.
    pub order_code: String,
    /// Rupiah.
    pub gross_amount: i64,
}

/// A counter that is not the sum of its orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterOff {
    /// Slot or SKU.
    pub key: String,
    /// What it says is reserved.
    pub reserved: i64,
    /// What it says is sold.
    pub sold: i64,
    /// What its orders hold.
    pub held: i64,
    /// What its orders own.
    pub owned: i64,
}

impl Store {
    /// The last id of a page of orders that begins after `after`; `None` when there are none.
    pub async fn effects_page_end(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT max(id) FROM (SELECT id FROM orders WHERE id > $1 ORDER BY id LIMIT $2) AS page
            "#,
            after,
            limit,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("finding the end of a page of orders"))
    }

    /// Orders of a page whose tickets, markers, pickup code or status are not what they demand.
    pub async fn effects_suspects(
        &self,
        after: i64,
        upto: i64,
    ) -> Result<Vec<Suspect>, StoreError> {
        sqlx::query_as!(
            Suspect,
            r#"
            SELECT o.id, o.order_code, o.gross_amount
            FROM orders o
            CROSS JOIN LATERAL (
                SELECT o.status IN ('PAID', 'PARTIALLY_REFUNDED') AS fulfilled,
                       o.status IN ('EXPIRED', 'FAILED', 'CANCELLED', 'REFUNDED', 'CHARGEBACK')
                           AS closed) AS state
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(i.quantity) FILTER (WHERE i.kind = 'ticket'), 0) AS seats,
                       coalesce(bool_or(i.kind = 'product'), false) AS goods
                FROM order_items i WHERE i.order_id = o.id) AS lines
            CROSS JOIN LATERAL (
                SELECT count(*) AS valid FROM order_items i
                JOIN tickets t ON t.order_item_id = i.id AND t.voided_at IS NULL
                WHERE i.order_id = o.id AND i.kind = 'ticket') AS tickets
            CROSS JOIN LATERAL (
                SELECT coalesce(bool_or(
                    t.status = 'settlement' OR t.status = 'partial_refund'
                    OR t.status = 'partial_chargeback'
                    OR t.status = 'capture' AND coalesce(t.fraud_status, 'accept') = 'accept'),
                    false) AS paid
                FROM payments p JOIN payment_transactions t ON t.payment_id = p.id
                WHERE p.order_id = o.id) AS money
            WHERE o.id > $1 AND o.id <= $2
              AND (
                state.fulfilled AND lines.seats > 0
                    AND (tickets.valid <> lines.seats OR o.tickets_issued_at IS NULL
                         OR o.capacity_released_at IS NOT NULL)
                OR state.fulfilled AND lines.goods
                    AND (o.stock_confirmed_at IS NULL OR o.stock_released_at IS NOT NULL
                         OR o.pickup_code IS NULL AND o.picked_up_at IS NULL)
                OR state.closed AND lines.seats > 0
                    AND (o.capacity_released_at IS NULL OR tickets.valid > 0)
                OR state.closed AND lines.goods
                    AND (o.stock_released_at IS NULL AND o.picked_up_at IS NULL
                         OR o.pickup_code IS NOT NULL)
                OR money.paid AND o.status NOT IN ('PAID', 'PARTIALLY_REFUNDED', 'REVIEW')
                    AND o.resolution IS DISTINCT FROM 'close'
                OR NOT money.paid AND state.fulfilled AND o.resolution IS DISTINCT FROM 'fulfil'
              )
            ORDER BY o.id
            "#,
            after,
            upto,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for orders that lack something"))
    }

    /// Keys of slots after one, in their order.
    pub async fn effects_slot_keys(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            "SELECT id FROM capacity_slots WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("listing slots"))
    }

    /// Keys of variants after one, in their order.
    pub async fn effects_variant_keys(
        &self,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            "SELECT sku FROM product_variants WHERE sku > $1 ORDER BY sku LIMIT $2",
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("listing variants"))
    }

    /// A slot whose counters are not the sums of its orders. It is locked: whoever changes it does
    /// so last before a commit, so what is summed up after the lock is all there is.
    pub async fn effects_slot_off_in_txn(
        &self,
        txn: &mut Txn,
        slot: &str,
    ) -> Result<Option<CounterOff>, StoreError> {
        sqlx::query!(
            "SELECT id FROM capacity_slots WHERE id = $1 FOR NO KEY UPDATE",
            slot
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking a slot"))?;
        sqlx::query_as!(
            CounterOff,
            r#"
            SELECT s.id AS key, s.reserved, s.sold, counted.held AS "held!",
                   counted.owned AS "owned!"
            FROM capacity_slots s
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(i.quantity) FILTER (WHERE o.tickets_issued_at IS NULL), 0)
                           ::bigint AS held,
                       coalesce(sum(i.quantity) FILTER (WHERE o.tickets_issued_at IS NOT NULL), 0)
                           ::bigint AS owned
                FROM order_items i JOIN orders o ON o.id = i.order_id
                WHERE i.slot_id = s.id AND o.capacity_released_at IS NULL) AS counted
            WHERE s.id = $1 AND (s.reserved <> counted.held OR s.sold <> counted.owned)
            "#,
            slot,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("adding up a slot"))
    }

    /// The same of a variant.
    pub async fn effects_variant_off_in_txn(
        &self,
        txn: &mut Txn,
        sku: &str,
    ) -> Result<Option<CounterOff>, StoreError> {
        sqlx::query!(
            "SELECT sku FROM product_variants WHERE sku = $1 FOR NO KEY UPDATE",
            sku
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking a variant"))?;
        sqlx::query_as!(
            CounterOff,
            r#"
            SELECT v.sku AS key, v.reserved, v.sold, counted.held AS "held!",
                   counted.owned AS "owned!"
            FROM product_variants v
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(i.quantity) FILTER (WHERE o.stock_confirmed_at IS NULL), 0)
                           ::bigint AS held,
                       coalesce(sum(i.quantity) FILTER (WHERE o.stock_confirmed_at IS NOT NULL), 0)
                           ::bigint AS owned
                FROM order_items i JOIN orders o ON o.id = i.order_id
                WHERE i.sku = v.sku AND o.stock_released_at IS NULL) AS counted
            WHERE v.sku = $1 AND (v.reserved <> counted.held OR v.sold <> counted.owned)
            "#,
            sku,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("adding up a variant"))
    }

    /// Sets a slot's counters to the sums.
    pub async fn effects_slot_set_in_txn(
        &self,
        txn: &mut Txn,
        off: &CounterOff,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE capacity_slots SET reserved = $2, sold = $3, updated_at = now() WHERE id = $1",
            off.key,
            off.held,
            off.owned,
        )
        .execute(&mut **txn)
        .await
        .map(drop)
        .map_err(StoreError::of("setting the counters of a slot"))
    }

    /// Sets a variant's counters to the sums. Pieces that were sold and are held now are of an order
    /// that lost its marker: they are in stock again until its repair takes them out.
    pub async fn effects_variant_set_in_txn(
        &self,
        txn: &mut Txn,
        off: &CounterOff,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE product_variants
            SET reserved = $2, sold = $3, updated_at = now(),
                stock = stock + greatest(least(sold - $3, $2 - reserved), 0)
            WHERE sku = $1
            "#,
            off.key,
            off.held,
            off.owned,
        )
        .execute(&mut **txn)
        .await
        .map(drop)
        .map_err(StoreError::of("setting the counters of a variant"))
    }
}
