//! `lunas payments`: payments and orders that need somebody to look at them.
//!
//! The lists and their JSON are those of the admin API, read from the database: the api need not run.

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use shared::config::{DatabaseSettings, MonitorSettings};
use shared::store::Store;
use shared::store::monitor::{MismatchView, MissingSessionView, MonitorCounts, StuckView};
use shared::store::read::OrphanView;
use time::OffsetDateTime;

use crate::outcome::Outcome;
use crate::{connect, print};

/// Before the first.
const START: (OffsetDateTime, i64) = (OffsetDateTime::UNIX_EPOCH, 0);

/// List payments that need somebody to look at them; exit code 1 when there is one
#[derive(Debug, Subcommand)]
pub(crate) enum Payments {
    /// Payments that came by webhook and belong to no order, oldest first
    Orphans(List),
    /// Payments that still wait for their customer long after their time was over, oldest first
    Stuck(List),
    /// Payments that are paid while their order does not say so
    Mismatches(List),
    /// Orders that have a payment and name none; `lunas backfill` mends them
    MissingSession(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    monitor: MonitorSettings,
    /// Most rows to print
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=10_000), help_heading = None)]
    limit: i64,
}

pub(crate) async fn run(command: &Payments, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Payments::Orphans(list) => orphans(list, json).await,
        Payments::Stuck(list) => stuck(list, json).await,
        Payments::Mismatches(list) => mismatches(list, json).await,
        Payments::MissingSession(list) => missing_session(list, json).await,
    }
}

async fn orphans(list: &List, json: bool) -> anyhow::Result<Outcome> {
    let (store, counts) = counted(list).await?;
    let found = store.read_orphans(START, list.limit).await?;
    let headings = ["SESSION", "STATUS", "TYPE", "AMOUNT", "SINCE"];
    show(counts.orphans, &found, &headings, orphan, json)
}

async fn stuck(list: &List, json: bool) -> anyhow::Result<Outcome> {
    let (store, counts) = counted(list).await?;
    let sla = list.monitor.pending_sla;
    let found = store.monitor_stuck(sla, START, list.limit).await?;
    let headings = [
        "SESSION",
        "ORDER",
        "STATUS",
        "TYPE",
        "AMOUNT",
        "DUE",
        "NEXT CHECK",
        "CHECKS",
    ];
    show(counts.stuck, &found, &headings, stuck_row, json)
}

async fn mismatches(list: &List, json: bool) -> anyhow::Result<Outcome> {
    let (store, counts) = counted(list).await?;
    let found = store.monitor_mismatches(0, list.limit).await?;
    let headings = ["SESSION", "PAYMENT", "ORDER", "SAYS", "AMOUNT", "SINCE"];
    show(counts.mismatches, &found, &headings, mismatch, json)
}

async fn missing_session(list: &List, json: bool) -> anyhow::Result<Outcome> {
    let (store, counts) = counted(list).await?;
    let found = store.monitor_missing_session(0, list.limit).await?;
    let headings = ["ORDER", "STATUS", "AMOUNT", "PLACED", "SHOULD NAME"];
    show(counts.missing_session, &found, &headings, missing, json)
}

async fn counted(list: &List) -> anyhow::Result<(Store, MonitorCounts)> {
    let store = connect::store(&list.database)?;
    let counts = store.monitor_counts(list.monitor.pending_sla).await?;
    Ok((store, counts))
}

/// The list, and how many there are of it: more than are shown, perhaps.
fn show<T: Serialize>(
    counted: i64,
    found: &[T],
    headings: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    json: bool,
) -> anyhow::Result<Outcome> {
    // Something may have come between the count and the list.
    let total = counted.max(i64::try_from(found.len())?);
    let outcome = match found {
        [] => Outcome::Done,
        _ => Outcome::Found,
    };
    if json {
        print::json(&json!({ "total": total, "items": found }))?;
        return Ok(outcome);
    }
    if !found.is_empty() {
        let rows: Vec<_> = found.iter().map(row).collect();
        print::table(headings, &rows)?;
    }
    let shown = match i64::try_from(found.len())? < total {
        true => format!(
            "{total} found, {} of them shown: --limit shows more",
            found.len()
        ),
        false => format!("{total} found"),
    };
    print::line(&shown)?;
    Ok(outcome)
}

fn orphan(payment: &OrphanView) -> Vec<String> {
    vec![
        payment.session_id.clone(),
        payment.status.clone(),
        print::or_dash(payment.payment_type.as_deref()),
        print::rupiah(payment.gross_amount),
        print::time(payment.created_at),
    ]
}

fn stuck_row(payment: &StuckView) -> Vec<String> {
    vec![
        payment.session_id.clone(),
        print::or_dash(payment.order_code.as_deref()),
        payment.status.clone(),
        print::or_dash(payment.payment_type.as_deref()),
        print::rupiah(payment.gross_amount),
        print::time(payment.due_at),
        payment.next_check_at.map_or("-".to_owned(), print::time),
        payment.checks.to_string(),
    ]
}

fn mismatch(payment: &MismatchView) -> Vec<String> {
    vec![
        payment.session_id.clone(),
        payment.payment_status.clone(),
        payment.order_code.clone(),
        payment.order_status.clone(),
        print::rupiah(payment.gross_amount),
        print::time(payment.since),
    ]
}

fn missing(order: &MissingSessionView) -> Vec<String> {
    vec![
        order.order_code.clone(),
        order.status.clone(),
        print::rupiah(order.gross_amount),
        print::time(order.created_at),
        order.session_id.clone(),
    ]
}
