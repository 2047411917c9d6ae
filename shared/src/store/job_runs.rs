//! Ticks of periodic jobs and the runs they start: one row each, so that no tick runs twice.

use std::time::Duration;

use time::OffsetDateTime;

use super::columns::columns;
use super::lease::{Hold, Lease};
use super::logs::NewLog;
use super::{Store, StoreError, Txn};

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTick {
    /// The job.
    pub name: String,
    /// Its last tick.
    pub scheduled_for: OffsetDateTime,
}

/// A tick that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTick {
    /// The job.
    pub name: &'static str,
    /// Its moment.
    pub scheduled_for: OffsetDateTime,
    /// How many ticks it stands for.
    pub covers: i32,
}

/// A run that waits for a message, or for its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRun {
    /// The run.
    pub id: i64,
    /// Its job.
    pub name: String,
    /// The page that is next.
    pub page: i32,
}

/// A run as whoever works on it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: i64,
    /// Its job.
    pub name: String,
    /// The page that is next.
    pub page: i32,
    /// Where it begins; `None` for the first one.
    pub cursor: Option<String>,
    /// Whether there is nothing left to do.
    pub finished: bool,
    /// When it was made, by the database's clock.
    pub created_at: OffsetDateTime,
}

/// What a page, or a run, found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows that were looked at.
    pub checked: i64,
    /// What was wrong and is right now.
    pub repaired: i64,
    /// What is wrong still.
    pub given_up: i64,
    /// Rupiah of what was wrong.
    pub rupiah_at_risk: i64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.checked += other.checked;
        self.repaired += other.repaired;
        self.given_up += other.given_up;
        self.rupiah_at_risk += other.rupiah_at_risk;
    }
}

/// How a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageEnd {
    /// The next page begins here.
    Next(String),
    /// It was the last one.
    Done,
    /// The run cannot go on.
    Failed(String),
}

/// What became of asking for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// It will begin as soon as the leader sees it.
    Queued(i64),
    /// One of the same job is under way.
    AlreadyRunning,
}

