//! What the periodic jobs did: their runs, for whoever reads them.

use serde::Serialize;
use time::OffsetDateTime;

use super::{Store, StoreError};

/// One run of a periodic job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunView {
    /// Its id.
    pub id: i64,
    /// The job.
    pub name: String,
    /// The tick; of a run that somebody asked for, the moment.
    #[serde(with = "time::serde::rfc3339")]
    pub scheduled_for: OffsetDateTime,
    /// `schedule` or `operator`.
    pub trigger: String,
    /// The operator, where one asked for it.
    pub requested_by: Option<String>,
    /// How many ticks it stands for.
    pub covers: i32,
    /// `queued`, `running`, `done` or `failed`.
    pub status: String,
    /// How many rows it looked at.
    pub checked: i64,
    /// How many it mended.
    pub repaired: i64,
    /// How many it could not mend.
    pub given_up: i64,
    /// Rupiah of what it found wrong.
    pub rupiah_at_risk: i64,
    /// When it began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
    /// Seconds from its beginning to its end, or until now while it runs.
    pub duration_seconds: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Store {
    /// Runs of one job or of all, the newest first, before the given moment and id.
    pub async fn runs_list(
        &self,
        name: Option<&str>,
        before: Option<(OffsetDateTime, i64)>,
        limit: i64,
    ) -> Result<Vec<RunView>, StoreError> {
        let (before_at, before_id) = before.unzip();
        sqlx::query_as!(
            RunView,
            r#"
            SELECT id, name, scheduled_for, trigger, requested_by, covers, status, checked,
                   repaired, given_up, rupiah_at_risk, started_at, finished_at,
                   extract(epoch FROM coalesce(finished_at, now()) - started_at)::float8
                       AS duration_seconds,
                   error
            FROM job_runs
            WHERE (name = $1 OR $1 IS NULL)
              AND (scheduled_for, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3::bigint, 0))
            ORDER BY scheduled_for DESC, id DESC LIMIT $4
            "#,
            name,
            before_at,
            before_id,
            limit,
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the runs of jobs"))
    }
}
