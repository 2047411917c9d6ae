//! Removing old rows in batches, from tables without partitions and from the default partitions.
//!
//! What would be removed is counted by conditions of the same words, up to a million per table.

use std::time::Duration;

use sqlx::postgres::PgQueryResult;

use super::{Store, StoreError};

/// Nothing is counted further than this.
const COUNTED: i64 = 1_000_000;

/// A table whose old rows go one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Processed notifications in the default partition.
    Notifications,
    /// Processed other notifications in the default partition.
    OtherNotifications,
    /// The log in its default partition.
    Logs,
    /// Idempotency keys.
    Keys,
    /// Finished runs of jobs.
    Runs,
    /// Dead letters that were replayed or discarded, with what was done with them.
    Letters,
    /// Replays that are over and whose letters are gone.
    Replays,
    /// Alerts that are over, with what was sent about them.
    Alerts,
}

impl Rows {
    /// The table.
    pub const fn table(self) -> &'static str {
        match self {
            Self::Notifications => "payment_webhook_events",
            Self::OtherNotifications => "other_notifications",
            Self::Logs => "payment_sync_logs",
            Self::Keys => "idempotency_keys",
            Self::Runs => "job_runs",
            Self::Letters => "dead_letters",
            Self::Replays => "dead_letter_replays",
            Self::Alerts => "alerts",
        }
    }
}

impl Store {
    /// Removes at most `limit` old rows; answers how many went.
    pub async fn retention_remove(
        &self,
        rows: Rows,
        keep: Duration,
        limit: i64,
    ) -> Result<i64, StoreError> {
        let keep = keep.as_secs_f64();
        match rows {
            Rows::Notifications => self.remove_notifications(keep, limit).await,
            Rows::OtherNotifications => self.remove_other_notifications(keep, limit).await,
            Rows::Logs => self.remove_logs(keep, limit).await,
            Rows::Keys => self.remove_keys(keep, limit).await,
            Rows::Runs => self.remove_runs(keep, limit).await,
            Rows::Letters => self.remove_letters(keep, limit).await,
            Rows::Replays => self.remove_replays(keep, limit).await,
            Rows::Alerts => self.remove_alerts(keep, limit).await,
        }
    }