impl Store {
    /// The database's clock and the last tick of every job.
    pub async fn job_runs_last_ticks(&self) -> Result<(OffsetDateTime, Vec<LastTick>), StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT clock.now AS "now!", t.name AS "name?", t.scheduled_for AS "scheduled_for?"
            FROM (SELECT clock_timestamp() AS now) AS clock
            LEFT JOIN (SELECT name, max(scheduled_for) AS scheduled_for
                       FROM job_runs WHERE trigger = 'schedule' GROUP BY name) AS t ON true
            "#
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the last ticks"))?;
        let now = rows.first().map(|row| row.now);
        let ticks = rows
            .into_iter()
            .filter_map(|row| {
                Some(LastTick {
                    name: row.name?,
                    scheduled_for: row.scheduled_for?,
                })
            })
            .collect();
        // The clock is always there.
        Ok((now.unwrap_or(OffsetDateTime::UNIX_EPOCH), ticks))
    }

    /// Makes the runs of ticks, under the lease: not those of paused jobs, and not those of jobs
    /// whose last run is not finished; a later tick stands for them.
    pub async fn job_runs_tick(
        &self,
        lease: &Lease,
        ticks: &[NewTick],
    ) -> Result<Hold, StoreError> {
        let mut txn = self.begin().await?;
        if self.lease_guard_in_txn(&mut txn, lease).await? == Hold::Lost {
            return Ok(Hold::Lost);
        }
        columns!(ticks,
            names: |t| t.name,
            moments: |t| t.scheduled_for,
            covers: |t| t.covers,
        );
        sqlx::query!(
            r#"
            INSERT INTO job_runs (name, scheduled_for, covers, trigger, lease_token)
            SELECT t.name, t.scheduled_for, t.covers, 'schedule', $4
            FROM unnest($1::text[], $2::timestamptz[], $3::int[]) AS t (name, scheduled_for, covers)
            WHERE NOT EXISTS (SELECT FROM job_pauses p WHERE p.name = t.name)
            ON CONFLICT DO NOTHING
            "#,
            names as _,
            &moments,
            &covers,
            lease.token(),
        )
        .execute(&mut *txn)
        .await
        .map_err(StoreError::of("storing ticks"))?;
        self.commit(txn).await?;
        Ok(Hold::Held)
    }

    /// Runs that nobody was told of yet, and those that were silent for too long: their message, or
    /// its worker, is lost.
    pub async fn job_runs_waiting(&self, silent: Duration) -> Result<Vec<WaitingRun>, StoreError> {
        sqlx::query_as!(
            WaitingRun,
            r#"
            SELECT id, name, page FROM job_runs
            WHERE finished_at IS NULL
              AND (published_at IS NULL
                   OR greatest(published_at, progressed_at)
                      < clock_timestamp() - make_interval(secs => $1))
            ORDER BY id
            "#,
            silent.as_secs_f64(),
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading waiting runs"))
    }

    /// The run of a job that the leader works on itself; `None` when there is nothing to do.
    pub async fn job_runs_of_leader(&self, name: &str) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RunRow,
            r#"
            SELECT id, name, page, cursor, false AS "finished!", created_at
            FROM job_runs WHERE name = $1 AND finished_at IS NULL
            "#,
            name,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("looking for a run"))
    }

    /// Notes under the lease that a message for the run's next page is on its way.
    pub async fn job_runs_published(&self, lease: &Lease, id: i64) -> Result<Hold, StoreError> {
        let mut txn = self.begin().await?;
        if self.lease_guard_in_txn(&mut txn, lease).await? == Hold::Lost {
            return Ok(Hold::Lost);
        }
        sqlx::query!(
            "UPDATE job_runs SET published_at = clock_timestamp() WHERE id = $1",
            id
        )
        .execute(&mut *txn)
        .await
        .map_err(StoreError::of("noting that a run was published"))?;
        self.commit(txn).await?;
        Ok(Hold::Held)
    }

    /// Ends runs in which nothing has happened for so long that nothing will.
    pub async fn job_runs_give_up(&self, silent: Duration) -> Result<u64, StoreError> {
        sqlx::query!(
            r#"
            UPDATE job_runs
            SET status = 'failed', finished_at = clock_timestamp(),
                error = 'no worker has worked on it for too long'
            WHERE finished_at IS NULL
              AND greatest(created_at, progressed_at)
                  < clock_timestamp() - make_interval(secs => $1)
            "#,
            silent.as_secs_f64(),
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::of("ending runs that stand still"))
    }

    /// A run; `None` when there is none.
    pub async fn job_run_read(&self, id: i64) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_as!(
            RunRow,
            r#"
            SELECT id, name, page, cursor, finished_at IS NOT NULL AS "finished!", created_at
            FROM job_runs WHERE id = $1
            "#,
            id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("reading a run"))
    }

    /// Says that the run is alive, though it may have to wait.
    pub async fn job_run_alive(&self, id: i64) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE job_runs
            SET progressed_at = clock_timestamp(), started_at = coalesce(started_at, now()),
                status = 'running'
            WHERE id = $1 AND finished_at IS NULL
            "#,
            id,
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("noting that a run is alive"))
    }

    /// Ends a page; `false` when somebody else has ended it before, and nothing was counted. The
    /// end of the run is logged.
    pub async fn job_run_advance(
        &self,
        run: &RunRow,
        found: Totals,
        end: &PageEnd,
    ) -> Result<bool, StoreError> {
        let (cursor, status, error) = match end {
            PageEnd::Next(cursor) => (Some(cursor.as_str()), "running", None),
            PageEnd::Done => (None, "done", None),
            PageEnd::Failed(error) => (None, "failed", Some(error.as_str())),
        };
        let mut txn = self.begin().await?;
        let ended = sqlx::query!(
            r#"
            UPDATE job_runs
            SET page = page + 1, cursor = $3, status = $4, error = $5,
                checked = checked + $6, repaired = repaired + $7, given_up = given_up + $8,
                rupiah_at_risk = rupiah_at_risk + $9,
                started_at = coalesce(started_at, now()), progressed_at = clock_timestamp(),
                finished_at = CASE WHEN $4 <> 'running' THEN clock_timestamp() END
            WHERE id = $1 AND page = $2 AND finished_at IS NULL
            RETURNING name, page, checked, repaired, given_up, rupiah_at_risk, requested_by,
                      extract(epoch FROM clock_timestamp() - started_at)::float8 AS "seconds!"
            "#,
            run.id,
            run.page,
            cursor,
            status,
            error,
            found.checked,
            found.repaired,
            found.given_up,
            found.rupiah_at_risk,
        )
        .fetch_optional(&mut *txn)
        .await
        .map_err(StoreError::of("ending a page of a run"))?;
        let Some(ended) = ended else {
            return Ok(false);
        };
        if !matches!(end, PageEnd::Next(_)) {
            let detail = serde_json::json!({
                "run": run.id, "job": ended.name, "pages": ended.page, "checked": ended.checked,
                "repaired": ended.repaired, "given_up": ended.given_up,
                "rupiah_at_risk": ended.rupiah_at_risk, "seconds": ended.seconds, "error": error,
            });
            let log = run_log(&mut txn, self, status, ended.requested_by, detail);
            log.await?;
        }
        self.commit(txn).await?;
        Ok(true)
    }

    /// Asks for a run now.
    pub async fn job_run_request(&self, name: &str, by: &str) -> Result<Requested, StoreError> {
        let id = sqlx::query_scalar!(
            r#"
            INSERT INTO job_runs (name, scheduled_for, trigger, requested_by)
            VALUES ($1, clock_timestamp(), 'operator', $2)
            ON CONFLICT DO NOTHING RETURNING id
            "#,
            name,
            by,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("asking for a run"))?;
        Ok(id.map_or(Requested::AlreadyRunning, Requested::Queued))
    }
}

async fn run_log(
    txn: &mut Txn,
    store: &Store,
    status: &str,
    actor: Option<String>,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    let log = NewLog {
        order_code: None,
        session_id: None,
        sync_type: "reconcile",
        event_type: "job_run",
        from_status: None,
        to_status: Some(status.to_owned()),
        actor,
        detail: Some(detail),
    };
    store.logs_insert_in_txn(txn, &[log]).await
}
