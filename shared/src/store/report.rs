//! The drift of a day: what the jobs found, what was repaired and for whom, and who settled payments.
//!
//! Every question names the day by `created_at`, so that it reads one partition of the log and no
//! more of it than that day.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// From when until when, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: OffsetDateTime,
    /// The moment after the last.
    pub to: OffsetDateTime,
}

/// What the runs of one job came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobTotal {
    /// The job.
    pub name: String,
    /// How many runs.
    pub runs: i64,
    /// Those of them that failed.
    pub failed: i64,
    /// Rows that were looked at.
    pub checked: i64,
    /// What was wrong: repaired or given up.
    pub found: i64,
    /// What was mended.
    pub repaired: i64,
    /// What could not be mended; what stays wrong is given up by every run that sees it.
    pub given_up: i64,
    /// Rupiah of what was wrong, over all runs.
    pub rupiah_at_risk: i64,
    /// Of the one run that saw most.
    pub most_at_risk_in_one_run: i64,
}

/// Repairs of one kind by one hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairTotal {
    /// What was done, e.g. `reconcile_fix_ticket_issued`.
    pub event_type: String,
    /// Who started it: `reconcile`, `admin`, `replay`, `backfill`, `webhook`, …
    pub sync_type: String,
    /// The operator, where one asked for it.
    pub actor: Option<String>,
    /// How many repairs.
    pub count: i64,
    /// How many orders, or payments without one.
    pub orders: i64,
    /// Their rupiah, each counted once.
    pub rupiah: i64,
}

/// All repairs of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RepairedTotal {
    /// How many repairs.
    pub count: i64,
    /// How many orders, or payments without one.
    pub orders: i64,
    /// Their rupiah, each counted once.
    pub rupiah: i64,
}

/// Payments that became paid, by what told us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettledTotal {
    /// What told us: `webhook`, `reconcile`, `admin`, `poll`, `replay`, …
    pub sync_type: String,
    /// The operator, where one asked.
    pub actor: Option<String>,
    /// How many payments.
    pub payments: i64,
    /// Their rupiah.
    pub rupiah: i64,
}

/// One repair.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repair {
    /// The row of the log.
    pub id: i64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// The session.
    pub session_id: Option<String>,
    /// What was done.
    pub event_type: String,
    /// Who started it.
    pub sync_type: String,
    /// The operator, where one asked for it.
    pub actor: Option<String>,
    /// The status before.
    pub from_status: Option<String>,
    /// The status after.
    pub to_status: Option<String>,
    /// What else was written down, with `before` and `after` of what was mended.
    pub detail: Option<Value>,
    /// Rupiah of the order or payment.
    pub rupiah: Option<i64>,
}

impl Store {
    /// The runs of a day, by job; a run belongs to the day of its tick.
    pub async fn report_jobs(&self, day: Span) -> Result<Vec<JobTotal>, StoreError> {
        sqlx::query_as!(
            JobTotal,
            r#"
            SELECT name, count(*) AS "runs!",
                   count(*) FILTER (WHERE status = 'failed') AS "failed!",
                   sum(checked)::bigint AS "checked!",
                   sum(repaired + given_up)::bigint AS "found!",
                   sum(repaired)::bigint AS "repaired!",
                   sum(given_up)::bigint AS "given_up!",
                   sum(rupiah_at_risk)::bigint AS "rupiah_at_risk!",
                   max(rupiah_at_risk) AS "most_at_risk_in_one_run!"
            FROM job_runs WHERE scheduled_for >= $1 AND scheduled_for < $2
            GROUP BY name ORDER BY name
            "#,
            day.from,
            day.to,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("adding up the runs of a day"))
    }

