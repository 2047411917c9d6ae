//! The schema's version: applying the migrations and telling how far a database is.

use sqlx::Connection as _;
use sqlx::migrate::{MigrateError, Migrator};

use super::{Store, StoreError};

/// The migrations this build carries.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Applying the migrations failed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The database could not be reached.
    #[error("connecting for the migrations failed")]
    Connect(#[source] StoreError),
    /// A migration failed, or the database's history is not this build's.
    #[error("applying the migrations failed")]
    Apply(#[source] MigrateError),
}

/// How far a database's schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// No migration was ever applied.
    Absent,
    /// Older than this build needs.
    Behind {
        /// The newest migration applied.
        applied: i64,
    },
    /// What this build needs, or newer (a newer release migrated first: migrations only add).
    Ready {
        /// The newest migration applied.
        applied: i64,
    },
}

/// The newest migration of this build.
pub fn wanted_version() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

impl Store {
    /// Applies what is missing; safe to run twice and from two machines (advisory lock). Statements
    /// may take as long as they need, waiting for a lock may not.
    pub async fn migrate(&self) -> Result<i64, MigrationError> {
        let connect = StoreError::of("connecting");
        let pooled = self
            .pool
            .acquire()
            .await
            .map_err(|e| MigrationError::Connect(connect(e)))?;
        let mut connection = pooled.detach();
        sqlx::query!("SET statement_timeout = 0")
            .execute(&mut connection)
            .await
            .map_err(|e| MigrationError::Connect(connect(e)))?;
        let applied = MIGRATOR
            .run(&mut connection)
            .await
            .map_err(MigrationError::Apply);
        // The connection is thrown away whatever happened; failing to say goodbye changes nothing.
        let _ = connection.close().await;
        applied.map(|()| wanted_version())
    }

    /// How far the database's schema is.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let exists =
            sqlx::query_scalar!(r#"SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS "is!""#)
                .fetch_one(&self.pool)
                .await
                .map_err(StoreError::of("looking for the migrations table"))?;
        if !exists {
            return Ok(SchemaState::Absent);
        }
        // Not a checked query: the table belongs to the migrator, not to our migrations.
        let applied: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(&self.pool)
                .await
                .map_err(StoreError::of("reading the schema version"))?;
        Ok(match applied {
            None => SchemaState::Absent,
            Some(applied) if applied < wanted_version() => SchemaState::Behind { applied },
            Some(applied) => SchemaState::Ready { applied },
        })
    }

    /// Makes the monthly partitions up to `months_ahead` that are missing; answers how many.
    pub async fn ensure_partitions(&self, months_ahead: i32) -> Result<i32, StoreError> {
        sqlx::query_scalar!(
            r#"SELECT lunas_ensure_partitions($1) AS "made!""#,
            months_ahead
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::of("making partitions"))
    }
}
