//! What orders consist of, what was handed out for them, and the counters of what is for sale.
//!
//! Counters are written last in a transaction, by key: slots, then variants, the end of the one
//! global lock order, so that a hot row is locked as briefly as can be.

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// A line of an order with its valid tickets.
#[derive(Debug, Clone, PartialEq)]
pub struct LineRow {
    /// The order.
    pub order_id: i64,
    /// The line.
    pub item_id: i64,
    /// Of a ticket line.
    pub slot_id: Option<String>,
    /// Of a product line.
    pub sku: Option<String>,
    /// How many.
    pub quantity: i64,
    /// Numbers of the tickets that are valid, sorted.
    pub tickets: Vec<i64>,
    /// Some ticket of it was used, also one that is void now.
    pub used: bool,
}

/// A ticket to issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTicket {
    /// The line.
    pub item_id: i64,
    /// Its number, from 1.
    pub seq: i64,
    /// What admits.
    pub code: String,
}

/// A change of one counter row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterMove {
    /// Slot id or SKU.
    pub key: String,
    /// Added to what is reserved.
    pub reserved: i64,
    /// Added to what is sold.
    pub sold: i64,
}

/// How much of something can still be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Slot id or SKU.
    pub key: String,
    /// Pieces.
    pub free: i64,
}

impl Store {
    /// The lines of the given orders.
    pub async fn holdings_lines_in_txn(
        &self,
        txn: &mut Txn,
        orders: &[i64],
    ) -> Result<Vec<LineRow>, StoreError> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            LineRow,
            r#"
            SELECT i.order_id, i.id AS item_id, i.slot_id, i.sku, i.quantity,
                   coalesce(array_agg(t.seq ORDER BY t.seq) FILTER (
                       WHERE t.id IS NOT NULL AND t.voided_at IS NULL), '{}') AS "tickets!",
                   coalesce(bool_or(t.used_at IS NOT NULL), false) AS "used!"
            FROM order_items i
            LEFT JOIN tickets t ON t.order_item_id = i.id
            WHERE i.order_id = ANY($1)
            GROUP BY i.id
            ORDER BY i.order_id, i.id
            "#,
            orders,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading the lines of orders"))
    }

    /// Issues tickets.
    pub async fn holdings_issue_in_txn(
        &self,
        txn: &mut Txn,
        tickets: &[NewTicket],
    ) -> Result<(), StoreError> {
        if tickets.is_empty() {
            return Ok(());
        }
        columns!(tickets, items: |t| t.item_id, seqs: |t| t.seq, codes: |t| t.code.as_str());
        sqlx::query!(
            r#"
            INSERT INTO tickets (order_item_id, seq, code)
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[])
            "#,
            &items,
            &seqs,
            codes as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("issuing tickets"))?;
        Ok(())
    }

    /// Makes every valid ticket of the given lines void.
    pub async fn holdings_void_in_txn(
        &self,
        txn: &mut Txn,
        items: &[i64],
    ) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"
            UPDATE tickets SET voided_at = now()
            WHERE order_item_id = ANY($1) AND voided_at IS NULL
            "#,
            items,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("making tickets void"))?;
        Ok(())
    }

    /// Locks slots, by id, and tells what is free in them.
    pub async fn holdings_lock_slots_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[String],
    ) -> Result<Vec<Available>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            Available,
            r#"
            SELECT id AS key, capacity - reserved - sold AS "free!"
            FROM capacity_slots WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
            "#,
            ids,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking slots"))
    }

    /// Locks variants, by SKU, and tells what is free of them.
    pub async fn holdings_lock_variants_in_txn(
        &self,
        txn: &mut Txn,
        skus: &[String],
    ) -> Result<Vec<Available>, StoreError> {
        if skus.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            Available,
            r#"
            SELECT sku AS key, stock - reserved AS "free!"
            FROM product_variants WHERE sku = ANY($1) ORDER BY sku FOR NO KEY UPDATE
            "#,
            skus,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking variants"))
    }

    /// Moves the counters of slots.
    pub async fn holdings_move_slots_in_txn(
        &self,
        txn: &mut Txn,
        moves: &[CounterMove],
    ) -> Result<(), StoreError> {
        if moves.is_empty() {
            return Ok(());
        }
        columns!(moves, keys: |m| m.key.as_str(), reserved: |m| m.reserved, sold: |m| m.sold);
        sqlx::query!(
            r#"
            WITH change AS (
                SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
                    AS c (id, reserved, sold)
            ), locked AS MATERIALIZED (
                SELECT s.id FROM capacity_slots s WHERE s.id = ANY($1::text[])
                ORDER BY s.id FOR NO KEY UPDATE
            )
            UPDATE capacity_slots s
            SET reserved = s.reserved + c.reserved, sold = s.sold + c.sold, updated_at = now()
            FROM change c JOIN locked l ON l.id = c.id
            WHERE s.id = c.id
            "#,
            keys as _,
            &reserved,
            &sold,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("moving capacity"))?;
        Ok(())
    }

    /// Moves the counters of variants; what is sold leaves the stock.
    pub async fn holdings_move_variants_in_txn(
        &self,
        txn: &mut Txn,
        moves: &[CounterMove],
    ) -> Result<(), StoreError> {
        if moves.is_empty() {
            return Ok(());
        }
        columns!(moves, keys: |m| m.key.as_str(), reserved: |m| m.reserved, sold: |m| m.sold);
        sqlx::query!(
            r#"
            WITH change AS (
                SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
                    AS c (sku, reserved, sold)
            ), locked AS MATERIALIZED (
                SELECT v.sku FROM product_variants v WHERE v.sku = ANY($1::text[])
                ORDER BY v.sku FOR NO KEY UPDATE
            )
            UPDATE product_variants v
            SET reserved = v.reserved + c.reserved, sold = v.sold + c.sold,
                stock = v.stock - c.sold, updated_at = now()
            FROM change c JOIN locked l ON l.sku = c.sku
            WHERE v.sku = c.sku
            "#,
            keys as _,
            &reserved,
            &sold,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("moving stock"))?;
        Ok(())
    }
}
