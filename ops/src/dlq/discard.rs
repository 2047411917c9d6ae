//! `lunas dlq discard`: letters that nobody needs. Nothing is deleted.

use clap::Args;
use serde_json::json;
use shared::config::DatabaseSettings;

use super::select::Selection;
use crate::confirm::confirm;
use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};

/// Discard dead letters, with a reason; their rows stay
#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    selection: Selection,
    /// Why; goes into the record of actions
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run", help_heading = None)]
    why: Option<String>,
    /// Who; goes into the record of actions
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
    /// Print which letters would be discarded and change nothing
    #[arg(long, help_heading = None)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, help_heading = None)]
    yes: bool,
}

pub(crate) async fn run(command: &Discard, json: bool) -> anyhow::Result<Outcome> {
    let why = command.why.as_deref().map(str::trim).unwrap_or_default();
    if why.is_empty() && !command.dry_run {
        return Err(wrong_use("--why must not be empty"));
    }
    let store = connect::store(&command.database)?;
    let chosen = command.selection.choose(&store).await?;
    let outcome = if chosen.skipped.is_empty() {
        Outcome::Done
    } else {
        Outcome::Found
    };
    for id in &chosen.skipped {
        eprintln!("lunas: {id} is not a letter with status dead");
    }
    if command.dry_run {
        match json {
            true => print::json(&json!({ "count": chosen.ids.len(), "ids": chosen.ids }))?,
            false => print::line(&format!(
                "Would discard {}: {:?}",
                chosen.ids.len(),
                chosen.ids
            ))?,
        }
        return Ok(outcome);
    }
    if chosen.ids.len() > 1 {
        confirm(
            &format!("Discard {} dead letters?", chosen.ids.len()),
            command.yes,
        )?;
    }
    let discarded = store
        .dead_letters_discard(&chosen.ids, &command.actor, why)
        .await?;
    match json {
        true => print::json(&json!({ "discarded": discarded, "skipped": chosen.skipped }))?,
        false => print::line(&format!("Discarded {} dead letters", discarded.len()))?,
    }
    // Somebody else settled the rest while we asked.
    Ok(if discarded.len() == chosen.ids.len() {
        outcome
    } else {
        Outcome::Found
    })
}
