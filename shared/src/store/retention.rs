//! Finding and removing what is older than it is kept.
//!
//! Nothing here decides what may go: the conditions of the statements do, beside the row they
//! remove, and the database's function refuses a partition that must stay. Rows that somebody else
//! holds are left for the next time.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Store, StoreError};

/// A monthly partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The table.
    pub table: String,
    /// The partition's name.
    pub name: String,
    /// Its first moment.
    pub from: OffsetDateTime,
    /// The moment after its last.
    pub to: OffsetDateTime,
    /// About how many rows it has; `None` when nobody knows yet.
    pub rows: Option<i64>,
    /// What it takes on disk, indexes included.
    pub bytes: i64,
}

/// What became of a partition that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropping {
    /// It is gone.
    Dropped,
    /// It holds a notification that is not done with.
    Unprocessed,
    /// Somebody reads or writes the table.
    Busy,
    /// It is not old enough, or gone already.
    NotDue,
}

/// Rows removed from a window of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How many were removed, or would be.
    pub removed: i64,
    /// The last id that was looked at; `None` when there is nothing older further on.
    pub last: Option<i64>,
}

impl Store {
    /// Monthly partitions that were over this long ago, of one table, the oldest first.
    pub async fn retention_partitions(
        &self,
        table: &str,
        keep: Duration,
    ) -> Result<Vec<Partition>, StoreError> {
        sqlx::query_as!(
            Partition,
            r#"
            SELECT p.relname::text AS "table!", c.relname::text AS "name!", b."from" AS "from!",
                   b."to" AS "to!", nullif(c.reltuples, -1)::bigint AS rows,
                   pg_total_relation_size(c.oid) AS "bytes!"
            FROM pg_class p
            JOIN pg_inherits i ON i.inhparent = p.oid
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
                'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bound
            CROSS JOIN LATERAL (
                SELECT bound[1]::timestamptz AS "from", bound[2]::timestamptz AS "to") AS b
            WHERE p.oid = to_regclass('public.' || quote_ident($1))
              AND b."to" <= now() - make_interval(secs => $2)
            ORDER BY b."to"
            "#,
            table,
            keep.as_secs_f64(),
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("looking for old partitions"))
    }

    /// Notifications in a span of time that are not done with, of the two tables of notifications.
    pub async fn retention_unprocessed(
        &self,
        table: &str,
        from: OffsetDateTime,
        to: OffsetDateTime,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT CASE $1
                WHEN 'payment_webhook_events' THEN (
                    SELECT count(*) FROM payment_webhook_events
                    WHERE NOT processed AND received_at >= $2 AND received_at < $3)
                WHEN 'other_notifications' THEN (
                    SELECT count(*) FROM other_notifications
                    WHERE NOT processed AND received_at >= $2 AND received_at < $3)
                ELSE 0 END AS "count!"
            "#,
            table,
            from,
            to,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("counting what is not processed"))
    }

    /// The same of notifications that are old and belong to no month.
    pub async fn retention_unprocessed_in_default(
        &self,
        table: &str,
        keep: Duration,
    ) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT CASE $1
                WHEN 'payment_webhook_events' THEN (
                    SELECT count(*) FROM payment_webhook_events_default
                    WHERE NOT processed AND received_at < now() - make_interval(secs => $2))
                WHEN 'other_notifications' THEN (
                    SELECT count(*) FROM other_notifications_default
                    WHERE NOT processed AND received_at < now() - make_interval(secs => $2))
                ELSE 0 END AS "count!"
            "#,
            table,
            keep.as_secs_f64(),
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("counting what is not processed in no month"))
    }

    /// Drops a partition, unless it must stay or the table is in use.
    pub async fn retention_drop(&self, name: &str, keep: Duration) -> Result<Dropping, StoreError> {
        let answer = sqlx::query_scalar!(
            r#"SELECT lunas_drop_old_partition($1, make_interval(secs => $2)) AS "answer!""#,
            name,
            keep.as_secs_f64(),
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("dropping a partition"))?;
        Ok(match answer.as_str() {
            "dropped" => Dropping::Dropped,
            "unprocessed" => Dropping::Unprocessed,
            "busy" => Dropping::Busy,
            _ => Dropping::NotDue,
        })
    }

    /// Published events that are old, among the next `limit` by id. Ids grow with time, so a window
    /// without an old event is the end.
    pub async fn retention_events(
        &self,
        after: i64,
        keep: Duration,
        limit: i64,
        dry_run: bool,
    ) -> Result<Window, StoreError> {
        let row = sqlx::query!(
            r#"
            WITH seen AS MATERIALIZED (
                SELECT id, created_at < now() - make_interval(secs => $2) AS old,
                       published_at IS NOT NULL AS published
                FROM domain_events WHERE id > $1 ORDER BY id LIMIT $3
            ), gone AS (
                DELETE FROM domain_events USING seen
                WHERE domain_events.id = seen.id AND seen.old AND NOT $4
                  AND domain_events.published_at IS NOT NULL
                RETURNING 1
            )
            SELECT CASE WHEN $4 THEN (SELECT count(*) FROM seen WHERE old AND published)
                        ELSE (SELECT count(*) FROM gone) END AS "removed!",
                   (SELECT max(id) FROM seen HAVING bool_or(old) AND count(*) = $3) AS last
            "#,
            after,
            keep.as_secs_f64(),
            limit,
            dry_run,
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("removing old events"))?;
        Ok(Window {
            removed: row.removed,
            last: row.last,
        })
    }
}
