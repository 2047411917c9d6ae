//! The invariants of design 4.5, asked of the database at the end of every test.
//!
//! Written a second time here, in SQL, so that a mistake in the rules of the code under test
//! does not excuse itself. Each query names what breaks an invariant; no row is good news.

mod invariants;

use sqlx::PgPool;

pub use invariants::{INVARIANTS, Invariant};

/// A dead letter as the keeper stored it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DeadLetter {
    /// Its id.
    pub id: i64,
    /// Why it is dead.
    pub reason: String,
    /// What the operator did about it: `dead`, `replaying`, `replayed`, `discarded`.
    pub status: String,
}

/// Everything that breaks an invariant, as one line each.
///
/// # Panics
/// When the database does not answer.
pub async fn violations(pool: &PgPool) -> Vec<String> {
    let mut found = Vec::new();
    for invariant in INVARIANTS {
        if !all_exist(pool, invariant.tables).await {
            continue;
        }
        let broken: Vec<String> = sqlx::query_scalar(invariant.query)
            .fetch_all(pool)
            .await
            .unwrap_or_else(|error| panic!("auditing \"{}\": {error}", invariant.says));
        found.extend(
            broken
                .iter()
                .map(|row| format!("{}: {row}", invariant.says)),
        );
    }
    found
}

/// Checks every invariant.
///
/// # Panics
/// When one is broken; lists all that are.
pub async fn assert_invariants(pool: &PgPool) {
    let broken = violations(pool).await;
    assert!(
        broken.is_empty(),
        "invariants are broken:\n{}",
        broken.join("\n")
    );
}

/// Dead letters that are kept and that nobody has replayed or discarded.
///
/// # Panics
/// When the database does not answer.
pub async fn dead_letters(pool: &PgPool) -> Vec<DeadLetter> {
    if !all_exist(pool, &["dead_letters"]).await {
        return Vec::new();
    }
    sqlx::query_as("SELECT id, reason, status FROM dead_letters WHERE status = 'dead' ORDER BY id")
        .fetch_all(pool)
        .await
        .expect("the dead letters can be read")
}

async fn all_exist(pool: &PgPool, tables: &[&str]) -> bool {
    let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    let exist = sqlx::query_scalar(
        "SELECT coalesce(bool_and(to_regclass(name) IS NOT NULL), true) FROM unnest($1::text[]) AS name",
    );
    exist
        .bind(tables)
        .fetch_one(pool)
        .await
        .expect("the catalogue can be read")
}