    /// The repairs of a day, by kind and hand.
    pub async fn report_repairs(&self, day: Span) -> Result<Vec<RepairTotal>, StoreError> {
        sqlx::query_as!(
            RepairTotal,
            r#"
            WITH concerned AS (
                SELECT event_type, sync_type, actor, order_code,
                       CASE WHEN order_code IS NULL THEN session_id END AS session_id,
                       count(*) AS count
                FROM payment_sync_logs
                WHERE created_at >= $1 AND created_at < $2
                  AND (starts_with(event_type, 'reconcile_') OR event_type = 'link_mended')
                GROUP BY 1, 2, 3, 4, 5)
            SELECT c.event_type AS "event_type!", c.sync_type AS "sync_type!", c.actor,
                   sum(c.count)::bigint AS "count!", count(*) AS "orders!",
                   coalesce(sum(coalesce(o.gross_amount, p.gross_amount)), 0)::bigint AS "rupiah!"
            FROM concerned c
            LEFT JOIN orders o ON o.order_code = c.order_code
            LEFT JOIN payments p ON p.session_id = c.session_id
            GROUP BY c.event_type, c.sync_type, c.actor
            ORDER BY c.event_type, c.sync_type, c.actor
            "#,
            day.from,
            day.to,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("adding up the repairs of a day"))
    }

    /// All repairs of a day; an order that was mended twice counts once.
    pub async fn report_repaired(&self, day: Span) -> Result<RepairedTotal, StoreError> {
        sqlx::query_as!(
            RepairedTotal,
            r#"
            WITH concerned AS (
                SELECT order_code, CASE WHEN order_code IS NULL THEN session_id END AS session_id,
                       count(*) AS count
                FROM payment_sync_logs
                WHERE created_at >= $1 AND created_at < $2
                  AND (starts_with(event_type, 'reconcile_') OR event_type = 'link_mended')
                GROUP BY 1, 2)
            SELECT coalesce(sum(c.count), 0)::bigint AS "count!", count(*) AS "orders!",
                   coalesce(sum(coalesce(o.gross_amount, p.gross_amount)), 0)::bigint AS "rupiah!"
            FROM concerned c
            LEFT JOIN orders o ON o.order_code = c.order_code
            LEFT JOIN payments p ON p.session_id = c.session_id
            "#,
            day.from,
            day.to,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("adding up what was repaired"))
    }

    /// Payments that became paid on a day, by what told us so first. A card payment under challenge
    /// counts on the day and for the hand that brought it, if it was paid in the end.
    pub async fn report_settled(&self, day: Span) -> Result<Vec<SettledTotal>, StoreError> {
        sqlx::query_as!(
            SettledTotal,
            r#"
            WITH first AS (
                SELECT DISTINCT ON (session_id) session_id, sync_type, actor
                FROM payment_sync_logs
                WHERE created_at >= $1 AND created_at < $2
                  AND event_type IN ('status_changed', 'reconcile_status_changed')
                  AND to_status IN ('settlement', 'capture')
                  AND coalesce(from_status, '') NOT IN
                      ('settlement', 'capture', 'partial_refund', 'partial_chargeback')
                ORDER BY session_id, created_at, id)
            SELECT f.sync_type AS "sync_type!", f.actor, count(*) AS "payments!",
                   sum(p.gross_amount)::bigint AS "rupiah!"
            FROM first f
            JOIN payments p ON p.session_id = f.session_id AND p.paid_at IS NOT NULL
            GROUP BY f.sync_type, f.actor ORDER BY f.sync_type, f.actor
            "#,
            day.from,
            day.to,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("adding up the payments of a day"))
    }

    /// A page of the repairs of a day, in the order of time, after the given moment and row.
    pub async fn report_list(
        &self,
        day: Span,
        after: (OffsetDateTime, i64),
        limit: i64,
    ) -> Result<Vec<Repair>, StoreError> {
        sqlx::query_as!(
            Repair,
            r#"
            SELECT l.id, l.created_at AS at, l.order_code, l.session_id, l.event_type, l.sync_type,
                   l.actor, l.from_status, l.to_status, l.detail,
                   coalesce(o.gross_amount, p.gross_amount) AS rupiah
            FROM payment_sync_logs l
            LEFT JOIN orders o ON o.order_code = l.order_code
            LEFT JOIN payments p ON p.session_id = l.session_id
            WHERE l.created_at >= greatest($1, $3::timestamptz) AND l.created_at < $2
              AND (l.created_at, l.id) > ($3, $4)
              AND (starts_with(l.event_type, 'reconcile_') OR l.event_type = 'link_mended')
            ORDER BY l.created_at, l.id LIMIT $5
            "#,
            day.from,
            day.to,
            after.0,
            after.1,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the repairs of a day"))
    }
}
