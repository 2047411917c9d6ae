//! `lunas backfill`: links between orders and payments that are missing, shown or mended.

use std::io::{IsTerminal as _, stderr};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::json;
use shared::apply::ApplyError;
use shared::apply::backfill::{BackfillItem, Cursor, Direction, Mending, Page, page};
use shared::config::{ConfirmSettings, DatabaseSettings};
use shared::domain::Source;
use shared::store::Store;

use crate::confirm::confirm;
use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};

/// Find links between orders and payments that are missing, and mend them
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  nothing is missing, or all of it was mended
  1  --dry-run found something, or part of it could not be mended
  2  wrong use

Interrupted, it has mended what it printed; run it again for the rest.")]
pub(crate) struct Backfill {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    confirm: ConfirmSettings,
    /// Print what would change, row by row, and change nothing
    #[arg(long, required_unless_present = "run", conflicts_with = "run", help_heading = None)]
    dry_run: bool,
    /// Mend what is missing
    #[arg(long, help_heading = None)]
    run: bool,
    /// Do not ask
    #[arg(long, help_heading = None)]
    yes: bool,
    /// Who; goes into the log
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
    /// Rows per transaction
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = None,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
}

/// What a run came to.
#[derive(Default)]
struct Total {
    items: Vec<BackfillItem>,
    failed: Vec<String>,
}

pub(crate) async fn run(command: &Backfill, json: bool) -> anyhow::Result<Outcome> {
    let actor = command.actor.trim();
    if actor.is_empty() {
        return Err(wrong_use("--actor must not be empty"));
    }
    let store = connect::store(&command.database)?;
    let limit = i64::from(command.batch);
    let found = walk(&store, limit, None).await?;
    if command.dry_run {
        report(&found, true, json)?;
        return Ok(ending(!found.items.is_empty()));
    }
    if found.items.is_empty() {
        report(&found, false, json)?;
        return Ok(Outcome::Done);
    }
    confirm(&question(&found.items), command.yes)?;
    let mending = Mending {
        policy: command.confirm.confirm_policy,
        source: Source::Backfill,
        actor: Some(actor),
    };
    let mended = walk(&store, limit, Some(mending)).await?;
    store.close().await;
    report(&mended, false, json)?;
    Ok(ending(!mended.failed.is_empty()))
}

fn ending(found: bool) -> Outcome {
    match found {
        true => Outcome::Found,
        false => Outcome::Done,
    }
}

fn question(items: &[BackfillItem]) -> String {
    let of = |direction| items.iter().filter(|i| i.direction == direction).count();
    format!(
        "Link {} payments to their orders and name the session of {} orders?",
        of(Direction::PaymentToOrder),
        of(Direction::OrderToSession),
    )
}

/// Goes through everything, page by page. A page that one row spoils is done row by row, and that
/// row is left out.
async fn walk(store: &Store, limit: i64, mending: Option<Mending<'_>>) -> anyhow::Result<Total> {
    let stop = shared::runtime::shutdown_token()?;
    let bar = progress_bar();
    let mut total = Total::default();
    let (mut next, mut rows) = (Some(Cursor::START), limit);
    // Rows that are left to do one by one.
    let mut alone = 0;
    while let Some(cursor) = next.filter(|_| !stop.is_cancelled()) {
        let done = match page(store, cursor, rows, mending).await {
            Ok(done) => done,
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(_) if rows > 1 => {
                (rows, alone) = (1, limit);
                continue;
            }
            Err(error) => skip(store, cursor, error, &mut total).await?,
        };
        bar.inc(done.looked_at as u64);
        total.items.extend(done.items);
        next = done.next;
        alone -= 1;
        if alone <= 0 {
            rows = limit;
        }
    }
    bar.finish_and_clear();
    if stop.is_cancelled() {
        total.failed.push("interrupted".to_owned());
    }
    Ok(total)
}

/// Whether the database itself failed: then there is no row to blame.
fn is_fatal(error: &ApplyError) -> bool {
    match error {
        ApplyError::Store(error) => error.is_unavailable() || error.is_contention(),
        ApplyError::LinkedMeanwhile
        | ApplyError::Contradiction(_)
        | ApplyError::NotAvailable { .. } => false,
    }
}

/// Passes over the one row at the cursor.
async fn skip(
    store: &Store,
    cursor: Cursor,
    error: ApplyError,
    total: &mut Total,
) -> anyhow::Result<Page> {
    let mut row = page(store, cursor, 1, None).await?;
    let error = format!("{:#}", anyhow::Error::from(error));
    let names = row.items.drain(..).map(|item| item.session_id);
    let names: Vec<String> = names.collect();
    total.failed.push(format!("{}: {error}", names.join(", ")));
    Ok(row)
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn report(total: &Total, dry_run: bool, json: bool) -> anyhow::Result<()> {
    let changed = if dry_run { 0 } else { total.items.len() };
    if json {
        return print::json(&json!({
            "dry_run": dry_run,
            "items": total.items,
            "changed": changed,
            "failed": total.failed,
        }));
    }
    let rows: Vec<Vec<String>> = total.items.iter().map(row).collect();
    if !rows.is_empty() {
        print::table(&["ORDER", "SESSION", "CHANGE", "WHY"], &rows)?;
    }
    for failed in &total.failed {
        eprintln!("lunas: not mended: {failed}");
    }
    match dry_run {
        true => print::line(&format!("{} links are missing", rows.len())),
        false => print::line(&format!("{changed} links mended")),
    }
}

fn row(item: &BackfillItem) -> Vec<String> {
    let change = match item.direction {
        Direction::PaymentToOrder => "payments.order_id",
        Direction::OrderToSession => "orders.session_id",
    };
    vec![
        item.order_code.clone(),
        item.session_id.clone(),
        change.to_owned(),
        item.why.to_owned(),
    ]
}
