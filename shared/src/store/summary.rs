//! How much there is of everything, without counting everything.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// Up to so many rows of a table everything is counted.
const COUNTED: i64 = 100_000;

/// How many there are of what.
///
/// What is open is always counted, however old. The rest is counted from `since` on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SummaryView {
    /// Orders by status. `PENDING` and `REVIEW` are all there are; others are those placed since.
    pub orders: BTreeMap<String, i64>,
    /// Payment sessions by status. Those that wait for a customer are all there are; others are
    /// those made since.
    pub payments: BTreeMap<String, i64>,
    /// Distinct notifications by verdict. `unconfirmed` and `dead` are all there are; others are
    /// those received since.
    pub notifications: BTreeMap<String, i64>,
    /// Payments that belong to no order: all of them.
    pub orphans: i64,
    /// Dead letters by what an operator did with them, `dead`, `replaying`, …: all of them.
    pub dead_letters: BTreeMap<String, i64>,
    /// From when on closed orders, finished payments and settled notifications are counted: 24
    /// hours ago. Null while there are so few rows that all of them are.
    #[serde(with = "time::serde::rfc3339::option")]
    pub since: Option<OffsetDateTime>,
    /// The database's clock when this was counted.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// One line of the count.
struct Count {
    what: String,
    word: String,
    count: i64,
}

impl Store {
    /// Counts what is open, and what came in the last 24 hours, or everything while it is little.
    pub async fn summary_read(&self) -> Result<SummaryView, StoreError> {
        let span = sqlx::query!(
            r#"
            SELECT now() AS "at!",
                   CASE WHEN (SELECT count(*) FROM (SELECT FROM orders LIMIT $1) AS o) < $1
                         AND (SELECT count(*) FROM (SELECT FROM payments LIMIT $1) AS p) < $1
                         AND (SELECT count(*)
                              FROM (SELECT FROM payment_webhook_events LIMIT $1) AS e) < $1
                        THEN NULL ELSE now() - interval '24 hours' END AS since
            "#,
            COUNTED,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("looking how much there is"))?;
        let counts = match span.since {
            None => self.summary_of_all().await?,
            Some(since) => self.summary_since(since).await?,
        };
        let mut summary = SummaryView {
            orders: BTreeMap::new(),
            payments: BTreeMap::new(),
            notifications: BTreeMap::new(),
            orphans: 0,
            dead_letters: BTreeMap::new(),
            since: span.since,
            at: span.at,
        };
        for Count { what, word, count } in counts {
            let counts = match what.as_str() {
                "orders" => &mut summary.orders,
                "payments" => &mut summary.payments,
                "notifications" => &mut summary.notifications,
                "dead_letters" => &mut summary.dead_letters,
                _ => {
                    summary.orphans = count;
                    continue;
                }
            };
            *counts.entry(word).or_default() += count;
        }
        Ok(summary)
    }

    async fn summary_of_all(&self) -> Result<Vec<Count>, StoreError> {
        sqlx::query_as!(
            Count,
            r#"
            SELECT 'orders' AS "what!", status AS "word!", count(*) AS "count!"
            FROM orders GROUP BY status
            UNION ALL
            SELECT 'payments', status, count(*) FROM payments GROUP BY status
            UNION ALL
            SELECT 'notifications', verdict, count(*) FROM payment_webhook_events GROUP BY verdict
            UNION ALL
            SELECT 'dead_letters', status, count(*) FROM dead_letters GROUP BY status
            UNION ALL
            SELECT 'orphans', '', count(*)
            FROM payments WHERE order_id IS NULL AND origin = 'webhook'
            "#
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("counting"))
    }

    /// The open ones by the indexes that hold only them, the others by their day.
    async fn summary_since(&self, since: OffsetDateTime) -> Result<Vec<Count>, StoreError> {
        sqlx::query_as!(
            Count,
            r#"
            SELECT 'orders' AS "what!", status AS "word!", count(*) AS "count!"
            FROM orders WHERE status = 'PENDING' GROUP BY status
            UNION ALL
            SELECT 'orders', status, count(*) FROM orders WHERE status = 'REVIEW' GROUP BY status
            UNION ALL
            SELECT 'orders', status, count(*) FROM orders
            WHERE created_at >= $1 AND status NOT IN ('PENDING', 'REVIEW') GROUP BY status
            UNION ALL
            SELECT 'payments', status, count(*) FROM payments
            WHERE next_check_at IS NOT NULL AND status IN ('created', 'pending', 'authorize')
            GROUP BY status
            UNION ALL
            SELECT 'payments', status, count(*) FROM payments
            WHERE created_at >= $1
              AND NOT (next_check_at IS NOT NULL AND status IN ('created', 'pending', 'authorize'))
            GROUP BY status
            UNION ALL
            SELECT 'notifications', verdict, count(*) FROM payment_webhook_events
            WHERE NOT processed GROUP BY verdict
            UNION ALL
            SELECT 'notifications', verdict, count(*) FROM payment_webhook_events
            WHERE processed AND received_at >= $1 GROUP BY verdict
            UNION ALL
            SELECT 'dead_letters', status, count(*) FROM dead_letters GROUP BY status
            UNION ALL
            SELECT 'orphans', '', count(*)
            FROM payments WHERE order_id IS NULL AND origin = 'webhook'
            "#,
            since,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("counting what is open and recent"))
    }
}
