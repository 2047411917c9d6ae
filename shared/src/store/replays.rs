//! Replays of dead letters: fixing the set, going through it, accounting for each letter.
//!
//! One process at a time drives a replay. It holds an advisory lock on a connection of its own and
//! writes over that connection only, so that who loses the connection loses the lock and the means
//! to write together.

use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::columns::columns;
use super::dead_letters_read::DeadLetterContent;
use super::{Store, StoreError};

/// A replay to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReplay<'a> {
    /// Its name.
    pub id: Uuid,
    /// Who wants it.
    pub actor: &'a str,
    /// Why.
    pub why: &'a str,
    /// Messages per second.
    pub rate: i32,
}

/// A replay and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayRow {
    /// Its name.
    pub id: Uuid,
    /// Who wanted it.
    pub actor: String,
    /// Why.
    pub why: String,
    /// Messages per second.
    pub rate: i32,
    /// `running`, `paused`, `done`, `cancelled` or `stopped`.
    pub status: String,
    /// Why it was stopped.
    pub problem: Option<String>,
    /// Letters in it.
    pub total: i32,
    /// Letters published and confirmed.
    pub done: i32,
    /// Letters that could not be published.
    pub failed: i32,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it last moved.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// What became of a letter of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledItem {
    /// The letter.
    pub dead_letter_id: i64,
    /// Published and confirmed; otherwise the letter is dead again.
    pub published: bool,
    /// For the record of actions.
    pub result: &'static str,
}

impl Store {
    /// Creates a replay of those of the given letters that are dead. `None` when none is.
    pub async fn replays_create(
        &self,
        replay: &NewReplay<'_>,
        ids: &[i64],
    ) -> Result<Option<ReplayRow>, StoreError> {
        sqlx::query!(
            r#"
            WITH chosen AS (
                SELECT id FROM dead_letters
                WHERE id = ANY($5::bigint[]) AND status = 'dead' ORDER BY id FOR UPDATE),
            replay AS (
                INSERT INTO dead_letter_replays (id, actor, why, rate, total)
                SELECT $1, $2, $3, $4, count(*) FROM chosen HAVING count(*) > 0
                RETURNING id),
            items AS (
                INSERT INTO dead_letter_replay_items (replay_id, dead_letter_id)
                SELECT replay.id, chosen.id FROM replay, chosen)
            UPDATE dead_letters d
            SET status = 'replaying', replay_id = replay.id, updated_at = now()
            FROM replay, chosen WHERE d.id = chosen.id
            "#,
            replay.id,
            replay.actor,
            replay.why,
            replay.rate,
            ids,
        )
        .execute(&self.pool)
        .await
        .map_err(StoreError::of("creating a replay"))?;
        self.replays_find(replay.id).await
    }

    /// A replay by its name.
    pub async fn replays_find(&self, id: Uuid) -> Result<Option<ReplayRow>, StoreError> {
        sqlx::query_as!(
            ReplayRow,
            r#"
            SELECT id, actor, why, rate, status, problem, total, done, failed, created_at,
                   updated_at
            FROM dead_letter_replays WHERE id = $1
            "#,
            id,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::of("reading a replay"))
    }

    /// Replays that have letters left, oldest first.
    pub async fn replays_unfinished(&self) -> Result<Vec<ReplayRow>, StoreError> {
        sqlx::query_as!(
            ReplayRow,
            r#"
            SELECT id, actor, why, rate, status, problem, total, done, failed, created_at,
                   updated_at
            FROM dead_letter_replays WHERE status IN ('running', 'paused', 'stopped')
            ORDER BY created_at, id
            "#
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("reading unfinished replays"))
    }

    /// Ends a replay that has letters left; whoever drives it gives them back. `false` when it had
    /// ended before.
    pub async fn replays_cancel(&self, id: Uuid) -> Result<bool, StoreError> {
        sqlx::query!(
            r#"
            UPDATE dead_letter_replays
            SET status = 'cancelled', problem = NULL, updated_at = now()
            WHERE id = $1 AND status IN ('running', 'paused', 'stopped')
            "#,
            id,
        )
        .execute(&self.pool)
        .await
        .map(|answer| answer.rows_affected() > 0)
        .map_err(StoreError::of("cancelling a replay"))
    }

    /// Takes a replay in hand. `None` when another process has it.
    pub async fn replays_lock(&self, id: Uuid) -> Result<Option<ReplayLock>, StoreError> {
        let failed = StoreError::of("taking a replay in hand");
        let pooled = self.pool.acquire().await.map_err(&failed)?;
        // Out of the pool: the lock ends with this connection, whatever ends it.
        let mut connection = pooled.detach();
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS "locked!""#,
            format!("lunas replay {id}"),
        )
        .fetch_one(&mut connection)
        .await
        .map_err(&failed)?;
        Ok(locked.then_some(ReplayLock { connection, id }))
    }
}

/// A replay in hand.
#[derive(Debug)]
pub struct ReplayLock {
    connection: PgConnection,
    id: Uuid,
}

