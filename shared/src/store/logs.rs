//! The log of what was done and found.

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// One thing that was done or found.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLog {
    /// The order it concerns, once known.
    pub order_code: Option<String>,
    /// The session it concerns.
    pub session_id: Option<String>,
    /// Who started it: `webhook`, `poll`, `admin`, `reconcile`, `replay`, `backfill`, `system`.
    pub sync_type: &'static str,
    /// What it was, e.g. `status_changed`.
    pub event_type: &'static str,
    /// The state before.
    pub from_status: Option<String>,
    /// The state after.
    pub to_status: Option<String>,
    /// The operator, where one asked for it.
    pub actor: Option<String>,
    /// What else is worth knowing, JSON.
    pub detail: Option<serde_json::Value>,
}

impl Store {
    /// Writes log rows.
    pub async fn logs_insert_in_txn(
        &self,
        txn: &mut Txn,
        logs: &[NewLog],
    ) -> Result<(), StoreError> {
        if logs.is_empty() {
            return Ok(());
        }
        columns!(logs,
            orders: |l| l.order_code.as_deref(),
            sessions: |l| l.session_id.as_deref(),
            types: |l| l.sync_type,
            events: |l| l.event_type,
            from: |l| l.from_status.as_deref(),
            to: |l| l.to_status.as_deref(),
            actors: |l| l.actor.as_deref(),
            details: |l| l.detail.as_ref().map(serde_json::Value::to_string),
        );
        sqlx::query!(
            r#"
            INSERT INTO payment_sync_logs (
                order_code, session_id, sync_type, event_type, from_status, to_status, actor,
                detail)
            SELECT l.order_code, l.session_id, l.sync_type, l.event_type, l.from_status,
                   l.to_status, l.actor, l.detail::jsonb
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                        $7::text[], $8::text[])
                AS l (order_code, session_id, sync_type, event_type, from_status, to_status,
                      actor, detail)
            "#,
            orders as _,
            sessions as _,
            types as _,
            events as _,
            from as _,
            to as _,
            actors as _,
            details as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing the log"))?;
        Ok(())
    }
}
