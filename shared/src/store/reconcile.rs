//! What the reconciler asks the database: which payments are due and what became of them.

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError};

/// A transaction of a payment that is due, as far as it matters for asking.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct DueTransaction {
    /// Midtrans' id.
    pub id: String,
    /// Midtrans' word.
    pub status: String,
    /// Its fraud status.
    pub fraud: Option<String>,
    /// Midtrans' word.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub channel: Option<String>,
}

/// A payment to look at, with its order.
#[derive(Debug, Clone, PartialEq)]
pub struct DuePayment {
    /// The payment.
    pub id: i64,
    /// Midtrans' order id.
    pub session_id: String,
    /// The word of the transaction that decided, or `created`.
    pub status: String,
    /// Its fraud status.
    pub fraud_status: Option<String>,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// `checkout` or `webhook`.
    pub origin: String,
    /// Names Midtrans' page, where there is one.
    pub snap_token: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// Until when it can be paid, once known.
    pub expires_at: Option<OffsetDateTime>,
    /// How often it was asked about since it last changed.
    pub checks: i32,
    /// Somebody is charging it right now.
    pub busy: bool,
    /// Its transactions, oldest first.
    pub transactions: Vec<DueTransaction>,
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// The clock.
    pub now: OffsetDateTime,
}

impl DuePayment {
    /// What it was when it was read.
    pub fn standing(&self) -> Standing {
        Standing {
            id: self.id,
            status: self.status.clone(),
            fraud_status: self.fraud_status.clone(),
            payment_type: self.payment_type.clone(),
            payment_channel: self.payment_channel.clone(),
            expires_at: self.expires_at,
            checks: self.checks,
            order_status: self.order_status.clone(),
            now: self.now,
        }
    }
}

/// When a payment is looked at next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCheck {
    /// The payment.
    pub id: i64,
    /// What it was when this was decided; one that moved on stays due.
    pub status: String,
    /// `None`: it is final.
    pub at: Option<OffsetDateTime>,
    /// How often it was asked about since it last changed.
    pub checks: i32,
}

/// What a payment and its order are at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The payment.
    pub id: i64,
    /// The word of the transaction that decided.
    pub status: String,
    /// Its fraud status.
    pub fraud_status: Option<String>,
    /// Midtrans' word, once known.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// Until when it can be paid.
    pub expires_at: Option<OffsetDateTime>,
    /// How often it was asked about since it last changed.
    pub checks: i32,
    /// What its order is.
    pub order_status: Option<String>,
    /// The clock.
    pub now: OffsetDateTime,
}

/// An order that is over and was not paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverdueOrder {
    /// The order.
    pub id: i64,
    /// The shop's name of it.
    pub order_code: String,
    /// Rupiah.
    pub gross_amount: i64,
    /// When its time was over.
    pub expires_at: OffsetDateTime,
    /// Its sessions through which it might still be paid.
    pub open_payments: Vec<i64>,
}

