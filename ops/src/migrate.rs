//! `lunas migrate`: brings the schema to what this release needs.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use shared::config::DatabaseSettings;
use shared::store::schema::{SchemaState, wanted_version};

use crate::outcome::Outcome;
use crate::{connect, print};

/// Months of partitions that are made ahead.
const MONTHS_AHEAD: i32 = 2;

/// Bring the database's schema to what this release needs
///
/// Applies the migrations that are missing and makes the partitions of the coming months. Safe to
/// run again, from several machines at once, and while the previous release is running.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    database: DatabaseSettings,
}

#[derive(Serialize)]
struct Answer {
    from: Option<i64>,
    to: i64,
    partitions_made: i32,
}

pub(crate) async fn run(command: &Migrate, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let before = match store
        .schema_state()
        .await
        .context("the database cannot be used")?
    {
        SchemaState::Absent => None,
        SchemaState::Behind { applied } | SchemaState::Ready { applied } => Some(applied),
    };
    store.migrate().await.context("the migration did not end")?;
    let partitions_made = store.ensure_partitions(MONTHS_AHEAD).await?;
    let to = before.unwrap_or(0).max(wanted_version());
    store.close().await;
    let answer = Answer {
        from: before,
        to,
        partitions_made,
    };
    if json {
        print::json(&answer)?;
    } else if before == Some(to) {
        print::line(&format!("The schema is up to date: version {to}"))?;
    } else {
        let from = before.map_or("nothing".to_owned(), |version| format!("version {version}"));
        print::line(&format!("Migrated from {from} to version {to}"))?;
    }
    Ok(Outcome::Done)
}
