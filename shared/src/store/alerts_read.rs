//! Alerts as operators see them, and the word of one who knows.

use serde::Serialize;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// Which alerts are meant; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only those that have not ended.
    pub open_only: bool,
    /// The rule's name.
    pub rule: Option<String>,
    /// `critical` or `high`.
    pub severity: Option<String>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertView {
    /// Its id.
    pub id: i64,
    /// Which condition.
    pub rule: String,
    /// `critical` or `high`.
    pub severity: String,
    /// The order.
    pub order_code: Option<String>,
    /// The payment session.
    pub session_id: Option<String>,
    /// What the order was when it was last looked at.
    pub order_status: Option<String>,
    /// What the payment was.
    pub payment_status: Option<String>,
    /// Rupiah.
    pub amount: Option<i64>,
    /// Since when the condition holds.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// One sentence.
    pub summary: String,
    /// Section of the runbook.
    pub runbook: String,
    /// When it was noticed.
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    /// When it was last found.
    #[serde(with = "time::serde::rfc3339")]
    pub last_seen_at: OffsetDateTime,
    /// When it was found to be over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub resolved_at: Option<OffsetDateTime>,
    /// When somebody said that they know.
    #[serde(with = "time::serde::rfc3339::option")]
    pub acked_at: Option<OffsetDateTime>,
    /// Who.
    pub acked_by: Option<String>,
    /// What they said.
    pub ack_why: Option<String>,
    /// Messages about it that were sent.
    pub messages_sent: i64,
    /// Messages about it that wait to be sent.
    pub messages_waiting: i64,
    /// Why the newest of those could not be sent.
    pub last_error: Option<String>,
}

/// What became of the word of one who knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// It is not repeated any more.
    Acked,
    /// Somebody had said so before; their words stay.
    Already,
    /// There is no such alert.
    Unknown,
}

impl Store {
    /// The newest alerts that the filter names, before the one with the given id.
    pub async fn alerts_list(
        &self,
        filter: &AlertFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AlertView>, StoreError> {
        self.alerts_select(filter, None, before, limit).await
    }

    /// One alert.
    pub async fn alert_find(&self, id: i64) -> Result<Option<AlertView>, StoreError> {
        let any = AlertFilter::default();
        Ok(self.alerts_select(&any, Some(id), None, 1).await?.pop())
    }

    async fn alerts_select(
        &self,
        filter: &AlertFilter,
        id: Option<i64>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AlertView>, StoreError> {
        sqlx::query_as!(
            AlertView,
            r#"
            SELECT a.id, a.rule, a.severity, a.order_code, a.session_id, a.order_status,
                   a.payment_status, a.amount, a.since, a.summary, a.runbook, a.opened_at,
                   a.last_seen_at, a.resolved_at, a.acked_at, a.acked_by, a.ack_why,
                   m.sent AS "messages_sent!", m.waiting AS "messages_waiting!", m.last_error
            FROM alerts a
            CROSS JOIN LATERAL (
                SELECT count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
                       count(*) FILTER (WHERE sent_at IS NULL) AS waiting,
                       (array_agg(last_error ORDER BY id DESC)
                        FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
                FROM alert_messages WHERE alert_id = a.id) AS m
            WHERE ($1::bigint IS NULL OR a.id = $1) AND ($2::bigint IS NULL OR a.id < $2)
              AND (a.resolved_at IS NULL OR NOT $3)
              AND ($4::text IS NULL OR a.rule = $4)
              AND ($5::text IS NULL OR a.severity = $5)
            ORDER BY a.id DESC LIMIT $6
            "#,
            id,
            before,
            filter.open_only,
            filter.rule.as_deref(),
            filter.severity.as_deref(),
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("listing alerts"))
    }

    /// Notes that somebody knows of an alert: it is not repeated any more.
    pub async fn alert_ack(&self, id: i64, actor: &str, why: &str) -> Result<Ack, StoreError> {
        let acked = sqlx::query_scalar!(
            r#"
            UPDATE alerts SET acked_at = now(), acked_by = $2, ack_why = $3
            WHERE id = $1 AND acked_at IS NULL RETURNING id
            "#,
            id,
            actor,
            why,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("acknowledging an alert"))?;
        if acked.is_some() {
            return Ok(Ack::Acked);
        }
        Ok(match self.alert_find(id).await? {
            Some(_) => Ack::Already,
            None => Ack::Unknown,
        })
    }
}
