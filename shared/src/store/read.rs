//! What the shop and the operators read: an order with its payments, orphans, counts.
//!
//! Nothing here locks or writes. The history of an order is in
//! [`read_timeline`](super::read_timeline).

use std::collections::BTreeMap;

use serde::Serialize;
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
    /// Its payment sessions, oldest first.
    pub payments: Vec<PaymentView>,
}

/// A payment session of an order.
#[derive(Debug, Clone, PartialEq, Serialize)]
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

/// How many there are of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SummaryView {
    /// Orders by status.
    pub orders: BTreeMap<String, i64>,
    /// Payment sessions by status.
    pub payments: BTreeMap<String, i64>,
    /// Distinct notifications by verdict.
    pub notifications: BTreeMap<String, i64>,
    /// Payments that belong to no order.
    pub orphans: i64,
    /// Dead letters by what an operator did with them: `dead`, `replaying`, …
    pub dead_letters: BTreeMap<String, i64>,
    /// The database's clock when this was counted.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

impl Store {
    /// An order with its payments, of one moment; `None` when there is no such order.
    pub async fn read_order(&self, order_code: &str) -> Result<Option<OrderView>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT o.order_code, o.user_id, o.status, o.gross_amount, o.session_id,
                   o.review_reasons, o.paid_at, o.expires_at, o.created_at, o.updated_at,
                   p.session_id AS "payment_session?", p.status AS "payment_status?",
                   p.payment_type, p.gross_amount AS "payment_amount?",
                   p.paid_at AS payment_paid_at
            FROM orders o LEFT JOIN payments p ON p.order_id = o.id
            WHERE o.order_code = $1 ORDER BY p.id
            "#,
            order_code,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading an order"))?;
        let mut order: Option<OrderView> = None;
        for row in rows {
            let order = order.get_or_insert_with(|| OrderView {
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
                payments: Vec::new(),
            });
            if let (Some(session_id), Some(status), Some(gross_amount)) =
                (row.payment_session, row.payment_status, row.payment_amount)
            {
                order.payments.push(PaymentView {
                    session_id,
                    status,
                    payment_type: row.payment_type,
                    gross_amount,
                    paid_at: row.payment_paid_at,
                });
            }
        }
        Ok(order)
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

    /// Counts everything, in one statement and so of one moment.
    pub async fn read_summary(&self) -> Result<SummaryView, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT 'orders' AS "what!", status AS "word!", count(*) AS "count!", now() AS "at!"
            FROM orders GROUP BY status
            UNION ALL
            SELECT 'payments', status, count(*), now() FROM payments GROUP BY status
            UNION ALL
            SELECT 'notifications', verdict, count(*), now()
            FROM payment_webhook_events GROUP BY verdict
            UNION ALL
            SELECT 'dead_letters', status, count(*), now() FROM dead_letters GROUP BY status
            UNION ALL
            SELECT 'orphans', '', count(*), now()
            FROM payments WHERE order_id IS NULL AND origin = 'webhook'
            "#
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("counting"))?;
        let mut summary = SummaryView {
            orders: BTreeMap::new(),
            payments: BTreeMap::new(),
            notifications: BTreeMap::new(),
            orphans: 0,
            dead_letters: BTreeMap::new(),
            at: OffsetDateTime::UNIX_EPOCH,
        };
        for row in rows {
            summary.at = row.at;
            let counts = match row.what.as_str() {
                "orders" => &mut summary.orders,
                "payments" => &mut summary.payments,
                "notifications" => &mut summary.notifications,
                "dead_letters" => &mut summary.dead_letters,
                _ => {
                    summary.orphans = row.count;
                    continue;
                }
            };
            counts.insert(row.word, row.count);
        }
        Ok(summary)
    }
}
