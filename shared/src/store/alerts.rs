//! Alerts as they begin, go on and end. Each change writes the messages that tell of it, so that
//! the one is never there without the other; sending them is another matter
//! ([`alert_messages`](super::alert_messages)).

use super::columns::columns;
use super::{Store, StoreError, Txn};
use crate::domain::alerts::{Finding, MessageKind, OpenAlert, Route, Rule};

/// Alerts that have not ended, of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCount {
    /// The rule's name.
    pub rule: String,
    /// `critical` or `high`.
    pub severity: String,
    /// How many.
    pub count: i64,
}

impl Store {
    /// Alerts that have not ended, locked: who compares with them next waits.
    pub async fn alerts_unresolved_in_txn(
        &self,
        txn: &mut Txn,
    ) -> Result<Vec<OpenAlert>, StoreError> {
        sqlx::query_as!(
            OpenAlert,
            r#"
            SELECT id, dedupe_key, rule, subject_id, last_message_at,
                   acked_at IS NOT NULL AS "acked!"
            FROM alerts WHERE resolved_at IS NULL ORDER BY id FOR UPDATE
            "#,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading open alerts"))
    }

    /// Opens alerts, except those that are open already; answers with the ids of the new ones.
    pub async fn alerts_open_in_txn(
        &self,
        txn: &mut Txn,
        findings: &[Finding],
        routes: &[Route],
    ) -> Result<Vec<i64>, StoreError> {
        columns!(findings,
            keys: |f| f.dedupe_key.as_str(),
            rules: |f| f.rule.as_str(),
            severities: |f| f.rule.severity().as_str(),
            subjects: |f| f.subject_id,
            orders: |f| f.order_code.as_deref(),
            sessions: |f| f.session_id.as_deref(),
            order_statuses: |f| f.order_status.as_deref(),
            payment_statuses: |f| f.payment_status.as_deref(),
            amounts: |f| f.amount,
            since: |f| f.since,
            summaries: |f| f.summary.as_str(),
            runbooks: |f| f.rule.runbook(),
        );
        let ids = sqlx::query_scalar!(
            r#"
            INSERT INTO alerts (
                dedupe_key, rule, severity, subject_id, order_code, session_id, order_status,
                payment_status, amount, since, summary, runbook)
            SELECT * FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
                $7::text[], $8::text[], $9::bigint[], $10::timestamptz[], $11::text[],
                $12::text[])
            ON CONFLICT (dedupe_key) WHERE resolved_at IS NULL DO NOTHING
            RETURNING id
            "#,
            keys as _,
            rules as _,
            severities as _,
            subjects as _,
            orders as _,
            sessions as _,
            order_statuses as _,
            payment_statuses as _,
            amounts as _,
            &since,
            summaries as _,
            &runbooks,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("opening alerts"))?;
        self.alert_messages_insert_in_txn(txn, &ids, MessageKind::Opened, routes)
            .await?;
        Ok(ids)
    }

    /// Notes that alerts still hold, and what is found now.
    pub async fn alerts_seen_in_txn(
        &self,
        txn: &mut Txn,
        seen: &[(i64, Finding)],
    ) -> Result<(), StoreError> {
        if seen.is_empty() {
            return Ok(());
        }
        columns!(seen,
            ids: |s| s.0,
            orders: |s| s.1.order_code.as_deref(),
            sessions: |s| s.1.session_id.as_deref(),
            order_statuses: |s| s.1.order_status.as_deref(),
            payment_statuses: |s| s.1.payment_status.as_deref(),
            amounts: |s| s.1.amount,
            summaries: |s| s.1.summary.as_str(),
        );
        sqlx::query!(
            r#"
            UPDATE alerts a
            SET last_seen_at = now(), order_code = s.order_code, session_id = s.session_id,
                order_status = s.order_status, payment_status = s.payment_status,
                amount = s.amount, summary = s.summary
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[],
                        $6::bigint[], $7::text[])
                AS s (id, order_code, session_id, order_status, payment_status, amount, summary)
            WHERE a.id = s.id
            "#,
            &ids,
            orders as _,
            sessions as _,
            order_statuses as _,
            payment_statuses as _,
            amounts as _,
            summaries as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("noting that alerts still hold"))?;
        Ok(())
    }

    /// Says again that alerts hold.
    pub async fn alerts_repeat_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[i64],
        routes: &[Route],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE alerts SET last_message_at = now() WHERE id = ANY($1::bigint[])",
            ids,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("repeating alerts"))?;
        self.alert_messages_insert_in_txn(txn, ids, MessageKind::Repeated, routes)
            .await
    }

    /// Ends those of the alerts that have not ended; how many that were.
    pub async fn alerts_resolve_in_txn(
        &self,
        txn: &mut Txn,
        ids: &[i64],
        routes: &[Route],
    ) -> Result<usize, StoreError> {
        let resolved = sqlx::query_scalar!(
            r#"
            UPDATE alerts SET resolved_at = now()
            WHERE id = ANY($1::bigint[]) AND resolved_at IS NULL RETURNING id
            "#,
            ids,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("resolving alerts"))?;
        self.alert_messages_insert_in_txn(txn, &resolved, MessageKind::Resolved, routes)
            .await?;
        Ok(resolved.len())
    }

    /// The open alert of a rule that has at most one.
    pub async fn alert_open_of_in_txn(
        &self,
        txn: &mut Txn,
        rule: Rule,
    ) -> Result<Option<OpenAlert>, StoreError> {
        sqlx::query_as!(
            OpenAlert,
            r#"
            SELECT id, dedupe_key, rule, subject_id, last_message_at,
                   acked_at IS NOT NULL AS "acked!"
            FROM alerts WHERE dedupe_key = $1 AND resolved_at IS NULL FOR UPDATE
            "#,
            rule.as_str(),
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("reading an open alert"))
    }

    /// Ends an alert without a word: somebody else has told of it.
    pub async fn alert_close_in_txn(&self, txn: &mut Txn, id: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE alerts SET resolved_at = now() WHERE id = $1 AND resolved_at IS NULL",
            id,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("closing an alert"))?;
        Ok(())
    }

    /// Records an alert that began and ended, and was told of, while nothing could be stored.
    pub async fn alert_record(&self, finding: &Finding) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO alerts (dedupe_key, rule, severity, since, summary, runbook, opened_at,
                                resolved_at)
            VALUES ($1, $2, $3, least($4, now()), $5, $6, least($4, now()), now())
            "#,
            finding.dedupe_key,
            finding.rule.as_str(),
            finding.rule.severity().as_str(),
            finding.since,
            finding.summary,
            finding.rule.runbook(),
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("recording an alert"))?;
        Ok(())
    }

    /// How many alerts have not ended, by rule.
    pub async fn alerts_open_counts(&self) -> Result<Vec<OpenCount>, StoreError> {
        sqlx::query_as!(
            OpenCount,
            r#"
            SELECT rule, severity, count(*) AS "count!" FROM alerts
            WHERE resolved_at IS NULL GROUP BY rule, severity
            "#,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("counting open alerts"))
    }
}
