//! `lunas report`: the drift of a day: what was found, repaired and given up, and what was at risk.

mod csv_form;
mod day;
mod drift;
mod text_form;

use clap::{Args, ValueEnum};
use shared::config::DatabaseSettings;

use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};
use day::Day;

/// Report what was found and repaired on a day
///
/// Days begin at midnight in Jakarta (WIB).
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  nothing was wrong on that day
  1  something was found
  2  wrong use")]
pub(crate) struct Report {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The day: 2026-03-14, today or yesterday
    #[arg(long, value_name = "DAY", help_heading = None)]
    day: Day,
    /// In which form
    #[arg(long, value_name = "FORM", default_value = "text", help_heading = None)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people; of many repairs the first
    Text,
    /// One table, for spreadsheets
    Csv,
    /// For programs
    Json,
}

pub(crate) async fn run(command: &Report, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let mut txn = store.begin().await?;
    let now = store.now_in_txn(&mut txn).await?;
    drop(txn);
    let (date, span) = command
        .day
        .span(now)
        .ok_or_else(|| wrong_use("--day is not a day that can be reported on"))?;
    let drift = drift::read(&store, date, span).await?;
    store.close().await;
    match (json, command.format) {
        (true, _) | (_, Format::Json) => print::json(&drift)?,
        (false, Format::Csv) => print::line(csv_form::of(&drift)?.trim_end())?,
        (false, Format::Text) => text_form::show(&drift)?,
    }
    Ok(match drift.totals.found {
        0 if drift.repaired.count == 0 => Outcome::Done,
        _ => Outcome::Found,
    })
}
