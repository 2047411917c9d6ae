//! `lunas sync`: asks Midtrans about orders now, applies its answers, repairs what is missing.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use clap::Args;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use shared::config::{ConfirmSettings, DatabaseSettings, GatewaySettings, parse_duration};
use shared::midtrans::Gateway;
use shared::reconcile::sync::{self, Question, SyncError, Synced};
use shared::store::sync::Since;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::confirm::confirm;
use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};

/// Orders that are asked about side by side: few, because customers share the budget.
const AT_ONCE: usize = 4;

/// A budget that others use up is waited for so often.
const TRIES: u32 = 10;

/// Ask Midtrans about orders now, apply its answers and repair what is missing
#[derive(Debug, Args)]
#[command(after_help = "\
Every session of an order is asked about, and then the order itself is checked: tickets, capacity,
stock and pickup code. It works while the api is down.

Exit codes:
  0  every order was asked about
  1  some were not: there is no such order, or Midtrans or the database did not answer
  2  wrong use

Examples:
  lunas sync LNS-7K2M9QXA
  lunas sync --pending-since 2h --dry-run
  lunas sync --pending-since 2026-03-14T00:00:00+07:00 --yes")]
pub(crate) struct Sync {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    gateway: GatewaySettings,
    #[command(flatten)]
    confirm: ConfirmSettings,
    /// Codes of orders, or ids of sessions
    #[arg(value_name = "CODE", required_unless_present = "pending_since")]
    codes: Vec<String>,
    /// Everything that still waits for a customer and was made since then: a duration (2h) or a
    /// time (2026-03-14T00:00:00+07:00)
    #[arg(long, value_name = "T", conflicts_with = "codes", value_parser = parse_since,
          help_heading = None)]
    pending_since: Option<Since>,
    /// Print what would be asked, and ask nothing
    #[arg(long, help_heading = None)]
    dry_run: bool,
    /// Do not ask before it begins
    #[arg(long, help_heading = None)]
    yes: bool,
    /// Who; goes into the log
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
}

/// What became of one name.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) order_code: String,
    updated: bool,
    status: Option<String>,
    pub(crate) error: Option<String>,
}

/// What would be asked about one name.
#[derive(Debug, Serialize)]
struct PlanLine {
    order_code: String,
    status: Option<String>,
    asks: Vec<Question>,
    error: Option<String>,
}

pub(crate) async fn run(command: &Sync, json: bool) -> anyhow::Result<Outcome> {
    let actor = command.actor.trim();
    if actor.is_empty() {
        return Err(wrong_use("--actor must not be empty"));
    }
    let store = connect::store(&command.database)?;
    let gateway = Gateway::new(&command.gateway, store.clone())
        .map_err(|error| wrong_use(format!("{:#}", anyhow::Error::from(error))))?;
    let sync = sync::Sync {
        store: &store,
        gateway: &gateway,
        policy: command.confirm.confirm_policy,
        actor,
    };
    let names = match command.pending_since {
        Some(since) => store.sync_pending_since(since).await?,
        None => named(&command.codes),
    };
    if command.dry_run {
        return dry_run(sync, &names, json).await;
    }
    if names.len() > 1 {
        let question = format!("Ask Midtrans about {} orders?", names.len());
        confirm(&question, command.yes)?;
    }
    let lines = run_all(sync, &names).await?;
    store.close().await;
    report(&lines, json)?;
    Ok(ending(lines.iter().any(|line| line.error.is_some())))
}

/// Each once, in the order given. The database refuses a zero byte, and no name has one.
fn named(codes: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for code in codes.iter().map(|code| code.replace('\0', "")) {
        if !names.contains(&code) {
            names.push(code);
        }
    }
    names
}

/// Reads a duration or a time.
pub(crate) fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Since::At(at));
    }
    let ago = parse_duration(text);
    ago.map(Since::Ago)
        .map_err(|_| "must be a duration (2h) or a time (2026-03-14T00:00:00+07:00)".to_owned())
}

const fn ending(found: bool) -> Outcome {
    match found {
        true => Outcome::Found,
        false => Outcome::Done,
    }
}

