//! What the shop and the operators read: an order with its payments, and orphans.
//!
//! Nothing here locks or writes. The history of an order is in
//! [`read_timeline`](super::read_timeline), counts are in [`summary`](super::summary), what needs
//! somebody to look at it in [`monitor`](super::monitor).

use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// An order as its shop sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrderView {
    /// The shop's name of the order.
    pub order_code: String,
    /// The customer.
    pub user_id: String,
    /// `PENDING`, `PAID`, …
    pub status: String,
    /// Rupiah.
    pub gross_amount: i64,
    /// The newest payment session.
    pub session_id: Option<String>,
    /// Why a human must look at it.
    pub review_reasons: Vec<String>,
    /// When it was first paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    /// When it closes unless paid.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// When it was placed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// What the customer says to get the goods, once they are paid.
    pub pickup_code: Option<String>,
    /// When the goods were handed over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub picked_up_at: Option<OffsetDateTime>,
    /// What was ordered.
    pub items: Vec<ItemView>,
    /// The tickets that admit somebody; those that were voided are not among them.
    pub tickets: Vec<TicketView>,
    /// Its payment sessions, oldest first.
    pub payments: Vec<PaymentView>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ItemView {
    /// `ticket` or `product`.
    pub kind: String,
    /// The slot, of a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_id: Option<String>,
    /// The variant, of a product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// The ware's name, as it is now.
    pub name: String,
    /// How many.
    pub quantity: i64,
    /// Rupiah for one, as it was when the order was placed.
    pub unit_price: i64,
}

/// A ticket of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TicketView {
    /// What its picture says.
    pub code: String,
    /// Which of its line's tickets it is, from 1.
    pub seq: i64,
    /// The slot it admits to.
    pub slot_id: String,
    /// When it was used.
    #[serde(with = "time::serde::rfc3339::option")]
    pub used_at: Option<OffsetDateTime>,
}

/// A payment session of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PaymentView {
    /// Midtrans' `order_id`.
    pub session_id: String,
    /// Midtrans' word, or `created`.
    pub status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// When it was first paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
}

/// A payment that came by webhook and belongs to no order.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrphanView {
    /// Grows with time among those of the same moment; not shown.
    #[serde(skip)]
    pub id: i64,
    /// Midtrans' `order_id`.
    pub session_id: String,
    /// Midtrans' word.
    pub status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// When it was first paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    /// When it was first heard of.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Store {
    /// An order with its payments, of one moment; `None` when there is no such order.
    pub async fn read_order(&self, order_code: &str) -> Result<Option<OrderView>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT o.order_code, o.user_id, o.status, o.gross_amount, o.session_id,
                   o.review_reasons, o.paid_at, o.expires_at, o.created_at, o.updated_at,
                   o.pickup_code, o.picked_up_at,
                   (SELECT coalesce(jsonb_agg(jsonb_build_object(
                               'kind', i.kind, 'slot_id', i.slot_id, 'sku', i.sku,
                               'name', coalesce(s.name, v.name), 'quantity', i.quantity,
                               'unit_price', i.unit_price) ORDER BY i.id), '[]')
                    FROM order_items i LEFT JOIN capacity_slots s ON s.id = i.slot_id
                    LEFT JOIN product_variants v ON v.sku = i.sku
                    WHERE i.order_id = o.id) AS "items!: Json<Vec<ItemView>>",
                   (SELECT coalesce(jsonb_agg(jsonb_build_object(
                               'code', t.code, 'seq', t.seq, 'slot_id', i.slot_id,
                               'used_at', t.used_at) ORDER BY i.id, t.seq), '[]')
                    FROM order_items i JOIN tickets t ON t.order_item_id = i.id
                    WHERE i.order_id = o.id AND t.voided_at IS NULL)
                       AS "tickets!: Json<Vec<TicketView>>",
                   (SELECT coalesce(jsonb_agg(jsonb_build_object(
                               'session_id', p.session_id, 'status', p.status,
                               'payment_type', p.payment_type, 'gross_amount', p.gross_amount,
                               'paid_at', p.paid_at) ORDER BY p.id), '[]')
                    FROM payments p WHERE p.order_id = o.id) AS "payments!: Json<Vec<PaymentView>>"
            FROM orders o WHERE o.order_code = $1
            "#,
            order_code,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("reading an order"))?;
        Ok(row.map(|row| OrderView {
            order_code: row.order_code,
            user_id: row.user_id,
            status: row.status,
            gross_amount: row.gross_amount,
            session_id: row.session_id,
            review_reasons: row.review_reasons,
            paid_at: row.paid_at,
            expires_at: row.expires_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            pickup_code: row.pickup_code,
            picked_up_at: row.picked_up_at,
            items: row.items.0,
            tickets: row.tickets.0,
            payments: row.payments.0,
        }))
    }

    /// Payments that belong to no order, oldest first, after the given moment and id.
    pub async fn read_orphans(
        &self,
        after: (OffsetDateTime, i64),
        limit: i64,
    ) -> Result<Vec<OrphanView>, StoreError> {
        sqlx::query_as!(
            OrphanView,
            r#"
            SELECT id, session_id, status, payment_type, payment_channel, gross_amount, paid_at,
                   created_at, updated_at
            FROM payments
            WHERE order_id IS NULL AND origin = 'webhook' AND (created_at, id) > ($1, $2)
            ORDER BY created_at, id LIMIT $3
            "#,
            after.0,
            after.1,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading orphans"))
    }
}
