//! `lunas dlq replay`: dead letters published again, previewed, paced and resumable.

mod drive;

mod plan;

use clap::Args;
use shared::config::{BrokerSettings, DatabaseSettings};
use uuid::Uuid;

use super::select::Selection;
use crate::confirm::confirm;
use crate::connect;
use crate::outcome::{Outcome, wrong_use};
use plan::Plan;

/// Publish dead letters again, each confirmed by the broker and accounted for
///
/// The set is fixed when the replay begins. A replay that was killed or stopped goes on with
/// --resume, or when the same selection is replayed again; letters that were handled are not
/// handled again.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    broker: BrokerSettings,
    #[command(flatten)]
    selection: Selection,
    /// Why; goes into the record of actions
    #[arg(long, value_name = "TEXT", help_heading = None,
          required_unless_present_any = ["dry_run", "resume", "cancel"])]
    why: Option<String>,
    /// Who; goes into the record of actions
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
    /// Messages per second
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = None,
          value_parser = clap::value_parser!(i32).range(1..=10_000))]
    rate: i32,
    /// Print what would be replayed and what its orders and payments are now; change nothing
    #[arg(long, help_heading = None)]
    dry_run: bool,
    /// Replay only if the set is the one that a dry run answered this token for
    #[arg(long, value_name = "TOKEN", help_heading = None)]
    token: Option<String>,
    /// Go on with a replay that was stopped, paused or killed
    #[arg(long, value_name = "REPLAY", help_heading = None,
          conflicts_with_all = ["ids", "all", "dry_run", "token"])]
    resume: Option<Uuid>,
    /// End a replay; what it has not handled is dead again
    #[arg(long, value_name = "REPLAY", help_heading = None,
          conflicts_with_all = ["ids", "all", "dry_run", "token", "resume"])]
    cancel: Option<Uuid>,
    /// Do not ask
    #[arg(long, help_heading = None)]
    yes: bool,
}

pub(crate) async fn run(command: &Replay, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    if let Some(id) = command.cancel {
        return drive::cancel(&store, id, json).await;
    }
    if let Some(id) = command.resume {
        let publisher = connect::publisher(&command.broker).await?;
        return drive::all(&store, publisher, &[id], &[], json).await;
    }
    let why = command.why.as_deref().map(str::trim).unwrap_or_default();
    if why.is_empty() && !command.dry_run {
        return Err(wrong_use("--why must not be empty"));
    }
    let plan = Plan::make(&store, &command.selection).await?;
    if command.dry_run {
        return plan.print(json);
    }
    if command
        .token
        .as_ref()
        .is_some_and(|token| *token != plan.preview.token)
    {
        return Err(wrong_use(
            "The set is not the one of that token any more: look at it again",
        ));
    }
    if plan.letters() > 1 {
        plan.explain();
        confirm(
            &format!(
                "Replay {} dead letters at {} per second?",
                plan.letters(),
                command.rate
            ),
            command.yes,
        )?;
    }
    // Before anything is written: a broker that is away leaves no half-begun replay.
    let publisher = connect::publisher(&command.broker).await?;
    let mut replays = plan.unfinished_ids();
    replays.extend(
        plan.begin(&store, &command.actor, why, command.rate)
            .await?,
    );
    drive::all(&store, publisher, &replays, &plan.skipped, json).await
}