    async fn remove_notifications(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM payment_webhook_events_default WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM payment_webhook_events_default t
                WHERE t.processed AND t.received_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED))
            "#,
            keep,
            limit,
        )
        .execute(self.pool())
        .await
        .map(removed)
        .map_err(StoreError::of("removing old notifications"))
    }

    async fn remove_other_notifications(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM other_notifications_default WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM other_notifications_default t
                WHERE t.processed AND t.received_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED))
            "#,
            keep,
            limit,
        )
        .execute(self.pool())
        .await
        .map(removed)
        .map_err(StoreError::of("removing old other notifications"))
    }

    async fn remove_logs(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM payment_sync_logs_default WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM payment_sync_logs_default t
                WHERE t.created_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED))
            "#,
            keep,
            limit,
        )
        .execute(self.pool())
        .await
        .map(removed)
        .map_err(StoreError::of("removing old log rows"))
    }

    async fn remove_keys(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM idempotency_keys t
                WHERE t.created_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED))
            "#,
            keep,
            limit,
        )
        .execute(self.pool())
        .await
        .map(removed)
        .map_err(StoreError::of("removing old idempotency keys"))
    }

    async fn remove_runs(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query!(
            r#"
            DELETE FROM job_runs WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM job_runs t
                WHERE t.finished_at < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED))
            "#,
            keep,
            limit,
        )
        .execute(self.pool())
        .await
        .map(removed)
        .map_err(StoreError::of("removing old runs of jobs"))
    }

    /// A letter goes with all that refers to it, in one statement.
    async fn remove_letters(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            WITH old AS MATERIALIZED (
                SELECT id FROM dead_letters t
                WHERE t.status IN ('replayed', 'discarded')
                  AND coalesce(t.replayed_at, t.discarded_at) < now() - make_interval(secs => $1)
                LIMIT $2 FOR UPDATE SKIP LOCKED
            ), actions AS (
                DELETE FROM dead_letter_actions WHERE dead_letter_id IN (SELECT id FROM old)
            ), items AS (
                DELETE FROM dead_letter_replay_items WHERE dead_letter_id IN (SELECT id FROM old)
            ), letters AS (
                DELETE FROM dead_letters WHERE id IN (SELECT id FROM old) RETURNING 1
            )
            SELECT count(*) AS "count!" FROM letters
            "#,
            keep,
            limit,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("removing old dead letters"))
    }

    /// Replays that are over and whose letters are gone.
    async fn remove_replays(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            WITH gone AS (
                DELETE FROM dead_letter_replays WHERE id IN (
                    SELECT id FROM dead_letter_replays t
                    WHERE t.status IN ('done', 'cancelled') AND t.updated_at < now() - make_interval(secs => $1)
                    AND NOT EXISTS (SELECT FROM dead_letters l WHERE l.replay_id = t.id)
                    AND NOT EXISTS (SELECT FROM dead_letter_actions a WHERE a.replay_id = t.id)
                    AND NOT EXISTS (SELECT FROM dead_letter_replay_items i WHERE i.replay_id = t.id)
                    LIMIT $2 FOR UPDATE SKIP LOCKED)
                RETURNING 1)
            SELECT count(*) AS "count!" FROM gone
            "#,
            keep,
            limit,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("removing old replays"))
    }

    /// An alert goes with its messages, provided that none of them waits.
    async fn remove_alerts(&self, keep: f64, limit: i64) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            WITH old AS MATERIALIZED (
                SELECT id FROM alerts t
                WHERE t.resolved_at < now() - make_interval(secs => $1)
                  AND NOT EXISTS (SELECT FROM alert_messages m
                                  WHERE m.alert_id = t.id AND m.sent_at IS NULL)
                LIMIT $2 FOR UPDATE SKIP LOCKED
            ), messages AS (
                DELETE FROM alert_messages WHERE alert_id IN (SELECT id FROM old)
            ), gone AS (
                DELETE FROM alerts WHERE id IN (SELECT id FROM old) RETURNING 1
            )
            SELECT count(*) AS "count!" FROM gone
            "#,
            keep,
            limit,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("removing old alerts"))
    }

    /// Counts old rows, up to a million.
    pub async fn retention_count(&self, rows: Rows, keep: Duration) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT CASE $1
                WHEN 'payment_webhook_events' THEN (
                    SELECT count(*) FROM (SELECT FROM payment_webhook_events_default t
                    WHERE t.processed AND t.received_at < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'other_notifications' THEN (
                    SELECT count(*) FROM (SELECT FROM other_notifications_default t
                    WHERE t.processed AND t.received_at < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'payment_sync_logs' THEN (
                    SELECT count(*) FROM (SELECT FROM payment_sync_logs_default t
                    WHERE t.created_at < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'idempotency_keys' THEN (
                    SELECT count(*) FROM (SELECT FROM idempotency_keys t
                    WHERE t.created_at < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'job_runs' THEN (
                    SELECT count(*) FROM (SELECT FROM job_runs t
                    WHERE t.finished_at < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'dead_letters' THEN (
                    SELECT count(*) FROM (SELECT FROM dead_letters t
                    WHERE t.status IN ('replayed', 'discarded')
                    AND coalesce(t.replayed_at, t.discarded_at) < now() - make_interval(secs => $2) LIMIT $3) AS old)
                WHEN 'dead_letter_replays' THEN (
                    SELECT count(*) FROM (SELECT FROM dead_letter_replays t
                    WHERE t.status IN ('done', 'cancelled') AND t.updated_at < now() - make_interval(secs => $2)
                    AND NOT EXISTS (SELECT FROM dead_letters l WHERE l.replay_id = t.id)
                    AND NOT EXISTS (SELECT FROM dead_letter_actions a WHERE a.replay_id = t.id)
                    AND NOT EXISTS (SELECT FROM dead_letter_replay_items i WHERE i.replay_id = t.id) LIMIT $3) AS old)
                WHEN 'alerts' THEN (
                    SELECT count(*) FROM (SELECT FROM alerts t
                    WHERE t.resolved_at < now() - make_interval(secs => $2)
                    AND NOT EXISTS (SELECT FROM alert_messages m
                                    WHERE m.alert_id = t.id AND m.sent_at IS NULL) LIMIT $3) AS old)
                END AS "count!"
            "#,
            rows.table(),
            keep.as_secs_f64(),
            COUNTED,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("counting old rows"))
    }
}

fn removed(done: PgQueryResult) -> i64 {
    i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)
}
