//! Reserving seats and pieces for a new order.
//!
//! Everybody who buys the same thing waits for its row, so these are the last statements before a
//! commit, and each does all there is to do: it locks the rows in the order of their keys, checks
//! that they still are what was read before, counts, and writes the lines of the order.

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// So many of one ware, at the price that was quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation<'a> {
    /// The slot's id or the variant's SKU.
    pub key: &'a str,
    /// How many.
    pub quantity: i64,
    /// Rupiah for one; when it is another one by now, nothing is reserved.
    pub price: i64,
}

/// What came of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Everything is held for the order.
    All,
    /// Something is gone, dearer or over; the transaction must not be committed.
    NotAll,
}

impl Store {
    /// Reserves seats, each slot named once, and writes the order's lines for them.
    pub async fn inventory_reserve_slots_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
        wanted: &[Reservation<'_>],
    ) -> Result<Reserved, StoreError> {
        if wanted.is_empty() {
            return Ok(Reserved::All);
        }
        if let [one] = wanted {
            return self.inventory_reserve_slot_in_txn(txn, order_id, one).await;
        }
        columns!(wanted, keys: |w| w.key, quantities: |w| w.quantity, prices: |w| w.price);
        let written = sqlx::query!(
            r#"
            WITH wanted AS (
                SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[])
                    AS w (id, quantity, price)
            ), locked AS (
                SELECT s.id FROM capacity_slots s WHERE s.id = ANY($2::text[])
                ORDER BY s.id FOR NO KEY UPDATE
            ), taken AS (
                UPDATE capacity_slots s
                SET reserved = s.reserved + w.quantity, updated_at = now()
                FROM wanted w JOIN locked l ON l.id = w.id
                WHERE s.id = w.id AND s.price = w.price AND s.starts_at > now()
                  AND s.reserved + s.sold + w.quantity <= s.capacity
                RETURNING s.id, w.quantity, s.price
            )
            INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
            SELECT $1, 'ticket', t.id, t.quantity, t.price FROM taken t ORDER BY t.id
            "#,
            order_id,
            keys as _,
            &quantities,
            &prices,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("reserving seats"))?;
        Ok(reserved(written.rows_affected(), wanted))
    }

    /// One row needs no order of locks, and is what everybody wants at once: the shortest way.
    async fn inventory_reserve_slot_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
        wanted: &Reservation<'_>,
    ) -> Result<Reserved, StoreError> {
        let written = sqlx::query!(
            r#"
            WITH taken AS (
                UPDATE capacity_slots
                SET reserved = reserved + $3::bigint, updated_at = now()
                WHERE id = $2 AND price = $4 AND starts_at > now()
                  AND reserved + sold + $3::bigint <= capacity
                RETURNING id, price
            )
            INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
            SELECT $1, 'ticket', t.id, $3::bigint, t.price FROM taken t
            "#,
            order_id,
            wanted.key,
            wanted.quantity,
            wanted.price,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("reserving seats"))?;
        Ok(reserved(
            written.rows_affected(),
            std::slice::from_ref(wanted),
        ))
    }

    /// Reserves pieces, each variant named once, and writes the order's lines for them.
    pub async fn inventory_reserve_variants_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
        wanted: &[Reservation<'_>],
    ) -> Result<Reserved, StoreError> {
        if wanted.is_empty() {
            return Ok(Reserved::All);
        }
        columns!(wanted, keys: |w| w.key, quantities: |w| w.quantity, prices: |w| w.price);
        let written = sqlx::query!(
            r#"
            WITH wanted AS (
                SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[])
                    AS w (sku, quantity, price)
            ), locked AS (
                SELECT v.sku FROM product_variants v WHERE v.sku = ANY($2::text[])
                ORDER BY v.sku FOR NO KEY UPDATE
            ), taken AS (
                UPDATE product_variants v
                SET reserved = v.reserved + w.quantity, updated_at = now()
                FROM wanted w JOIN locked l ON l.sku = w.sku
                WHERE v.sku = w.sku AND v.price = w.price AND v.reserved + w.quantity <= v.stock
                RETURNING v.sku, w.quantity, v.price
            )
            INSERT INTO order_items (order_id, kind, sku, quantity, unit_price)
            SELECT $1, 'product', t.sku, t.quantity, t.price FROM taken t ORDER BY t.sku
            "#,
            order_id,
            keys as _,
            &quantities,
            &prices,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("reserving pieces"))?;
        Ok(reserved(written.rows_affected(), wanted))
    }
}

fn reserved(written: u64, wanted: &[Reservation<'_>]) -> Reserved {
    match usize::try_from(written) == Ok(wanted.len()) {
        true => Reserved::All,
        false => Reserved::NotAll,
    }
}
