//! `lunas recover`: after a restore from a backup, finds out what has happened since.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use shared::config::{ConfirmSettings, DatabaseSettings, GatewaySettings};
use shared::midtrans::Gateway;
use shared::reconcile::recover::{Replayed, replay};
use shared::reconcile::sync;
use shared::store::recover::RecoverySession;
use shared::store::sync::Since;

use crate::confirm::confirm;
use crate::outcome::{Outcome, wrong_use};
use crate::sync::{Line, parse_since, run_all};
use crate::{connect, print};

/// After a restore from a backup: replay what is stored, and ask Midtrans about every session
#[derive(Debug, Args)]
#[command(after_help = "\
Stored notifications that had taken no effect are replayed; then Midtrans is asked about every session
that was open since T, its answers are applied, and what is missing is repaired. The report accounts
for every session. Orders and sessions made after the backup are not in the database: Midtrans offers
no list of them, so take them from the shop and give their codes to `lunas sync`.

Exit codes:
  0  every session is accounted for, and Midtrans answered about each
  1  some questions were not answered: run it again
  2  wrong use")]
pub(crate) struct Recover {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    gateway: GatewaySettings,
    #[command(flatten)]
    confirm: ConfirmSettings,
    /// The moment of the backup, or a little before: a duration (2h) or a time
    /// (2026-03-14T00:00:00+07:00)
    #[arg(long, value_name = "T", value_parser = parse_since, help_heading = None)]
    since: Since,
    /// Print how much there is to do, and do nothing
    #[arg(long, help_heading = None)]
    dry_run: bool,
    /// Do not ask before it begins
    #[arg(long, help_heading = None)]
    yes: bool,
    /// Who; goes into the log
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
}

/// What became of one session.
#[derive(Debug, Serialize)]
struct Account {
    session_id: String,
    order_code: Option<String>,
    gross_amount: i64,
    before: String,
    after: String,
    outcome: &'static str,
    error: Option<String>,
}

pub(crate) async fn run(command: &Recover, json: bool) -> anyhow::Result<Outcome> {
    let actor = command.actor.trim();
    if actor.is_empty() {
        return Err(wrong_use("--actor must not be empty"));
    }
    let store = connect::store(&command.database)?;
    let since = store.recover_moment(command.since).await?;
    let before = store.recover_sessions(since).await?;
    if command.dry_run {
        let count = before.len();
        match json {
            true => print::json(&json!({ "sessions": before }))?,
            false => print::line(&format!(
                "{count} sessions were open since {}",
                print::time(since)
            ))?,
        }
        return Ok(Outcome::Done);
    }
    let question = format!("Ask Midtrans about {} sessions?", before.len());
    confirm(&question, command.yes)?;
    let gateway = Gateway::new(&command.gateway, store.clone())
        .map_err(|error| wrong_use(format!("{:#}", anyhow::Error::from(error))))?;
    let policy = command.confirm.confirm_policy;
    let replayed = replay(&store, policy, since).await?;
    let asking = sync::Sync {
        store: &store,
        gateway: &gateway,
        policy,
        actor,
    };
    let lines = run_all(asking, &names(&before)).await?;
    let after = store.recover_sessions(since).await?;
    let (dead, dead_rupiah) = store.recover_dead_letters().await?;
    store.close().await;
    let accounts = accounts(&before, &after, &lines);
    let totals = totals(&accounts);
    if json {
        print::json(&json!({
            "since": print::time(since), "replayed": replayed, "sessions": accounts,
            "totals": totals, "dead_letters": {"count": dead, "rupiah": dead_rupiah},
        }))?;
    } else {
        report(&replayed, &accounts, &totals)?;
        if dead > 0 {
            let rupiah = print::rupiah(dead_rupiah);
            print::line(&format!(
                "{dead} dead letters wait ({rupiah}): `lunas dlq groups`"
            ))?;
        }
    }
    Ok(
        match accounts.iter().any(|account| account.error.is_some()) {
            true => Outcome::Found,
            false => Outcome::Done,
        },
    )
}

/// Orders by code and sessions without one by their id, each once.
fn names(sessions: &[RecoverySession]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for session in sessions {
        let name = session.order_code.as_ref().unwrap_or(&session.session_id);
        if seen.insert(name.clone()) {
            names.push(name.clone());
        }
    }
    names
}

fn accounts(before: &[RecoverySession], after: &[RecoverySession], lines: &[Line]) -> Vec<Account> {
    let errors: BTreeMap<&str, &str> = lines
        .iter()
        .filter_map(|line| Some((line.order_code.as_str(), line.error.as_deref()?)))
        .collect();
    let after: BTreeMap<&str, &RecoverySession> = after
        .iter()
        .map(|session| (session.session_id.as_str(), session))
        .collect();
    let account = |session: &RecoverySession| {
        let now = after
            .get(session.session_id.as_str())
            .copied()
            .unwrap_or(session);
        let name = session.order_code.as_deref().unwrap_or(&session.session_id);
        let error = errors.get(name).map(|error| (*error).to_owned());
        Account {
            session_id: session.session_id.clone(),
            order_code: now.order_code.clone(),
            gross_amount: session.gross_amount,
            before: standing(session),
            after: standing(now),
            outcome: match &error {
                Some(_) => "unanswered",
                None if standing(now) != standing(session) => "changed",
                None if !now.started => "not_started",
                None => "same",
            },
            error,
        }
    };
    before.iter().map(account).collect()
}

fn standing(session: &RecoverySession) -> String {
    match &session.order_status {
        Some(order) => format!("{order} {}", session.status),
        None => session.status.clone(),
    }
}

/// Sessions by outcome; together they are all there are.
fn totals(accounts: &[Account]) -> BTreeMap<&'static str, usize> {
    let mut totals = BTreeMap::from([
        ("same", 0),
        ("changed", 0),
        ("not_started", 0),
        ("unanswered", 0),
    ]);
    for account in accounts {
        *totals.entry(account.outcome).or_default() += 1;
    }
    totals.insert("sessions", accounts.len());
    totals
}

fn report(
    replayed: &Replayed,
    accounts: &[Account],
    totals: &BTreeMap<&'static str, usize>,
) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = accounts
        .iter()
        .filter(|account| account.outcome != "same")
        .map(|account| {
            vec![
                print::shortened(&account.session_id, 60),
                account.before.clone(),
                account.after.clone(),
                print::rupiah(account.gross_amount),
                account.outcome.to_owned(),
                print::shortened(account.error.as_deref().unwrap_or("-"), 100),
            ]
        })
        .collect();
    if !rows.is_empty() {
        print::table(
            &["SESSION", "BEFORE", "AFTER", "AMOUNT", "OUTCOME", "ERROR"],
            &rows,
        )?;
    }
    print::line(&format!(
        "{} stored notifications without effect: {} applied, {} changed nothing, {} unconfirmed, {} failed",
        replayed.read, replayed.applied, replayed.stale, replayed.unconfirmed, replayed.failed,
    ))?;
    let count = |word| totals.get(word).copied().unwrap_or(0);
    print::line(&format!(
        "{} sessions = {} same + {} changed + {} not started + {} unanswered",
        count("sessions"),
        count("same"),
        count("changed"),
        count("not_started"),
        count("unanswered"),
    ))
}
