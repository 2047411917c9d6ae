//! What needs somebody to look at it: payments that are stuck or contradict their order, orders that
//! do not name their session; and what the periodic jobs did.
//!
//! The views of the migrations say what belongs to each list. All of them begin at a partial index,
//! so that their cost follows what is open and not how many payments there ever were.

use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// A payment that still waits for its customer long after its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StuckView {
    /// Grows with time among those of the same moment; not shown.
    #[serde(skip)]
    pub id: i64,
    /// Midtrans' `order_id`.
    pub session_id: String,
    /// The order, once known.
    pub order_code: Option<String>,
    /// `created`, `pending` or `authorize`.
    pub status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its time was over.
    #[serde(with = "time::serde::rfc3339")]
    pub due_at: OffsetDateTime,
    /// When it is looked at next.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_check_at: Option<OffsetDateTime>,
    /// How often it was asked about since it last changed.
    pub checks: i32,
}

/// A payment that is paid while its order does not say so.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MismatchView {
    /// Grows with time; not shown.
    #[serde(skip)]
    pub id: i64,
    /// Midtrans' `order_id`.
    pub session_id: String,
    /// The order.
    pub order_code: String,
    /// Midtrans' word.
    pub payment_status: String,
    /// What the order says.
    pub order_status: String,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// When it was first paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    /// When either of them last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// An order that has a payment and names none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingSessionView {
    /// Grows with time; not shown.
    #[serde(skip)]
    pub id: i64,
    /// The order.
    pub order_code: String,
    /// What the order says.
    pub status: String,
    /// Rupiah.
    pub gross_amount: i64,
    /// When it was placed.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The newest of its sessions, which it should name.
    pub session_id: String,
}

/// How many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorCounts {
    /// Payments that came by webhook and belong to no order.
    pub orphans: i64,
    /// Payments that still wait long after their time.
    pub stuck: i64,
    /// Payments that are paid while their order does not say so.
    pub mismatches: i64,
    /// Orders that have a payment and name none.
    pub missing_session: i64,
    /// For how long the payment that has waited longest has been due for a check.
    pub oldest_unreconciled: Duration,
}

impl Store {
    /// Payments that wait for longer than `sla` after their time was over, the oldest first, after
    /// the given moment and id.
    pub async fn monitor_stuck(
        &self,
        sla: Duration,
        after: (OffsetDateTime, i64),
        limit: i64,
    ) -> Result<Vec<StuckView>, StoreError> {
        sqlx::query_as!(
            StuckView,
            r#"
            SELECT id AS "id!", session_id AS "session_id!", order_code AS "order_code?",
                   status AS "status!", payment_type, gross_amount AS "gross_amount!",
                   created_at AS "created_at!", due_at AS "due_at!", next_check_at,
                   checks AS "checks!"
            FROM payments_open
            WHERE due_at < now() - make_interval(secs => $1) AND (due_at, id) > ($2, $3)
            ORDER BY due_at, id LIMIT $4
            "#,
            sla.as_secs_f64(),
            after.0,
            after.1,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading stuck payments"))
    }

    /// Payments that contradict their order, by id, after the given one.
    pub async fn monitor_mismatches(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<MismatchView>, StoreError> {
        sqlx::query_as!(
            MismatchView,
            r#"
            SELECT id AS "id!", session_id AS "session_id!", order_code AS "order_code!",
                   payment_status AS "payment_status!", order_status AS "order_status!",
                   payment_type, gross_amount AS "gross_amount!", paid_at, since AS "since!"
            FROM payments_mismatched WHERE id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading mismatches"))
    }

    /// Orders that have a payment and name none, by id, after the given one.
    pub async fn monitor_missing_session(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<Vec<MissingSessionView>, StoreError> {
        sqlx::query_as!(
            MissingSessionView,
            r#"
            SELECT id AS "id!", order_code AS "order_code!", status AS "status!",
                   gross_amount AS "gross_amount!", created_at AS "created_at!",
                   session_id AS "session_id!"
            FROM orders_missing_session WHERE id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading orders without a session"))
    }

    /// Counts all of it.
    pub async fn monitor_counts(&self, sla: Duration) -> Result<MonitorCounts, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT (SELECT count(*) FROM payments
                    WHERE order_id IS NULL AND origin = 'webhook') AS "orphans!",
                   (SELECT count(*) FROM payments_open
                    WHERE due_at < now() - make_interval(secs => $1)) AS "stuck!",
                   (SELECT count(*) FROM payments_mismatched) AS "mismatches!",
                   (SELECT count(*) FROM orders_missing_session) AS "missing_session!",
                   (SELECT coalesce(extract(epoch FROM now() - min(next_check_at)), 0)::float8
                    FROM payments WHERE next_check_at <= now()) AS "oldest!"
            "#,
            sla.as_secs_f64(),
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("counting what is wrong"))?;
        Ok(MonitorCounts {
            orphans: row.orphans,
            stuck: row.stuck,
            mismatches: row.mismatches,
            missing_session: row.missing_session,
            oldest_unreconciled: Duration::try_from_secs_f64(row.oldest).unwrap_or_default(),
        })
    }
}
