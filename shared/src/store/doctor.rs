//! What `lunas doctor` asks the database: reads only, in one snapshot, with a longer time-out than
//! the services have.

use time::OffsetDateTime;

use super::orders::OrderRow;
use super::payments::PaymentRow;
use super::{Store, StoreError, Txn};

/// Names of rows that break a rule, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// How many.
    pub count: i64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Notifications that have waited for the status API for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// How many.
    pub count: i64,
    /// Since when the oldest one waits.
    pub oldest: Option<OffsetDateTime>,
    /// Some of their sessions.
    pub examples: Vec<String>,
}

impl Store {
    /// Begins a snapshot that cannot write. It may take minutes: a sweep looks at whole tables.
    pub async fn doctor_begin(&self) -> Result<Txn, StoreError> {
        let mut txn = self.begin().await?;
        for setting in [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "SET LOCAL statement_timeout = '5min'",
        ] {
            sqlx::query(setting)
                .execute(&mut *txn)
                .await
                .map_err(StoreError::of("beginning a snapshot"))?;
        }
        Ok(txn)
    }

    /// A page of orders by id.
    pub async fn doctor_orders_in_txn(
        &self,
        txn: &mut Txn,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OrderRow>, StoreError> {
        sqlx::query_as!(
            OrderRow,
            r#"
            SELECT id, order_code, status, gross_amount, session_id, expires_at, paid_at,
                   tickets_issued_at, stock_confirmed_at, capacity_released_at,
                   stock_released_at, pickup_code, pickup_revoked_at, picked_up_at,
                   review_reasons, resolution, resolution_paid
            FROM orders WHERE id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading orders"))
    }

    /// The sessions of the given orders.
    pub async fn doctor_payments_of_in_txn(
        &self,
        txn: &mut Txn,
        orders: &[i64],
    ) -> Result<Vec<PaymentRow>, StoreError> {
        sqlx::query_as!(
            PaymentRow,
            r#"
            SELECT id, session_id, order_id, origin, gross_amount, status, payment_type,
                   payment_channel, paid_at
            FROM payments WHERE order_id = ANY($1::bigint[]) ORDER BY id
            "#,
            orders,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading payments"))
    }

    /// A page of sessions without an order, by id.
    pub async fn doctor_orphans_in_txn(
        &self,
        txn: &mut Txn,
        after: i64,
        limit: i64,
    ) -> Result<Vec<PaymentRow>, StoreError> {
        sqlx::query_as!(
            PaymentRow,
            r#"
            SELECT id, session_id, order_id, origin, gross_amount, status, payment_type,
                   payment_channel, paid_at
            FROM payments WHERE order_id IS NULL AND id > $1 ORDER BY id LIMIT $2
            "#,
            after,
            limit,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading payments without an order"))
    }

    /// Notifications that are recorded more than once.
    pub async fn doctor_repeated_events_in_txn(&self, txn: &mut Txn) -> Result<Broken, StoreError> {
        sqlx::query_as!(
            Broken,
            r#"
            SELECT count(*) AS "count!",
                   coalesce((array_agg(name))[1:5], '{}') AS "examples!"
            FROM (SELECT format('%s of %s', count(*), min(order_id)) AS name
                  FROM payment_webhook_events GROUP BY event_key HAVING count(*) > 1
                  UNION ALL
                  SELECT format('%s of %s %s', count(*), min(kind), min(external_id))
                  FROM other_notifications GROUP BY event_key HAVING count(*) > 1) AS repeated
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("looking for repeated notifications"))
    }

    /// Notifications that wait for the status API since before the given number of seconds.
    pub async fn doctor_unconfirmed_in_txn(
        &self,
        txn: &mut Txn,
        seconds: f64,
    ) -> Result<Waiting, StoreError> {
        sqlx::query_as!(
            Waiting,
            r#"
            SELECT count(*) AS "count!", min(received_at) AS oldest,
                   coalesce((array_agg(order_id ORDER BY received_at))[1:5], '{}') AS "examples!"
            FROM (SELECT order_id, received_at FROM payment_webhook_events
                  WHERE verdict = 'unconfirmed'
                  UNION ALL
                  SELECT kind || ' ' || external_id, received_at FROM other_notifications
                  WHERE verdict = 'unconfirmed' AND transaction_id IS NOT NULL) AS waiting
            WHERE received_at < now() - make_interval(secs => $1)
            "#,
            seconds,
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("looking for unconfirmed notifications"))
    }

    /// Orders whose `session_id` is not one of their own sessions.
    pub async fn doctor_foreign_sessions_in_txn(
        &self,
        txn: &mut Txn,
    ) -> Result<Broken, StoreError> {
        sqlx::query_as!(
            Broken,
            r#"
            SELECT count(*) AS "count!",
                   coalesce((array_agg(o.order_code || ' names ' || o.session_id))[1:5], '{}')
                       AS "examples!"
            FROM orders o
            LEFT JOIN payments p ON p.session_id = o.session_id
            WHERE o.session_id IS NOT NULL AND p.order_id IS DISTINCT FROM o.id
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("comparing orders with their sessions"))
    }

    /// Sessions that a notification brought and that belong to an order which neither their id nor
    /// a notification names.
    pub async fn doctor_wrong_links_in_txn(&self, txn: &mut Txn) -> Result<Broken, StoreError> {
        sqlx::query_as!(
            Broken,
            r#"
            SELECT count(*) AS "count!",
                   coalesce((array_agg(p.session_id || ' belongs to ' || o.order_code))[1:5], '{}')
                       AS "examples!"
            FROM payments p JOIN orders o ON o.id = p.order_id
            WHERE p.origin = 'webhook'
              AND p.session_id IS DISTINCT FROM o.session_id
              AND p.session_id <> o.order_code
              AND NOT (starts_with(p.session_id, o.order_code || '-')
                       AND substr(p.session_id, length(o.order_code) + 2) ~ '^[0-9]+$')
              AND NOT EXISTS (
                  SELECT FROM payment_webhook_events e
                  WHERE e.order_id = p.session_id
                    AND (e.raw_body -> 'metadata' ->> 'order_id' IN (o.order_code, o.id::text)
                         OR e.raw_body ->> 'custom_field1' IN (o.order_code, o.id::text)
                         OR e.raw_body #>> '{additionalInfo,customField,1}'
                            IN (o.order_code, o.id::text)))
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map_err(StoreError::of("comparing payments with their orders"))
    }

    /// Partitions of this and next month that are missing.
    pub async fn doctor_missing_partitions_in_txn(
        &self,
        txn: &mut Txn,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT child AS "child!"
            FROM unnest(ARRAY['payment_webhook_events', 'payment_sync_logs',
                              'other_notifications']) AS p (parent)
            CROSS JOIN generate_series(0, 1) AS m (months)
            CROSS JOIN LATERAL (SELECT format('%s_y%sm%s', parent, to_char(month, 'YYYY'),
                                              to_char(month, 'MM')) AS child
                                FROM (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')
                                             + make_interval(months => months)) AS t (month)
                               ) AS named
            WHERE to_regclass(child) IS NULL ORDER BY child
            "#
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for partitions"))
    }

    /// Dead letters that nobody has settled, and the rupiah in them.
    pub async fn doctor_dead_letters_in_txn(
        &self,
        txn: &mut Txn,
    ) -> Result<(i64, i64), StoreError> {
        sqlx::query!(
            r#"
            SELECT count(*) AS "count!", coalesce(sum(amount), 0)::bigint AS "rupiah!"
            FROM dead_letters WHERE status = 'dead'
            "#
        )
        .fetch_one(&mut **txn)
        .await
        .map(|row| (row.count, row.rupiah))
        .map_err(StoreError::of("counting dead letters"))
    }
}
