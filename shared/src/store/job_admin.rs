//! What operators see of the periodic jobs, and how they pause them.

use serde::Serialize;
use time::OffsetDateTime;

use super::runs::RunView;
use super::{Store, StoreError};

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PauseView {
    /// The job.
    pub name: String,
    /// Who paused it.
    pub paused_by: String,
    /// Why.
    pub why: Option<String>,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub paused_at: OffsetDateTime,
}

impl Store {
    /// The last run of every job.
    pub async fn job_admin_last_runs(&self) -> Result<Vec<RunView>, StoreError> {
        sqlx::query_as!(
            RunView,
            r#"
            SELECT id, name, scheduled_for, trigger, requested_by, covers, status, checked,
                   repaired, given_up, rupiah_at_risk, started_at, finished_at,
                   extract(epoch FROM coalesce(finished_at, now()) - started_at)::float8
                       AS duration_seconds,
                   error
            FROM job_runs
            WHERE id IN (SELECT max(id) FROM job_runs GROUP BY name)
            ORDER BY name
            "#
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading the last runs"))
    }

    /// One run.
    pub async fn job_admin_run(&self, id: i64) -> Result<Option<RunView>, StoreError> {
        sqlx::query_as!(
            RunView,
            r#"
            SELECT id, name, scheduled_for, trigger, requested_by, covers, status, checked,
                   repaired, given_up, rupiah_at_risk, started_at, finished_at,
                   extract(epoch FROM coalesce(finished_at, now()) - started_at)::float8
                       AS duration_seconds,
                   error
            FROM job_runs
            WHERE id = $1
            "#,
            id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("reading a run"))
    }

    /// What is paused.
    pub async fn job_admin_pauses(&self) -> Result<Vec<PauseView>, StoreError> {
        sqlx::query_as!(
            PauseView,
            "SELECT name, paused_by, why, paused_at FROM job_pauses ORDER BY name",
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("reading pauses"))
    }

    /// Pauses a job: it has no ticks until it is resumed. `false` when it was paused already.
    pub async fn job_admin_pause(
        &self,
        name: &str,
        by: &str,
        why: Option<&str>,
    ) -> Result<bool, StoreError> {
        sqlx::query!(
            r#"
            INSERT INTO job_pauses (name, paused_by, why) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            "#,
            name,
            by,
            why,
        )
        .execute(self.pool())
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(StoreError::of("pausing a job"))
    }

    /// Resumes a job; one run stands for the ticks that were missed. `false` when it was not paused.
    pub async fn job_admin_resume(&self, name: &str) -> Result<bool, StoreError> {
        sqlx::query!("DELETE FROM job_pauses WHERE name = $1", name)
            .execute(self.pool())
            .await
            .map(|done| done.rows_affected() == 1)
            .map_err(StoreError::of("resuming a job"))
    }
}