impl Store {
    /// A page of orders whose time was over at the given moment, by id.
    pub async fn reconcile_overdue_orders(
        &self,
        until: OffsetDateTime,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OverdueOrder>, StoreError> {
        sqlx::query_as!(
            OverdueOrder,
            r#"
            WITH overdue AS MATERIALIZED (
                SELECT id, order_code, gross_amount, expires_at FROM orders
                WHERE status = 'PENDING' AND expires_at <= least($1, now())
            )
            SELECT o.id, o.order_code, o.gross_amount, o.expires_at,
                   ARRAY(SELECT p.id FROM payments p
                         WHERE p.order_id = o.id
                           AND (p.status IN ('created', 'pending', 'authorize', 'capture')
                                OR p.status = 'deny' AND p.snap_token IS NOT NULL)
                         ORDER BY p.id) AS "open_payments!"
            FROM overdue o
            WHERE o.id > $2
              -- What Midtrans keeps open is asked about more and more rarely.
              AND NOT EXISTS (
                  SELECT FROM payments p
                  WHERE p.order_id = o.id AND p.checks > 3 AND p.next_check_at > now()
                    AND p.status IN ('created', 'pending', 'authorize', 'capture'))
            ORDER BY o.id LIMIT $3
            "#,
            until,
            after,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for orders whose time is over"))
    }

    /// Payments that are due up to a moment, the longest first. Costs what is due, not the table.
    pub async fn reconcile_due(
        &self,
        until: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<DuePayment>, StoreError> {
        let ids = self.reconcile_due_ids(until, limit).await?;
        self.reconcile_payments(&ids).await
    }

    /// Which payments are due up to a moment, the longest first.
    pub async fn reconcile_due_ids(
        &self,
        until: OffsetDateTime,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT id FROM payments
            WHERE next_check_at <= least($1, now()) ORDER BY next_check_at LIMIT $2
            "#,
            until,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for due payments"))
    }

    /// How many payments are due, and since when the first of them is.
    pub async fn reconcile_backlog(&self) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
        sqlx::query!(
            r#"
            SELECT count(*) AS "due!", min(next_check_at) AS oldest
            FROM payments WHERE next_check_at <= now()
            "#
        )
        .fetch_one(self.pool())
        .await
        .map(|row| (row.due, row.oldest))
        .map_err(StoreError::of("counting due payments"))
    }

    /// Payments by id, with what is needed for asking about them.
    pub async fn reconcile_payments(&self, ids: &[i64]) -> Result<Vec<DuePayment>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT p.id, p.session_id, p.status, decided.fraud_status AS "fraud_status?",
                   p.payment_type, p.payment_channel, p.origin, p.snap_token, p.gross_amount,
                   p.expires_at, p.checks,
                   p.status = 'created' AND p.charged_at IS NULL
                       AND coalesce(p.checked_at > clock_timestamp(), false) AS "busy!",
                   coalesce(t.list, '[]')
                       AS "transactions!: sqlx::types::Json<Vec<DueTransaction>>",
                   o.order_code AS "order_code?", o.status AS "order_status?", now() AS "now!"
            FROM payments p
            LEFT JOIN orders o ON o.id = p.order_id
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object(
                           'id', t.midtrans_transaction_id, 'status', t.status,
                           'fraud', t.fraud_status, 'payment_type', t.payment_type,
                           'channel', t.payment_channel) ORDER BY t.id) AS list
                FROM payment_transactions t WHERE t.payment_id = p.id) AS t ON true
            LEFT JOIN LATERAL (
                SELECT t.fraud_status FROM payment_transactions t
                WHERE t.payment_id = p.id AND t.status = p.status
                ORDER BY t.id DESC LIMIT 1) AS decided ON true
            WHERE p.id = ANY($1::bigint[])
            ORDER BY p.next_check_at, p.id
            "#,
            ids,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading payments to ask about"))?;
        Ok(rows
            .into_iter()
            .map(|row| DuePayment {
                id: row.id,
                session_id: row.session_id,
                status: row.status,
                fraud_status: row.fraud_status,
                payment_type: row.payment_type,
                payment_channel: row.payment_channel,
                origin: row.origin,
                snap_token: row.snap_token,
                gross_amount: row.gross_amount,
                expires_at: row.expires_at,
                checks: row.checks,
                busy: row.busy,
                transactions: row.transactions.0,
                order_code: row.order_code,
                order_status: row.order_status,
                now: row.now,
            })
            .collect())
    }

    /// What payments and their orders are now.
    pub async fn reconcile_standings(&self, ids: &[i64]) -> Result<Vec<Standing>, StoreError> {
        sqlx::query_as!(
            Standing,
            r#"
            SELECT p.id AS "id!", p.status AS "status!", decided.fraud_status AS "fraud_status?", p.payment_type,
                   p.payment_channel, p.expires_at, p.checks AS "checks!", o.status AS "order_status?",
                   now() AS "now!"
            FROM payments p
            LEFT JOIN orders o ON o.id = p.order_id
            LEFT JOIN LATERAL (
                SELECT t.fraud_status FROM payment_transactions t
                WHERE t.payment_id = p.id AND t.status = p.status
                ORDER BY t.id DESC LIMIT 1) AS decided ON true
            WHERE p.id = ANY($1::bigint[])
            "#,
            ids,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading what became of payments"))
    }

    /// Writes when payments are looked at next.
    pub async fn reconcile_schedule(&self, checks: &[NextCheck]) -> Result<(), StoreError> {
        if checks.is_empty() {
            return Ok(());
        }
        let mut checks = checks.to_vec();
        // As everybody locks them.
        checks.sort_unstable_by_key(|check| check.id);
        columns!(checks,
            ids: |c| c.id,
            statuses: |c| c.status.as_str(),
            moments: |c| c.at,
            counts: |c| c.checks,
        );
        sqlx::query!(
            r#"
            WITH next AS (
                SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::int[], $4::text[])
                    AS c (id, at, checks, status)
            ), locked AS (
                SELECT p.id FROM payments p WHERE p.id = ANY($1::bigint[])
                ORDER BY p.id FOR NO KEY UPDATE
            )
            UPDATE payments p SET next_check_at = next.at, checks = next.checks
            FROM next JOIN locked ON locked.id = next.id
            WHERE p.id = next.id AND p.status = next.status
            "#,
            &ids,
            moments as _,
            &counts,
            statuses as _,
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("scheduling checks of payments"))
    }
}
