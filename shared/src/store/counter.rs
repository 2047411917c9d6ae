//! What happens at the counter and at the gate: goods are handed over, tickets are used.
//!
//! Both lock the order first, as everybody does, so that a refund sees either that they happened or
//! that they did not.

use time::OffsetDateTime;

use super::{Store, StoreError, Txn};

/// An order as the counter sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickupRow {
    /// Primary key.
    pub id: i64,
    /// The state as stored.
    pub status: String,
    /// What the customer must say.
    pub pickup_code: Option<String>,
    /// When the goods were handed over.
    pub picked_up_at: Option<OffsetDateTime>,
}

/// A ticket as the gate sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRow {
    /// Primary key.
    pub id: i64,
    /// The order it belongs to.
    pub order_code: String,
    /// The state of that order.
    pub order_status: String,
    /// The slot it admits to.
    pub slot_id: Option<String>,
    /// Which of its line's tickets it is, from 1.
    pub seq: i64,
    /// When it was used.
    pub used_at: Option<OffsetDateTime>,
    /// When it ceased to be one.
    pub voided_at: Option<OffsetDateTime>,
}

impl Store {
    /// Locks an order for its pickup; `None` when there is no such order.
    pub async fn counter_lock_order_in_txn(
        &self,
        txn: &mut Txn,
        order_code: &str,
    ) -> Result<Option<PickupRow>, StoreError> {
        sqlx::query_as!(
            PickupRow,
            r#"
            SELECT id, status, pickup_code, picked_up_at
            FROM orders WHERE order_code = $1 FOR NO KEY UPDATE
            "#,
            order_code,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking an order for its pickup"))
    }

    /// Marks a locked order as picked up; when.
    pub async fn counter_hand_over_in_txn(
        &self,
        txn: &mut Txn,
        order_id: i64,
    ) -> Result<OffsetDateTime, StoreError> {
        sqlx::query_scalar!(
            r#"
            UPDATE orders SET picked_up_at = coalesce(picked_up_at, now()), updated_at = now()
            WHERE id = $1 RETURNING picked_up_at AS "picked_up_at!"
            "#,
            order_id,
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("noting a pickup"))
    }

    /// Locks a ticket, its order before it; `None` when there is no such ticket.
    pub async fn counter_lock_ticket_in_txn(
        &self,
        txn: &mut Txn,
        code: &str,
    ) -> Result<Option<TicketRow>, StoreError> {
        let order = sqlx::query_scalar!(
            r#"
            SELECT o.id FROM orders o
            JOIN order_items i ON i.order_id = o.id JOIN tickets t ON t.order_item_id = i.id
            WHERE t.code = $1 FOR NO KEY UPDATE OF o
            "#,
            code,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking the order of a ticket"))?;
        if order.is_none() {
            return Ok(None);
        }
        // Read anew: what the order's lock waited for may have voided the ticket.
        sqlx::query_as!(
            TicketRow,
            r#"
            SELECT t.id, o.order_code, o.status AS order_status, i.slot_id, t.seq, t.used_at,
                   t.voided_at
            FROM tickets t JOIN order_items i ON i.id = t.order_item_id
            JOIN orders o ON o.id = i.order_id
            WHERE t.code = $1 FOR NO KEY UPDATE OF t
            "#,
            code,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("locking a ticket"))
    }

    /// Marks a locked ticket as used; when.
    pub async fn counter_use_ticket_in_txn(
        &self,
        txn: &mut Txn,
        ticket_id: i64,
    ) -> Result<OffsetDateTime, StoreError> {
        sqlx::query_scalar!(
            r#"
            UPDATE tickets SET used_at = coalesce(used_at, now())
            WHERE id = $1 RETURNING used_at AS "used_at!"
            "#,
            ticket_id,
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("noting that a ticket was used"))
    }

    /// Whether a ticket of this code admits somebody, now or before.
    pub async fn counter_ticket_is_valid(&self, code: &str) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT EXISTS (SELECT FROM tickets WHERE code = $1 AND voided_at IS NULL) AS "found!"
            "#,
            code,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("looking for a ticket"))
    }

    /// Writes what an operator did, or was refused, into the log.
    pub async fn counter_log_in_txn(
        &self,
        txn: &mut Txn,
        order_code: &str,
        event_type: &str,
        actor: &str,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO payment_sync_logs (order_code, sync_type, event_type, actor, detail)
            VALUES ($1, 'admin', $2, $3, $4)
            "#,
            order_code,
            event_type,
            actor,
            detail,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("logging what an operator did"))?;
        Ok(())
    }
}
