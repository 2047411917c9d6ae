//! Messages about alerts: written with the change they tell of, claimed by who sends them, marked
//! once they are sent. A sender that dies leaves its claims to run out.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::lease::interval;
use super::{Store, StoreError, Txn};
use crate::domain::alerts::{AlertText, MessageKind, Notice, Route};

/// A message that this process is to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// Its id.
    pub id: i64,
    /// Which way it goes.
    pub route: Route,
    /// How often it was tried, this time included.
    pub attempts: i32,
    /// What it says.
    pub notice: Notice,
}

/// A claimed message and its alert, as the row has them.
struct Row {
    id: i64,
    message_id: Uuid,
    kind: String,
    route: String,
    attempts: i32,
    alert_id: i64,
    rule: String,
    severity: String,
    order_code: Option<String>,
    session_id: Option<String>,
    order_status: Option<String>,
    payment_status: Option<String>,
    amount: Option<i64>,
    since: OffsetDateTime,
    summary: String,
    runbook: String,
    opened_at: OffsetDateTime,
    resolved_at: Option<OffsetDateTime>,
}

impl Row {
    /// `None` for words of another release.
    fn claimed(self) -> Option<ClaimedMessage> {
        let kind = MessageKind::parse(&self.kind)?;
        Some(ClaimedMessage {
            id: self.id,
            route: Route::parse(&self.route)?,
            attempts: self.attempts,
            notice: Notice {
                message_id: self.message_id.to_string(),
                kind,
                alert: AlertText {
                    id: Some(self.alert_id),
                    rule: self.rule,
                    severity: self.severity,
                    order_code: self.order_code,
                    session_id: self.session_id,
                    order_status: self.order_status,
                    payment_status: self.payment_status,
                    amount: self.amount,
                    since: self.since,
                    summary: self.summary,
                    runbook: self.runbook,
                    opened_at: self.opened_at,
                    // A message that was late still tells what it was written for.
                    resolved_at: self.resolved_at.filter(|_| kind == MessageKind::Resolved),
                },
            },
        })
    }
}

impl Store {
    /// Writes a message of each alert for each route.
    pub async fn alert_messages_insert_in_txn(
        &self,
        txn: &mut Txn,
        alerts: &[i64],
        kind: MessageKind,
        routes: &[Route],
    ) -> Result<(), StoreError> {
        if alerts.is_empty() || routes.is_empty() {
            return Ok(());
        }
        let routes: Vec<&str> = routes.iter().map(|route| route.as_str()).collect();
        sqlx::query!(
            r#"
            INSERT INTO alert_messages (alert_id, kind, route)
            SELECT a.id, $2, r.route
            FROM unnest($1::bigint[]) AS a (id), unnest($3::text[]) AS r (route)
            ORDER BY a.id
            "#,
            alerts,
            kind.as_str(),
            routes as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing messages of alerts"))?;
        Ok(())
    }

    /// Claims messages that are due for that long, oldest first. One that tells of an alert's end
    /// waits for the one that tells of its beginning.
    pub async fn alert_messages_claim(
        &self,
        routes: &[Route],
        hold: Duration,
        limit: i64,
    ) -> Result<Vec<ClaimedMessage>, StoreError> {
        let routes: Vec<&str> = routes.iter().map(|route| route.as_str()).collect();
        let mut rows = sqlx::query_as!(
            Row,
            r#"
            UPDATE alert_messages m
            SET attempts = m.attempts + 1, next_try_at = now() + $2::interval
            FROM alerts a
            WHERE a.id = m.alert_id AND m.id IN (
                SELECT c.id FROM alert_messages c
                WHERE c.sent_at IS NULL AND c.next_try_at <= now() AND c.route = ANY($1::text[])
                  AND NOT EXISTS (
                      SELECT FROM alert_messages e
                      WHERE e.alert_id = c.alert_id AND e.route = c.route AND e.id < c.id
                        AND e.sent_at IS NULL)
                ORDER BY c.id LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING m.id, m.message_id, m.kind, m.route, m.attempts, m.alert_id, a.rule,
                      a.severity, a.order_code, a.session_id, a.order_status, a.payment_status,
                      a.amount, a.since, a.summary, a.runbook, a.opened_at, a.resolved_at
            "#,
            routes as _,
            interval(hold),
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("claiming messages of alerts"))?;
        rows.sort_by_key(|row| row.id);
        Ok(rows.into_iter().filter_map(Row::claimed).collect())
    }

    /// Marks a message as sent, by that channel.
    pub async fn alert_message_sent(&self, id: i64, channel: &str) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE alert_messages SET sent_at = now(), channel = $2, last_error = NULL
            WHERE id = $1
            "#,
            id,
            channel,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("marking a message of an alert"))?;
        Ok(())
    }

    /// Notes why a message could not be sent, and that it is tried again after a while.
    pub async fn alert_message_failed(
        &self,
        id: i64,
        channel: Option<&str>,
        error: &str,
        again: Duration,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE alert_messages
            SET channel = $2, last_error = $3, next_try_at = now() + $4::interval
            WHERE id = $1 AND sent_at IS NULL
            "#,
            id,
            channel,
            error,
            interval(again),
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("noting a message of an alert that failed"))?;
        Ok(())
    }
}