/// Asks about all of them; interrupted, it ends what it has begun.
pub(crate) async fn run_all(sync: sync::Sync<'_>, names: &[String]) -> anyhow::Result<Vec<Line>> {
    let stop = shared::runtime::shutdown_token()?;
    let bar = progress_bar(names.len());
    let running: Vec<BoxFuture<'_, Line>> = names
        .iter()
        .map(|name| {
            let (bar, stop) = (bar.clone(), stop.clone());
            async move {
                let line = match stop.is_cancelled() {
                    true => line_of(name, Err("interrupted".to_owned())),
                    false => line_of(name, one(sync, name).await),
                };
                bar.inc(1);
                line
            }
            .boxed()
        })
        .collect();
    let lines = stream::iter(running).buffered(AT_ONCE).collect().await;
    bar.finish_and_clear();
    Ok(lines)
}

/// Asks about one. When others use the budget up, or the circuit is open, it comes again.
async fn one(sync: sync::Sync<'_>, name: &str) -> Result<Synced, String> {
    let mut tries = 1;
    loop {
        let synced = sync.run(name).await.map_err(words)?;
        let pause = synced
            .unanswered
            .iter()
            .filter_map(|u| u.error.retry_after());
        match pause.max() {
            Some(pause) if tries < TRIES && pause <= Duration::from_secs(10) => {
                tries += 1;
                tokio::time::sleep(pause).await;
            }
            _ => return Ok(synced),
        }
    }
}

fn line_of(name: &str, ended: Result<Synced, String>) -> Line {
    match ended {
        Ok(synced) => Line {
            order_code: synced.order_code.clone().unwrap_or_else(|| name.to_owned()),
            updated: synced.updated,
            error: unanswered(&synced),
            status: Some(synced.status),
        },
        Err(error) => Line {
            order_code: name.to_owned(),
            updated: false,
            status: None,
            error: Some(error),
        },
    }
}

fn unanswered(synced: &Synced) -> Option<String> {
    let failed = synced.unanswered.iter();
    let failed: Vec<String> = failed
        .map(|failed| format!("{}: {}", failed.session_id, failed.error))
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn words(error: SyncError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

async fn dry_run(sync: sync::Sync<'_>, names: &[String], json: bool) -> anyhow::Result<Outcome> {
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        lines.push(match sync.plan(name).await {
            Ok(planned) => PlanLine {
                order_code: planned.order_code.unwrap_or_else(|| name.clone()),
                status: Some(planned.status),
                asks: planned.questions,
                error: None,
            },
            Err(error) => PlanLine {
                order_code: name.clone(),
                status: None,
                asks: Vec::new(),
                error: Some(words(error)),
            },
        });
    }
    let failed = lines.iter().any(|line| line.error.is_some());
    if json {
        print::json(&json!(lines))?;
        return Ok(ending(failed));
    }
    let rows: Vec<Vec<String>> = lines.iter().flat_map(plan_rows).collect();
    print::table(&["ORDER", "STATUS", "SESSION", "ASKS FOR"], &rows)?;
    let asks: usize = lines.iter().map(|line| line.asks.len()).sum();
    print::line(&format!("{asks} questions about {} orders", lines.len()))?;
    Ok(ending(failed))
}

fn plan_rows(line: &PlanLine) -> Vec<Vec<String>> {
    let status = line.status.as_deref().unwrap_or("-");
    let row = |session: &str, id: &str| {
        let cells = [line.order_code.as_str(), status, session, id];
        cells.map(|cell| print::shortened(cell, 60)).to_vec()
    };
    match &line.error {
        Some(error) => vec![row("-", error)],
        None if line.asks.is_empty() => vec![row("-", "-")],
        None => line
            .asks
            .iter()
            .map(|q| row(&q.session_id, &q.id))
            .collect(),
    }
}

fn report(lines: &[Line], json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(&json!(lines));
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let updated = if line.updated { "yes" } else { "no" };
            vec![
                print::shortened(&line.order_code, 60),
                print::or_dash(line.status.as_deref()),
                updated.to_owned(),
                print::shortened(line.error.as_deref().unwrap_or("-"), 200),
            ]
        })
        .collect();
    print::table(&["ORDER", "STATUS", "UPDATED", "ERROR"], &rows)?;
    let updated = lines.iter().filter(|line| line.updated).count();
    let failed = lines.iter().filter(|line| line.error.is_some()).count();
    print::line(&format!(
        "{} asked about, {updated} updated, {failed} failed",
        lines.len()
    ))
}

fn progress_bar(length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta} left") {
        bar.set_style(style);
    }
    if length < 2 || !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