impl ReplayLock {
    /// Sets an unfinished replay running; `false` when it has ended.
    pub async fn run(&mut self) -> Result<bool, StoreError> {
        sqlx::query!(
            r#"
            UPDATE dead_letter_replays SET status = 'running', problem = NULL, updated_at = now()
            WHERE id = $1 AND status IN ('running', 'paused', 'stopped')
            "#,
            self.id,
        )
        .execute(&mut self.connection)
        .await
        .map(|answer| answer.rows_affected() > 0)
        .map_err(StoreError::of("setting a replay running"))
    }

    /// The next letters to publish, by id; none unless the replay is running.
    pub async fn pending(&mut self, limit: i64) -> Result<Vec<DeadLetterContent>, StoreError> {
        sqlx::query_as!(
            DeadLetterContent,
            r#"
            SELECT d.id, d.routing_key, d.payload, d.headers AS "headers: Value"
            FROM dead_letter_replays r
            JOIN dead_letter_replay_items i ON i.replay_id = r.id
            JOIN dead_letters d ON d.id = i.dead_letter_id
            WHERE r.id = $1 AND r.status = 'running' AND i.state = 'pending'
            ORDER BY i.dead_letter_id LIMIT $2
            "#,
            self.id,
            limit,
        )
        .fetch_all(&mut self.connection)
        .await
        .map_err(StoreError::of("reading the next letters of a replay"))
    }

    /// Accounts for letters: item, letter, action and count in one statement. The replay is done
    /// with its last letter.
    pub async fn settle(&mut self, items: &[SettledItem]) -> Result<ReplayRow, StoreError> {
        columns!(items,
            ids: |i| i.dead_letter_id,
            published: |i| i.published,
            results: |i| i.result,
        );
        sqlx::query_as!(
            ReplayRow,
            r#"
            WITH settled AS (
                UPDATE dead_letter_replay_items i
                SET state = CASE WHEN s.published THEN 'done' ELSE 'failed' END, updated_at = now()
                FROM unnest($2::bigint[], $3::bool[], $4::text[]) AS s (id, published, result)
                WHERE i.replay_id = $1 AND i.dead_letter_id = s.id AND i.state = 'pending'
                RETURNING s.id, s.published, s.result),
            letters AS (
                UPDATE dead_letters d
                SET status = CASE WHEN s.published THEN 'replayed' ELSE 'dead' END,
                    replayed_at = CASE WHEN s.published THEN now() END,
                    updated_at = now()
                FROM settled s WHERE d.id = s.id),
            actions AS (
                INSERT INTO dead_letter_actions
                    (dead_letter_id, action, actor, why, result, replay_id)
                SELECT s.id, 'replay', r.actor, r.why, s.result, r.id
                FROM settled s, dead_letter_replays r WHERE r.id = $1 ORDER BY s.id),
            counted AS (
                SELECT count(*) FILTER (WHERE published)::int AS done,
                       count(*) FILTER (WHERE NOT published)::int AS failed
                FROM settled)
            UPDATE dead_letter_replays r
            SET done = r.done + c.done, failed = r.failed + c.failed, updated_at = now(),
                status = CASE
                    WHEN r.status = 'running'
                         AND r.done + r.failed + c.done + c.failed = r.total THEN 'done'
                    ELSE r.status END
            FROM counted c WHERE r.id = $1
            RETURNING r.id, r.actor, r.why, r.rate, r.status, r.problem, r.total, r.done,
                      r.failed, r.created_at, r.updated_at
            "#,
            self.id,
            &ids,
            &published,
            results as _,
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(StoreError::of("accounting for replayed letters"))
    }

    /// Stops a running replay, which can go on later.
    pub async fn stop(&mut self, problem: &str) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE dead_letter_replays SET status = 'stopped', problem = $2, updated_at = now()
            WHERE id = $1 AND status = 'running'
            "#,
            self.id,
            problem,
        )
        .execute(&mut self.connection)
        .await
        .map(|_| ())
        .map_err(StoreError::of("stopping a replay"))
    }

    /// Gives back the letters that a cancelled replay did not handle.
    pub async fn give_back(&mut self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            WITH given AS (
                UPDATE dead_letter_replay_items i SET state = 'cancelled', updated_at = now()
                FROM dead_letter_replays r
                WHERE r.id = $1 AND r.status = 'cancelled'
                  AND i.replay_id = r.id AND i.state = 'pending'
                RETURNING i.dead_letter_id, r.actor, r.why),
            letters AS (
                UPDATE dead_letters d SET status = 'dead', updated_at = now()
                FROM given WHERE d.id = given.dead_letter_id)
            INSERT INTO dead_letter_actions (dead_letter_id, action, actor, why, result, replay_id)
            SELECT dead_letter_id, 'replay', actor, why, 'cancelled', $1 FROM given
            ORDER BY dead_letter_id
            "#,
            self.id,
        )
        .execute(&mut self.connection)
        .await
        .map(|_| ())
        .map_err(StoreError::of("giving letters of a replay back"))
    }

    /// Lets go of the replay.
    pub async fn release(self) {
        // The server ends the lock with the connection; failing to say goodbye changes nothing.
        let _ = self.connection.close().await;
    }
}
