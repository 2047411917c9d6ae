//! `lunas retention`: what is older than it is kept, shown or removed.
//!
//! The job `retention` does the same every day.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use shared::config::{DatabaseSettings, RetentionSettings};
use shared::retention::{KeptBack, Removed, Why, page};
use shared::store::Store;

use crate::confirm::confirm;
use crate::outcome::Outcome;
use crate::{connect, print};

/// Remove what is older than it is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing goes that is not done with: notifications that are unconfirmed or dead, events that were not
published, dead letters that nobody replayed or discarded. Partitions go when their whole month is
old enough, and stay while one such notification is in them.

Exit codes:
  0  nothing is old, or all of it was removed
  1  --dry-run found something, or something old stays
  2  wrong use

Interrupted, it has removed what it got to; run it again for the rest.")]
pub(crate) struct Retention {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    keep: RetentionSettings,
    /// Print what would go, and change nothing
    #[arg(long, required_unless_present = "run", conflicts_with = "run", help_heading = None)]
    dry_run: bool,
    /// Remove it
    #[arg(long, help_heading = None)]
    run: bool,
    /// Do not ask
    #[arg(long, help_heading = None)]
    yes: bool,
}

/// What a run came to.
#[derive(Default, Serialize)]
struct Total {
    dry_run: bool,
    removed: Vec<Removed>,
    kept_back: Vec<KeptBack>,
    interrupted: bool,
}

pub(crate) async fn run(command: &Retention, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let found = walk(&store, &command.keep, true).await?;
    if command.dry_run || found.removed.is_empty() {
        let nothing = found.removed.is_empty() && found.kept_back.is_empty();
        let shown = Total {
            dry_run: command.dry_run,
            ..found
        };
        report(&shown, json)?;
        return Ok(ending(nothing));
    }
    confirm(&question(&found.removed), command.yes)?;
    let done = walk(&store, &command.keep, false).await?;
    store.close().await;
    report(&done, json)?;
    Ok(ending(done.kept_back.is_empty() && !done.interrupted))
}

const fn ending(clean: bool) -> Outcome {
    match clean {
        true => Outcome::Done,
        false => Outcome::Found,
    }
}

fn question(removed: &[Removed]) -> String {
    let partitions = removed.iter().filter(|r| r.partition.is_some()).count();
    let rows: i64 = removed
        .iter()
        .filter(|r| r.partition.is_none())
        .filter_map(|r| r.rows)
        .sum();
    format!("Drop {partitions} partitions and delete {rows} rows?")
}

/// Goes through everything, page by page, and adds up what went of each table.
async fn walk(store: &Store, keep: &RetentionSettings, dry_run: bool) -> anyhow::Result<Total> {
    let stop = shared::runtime::shutdown_token()?;
    let mut total = Total {
        dry_run,
        ..Total::default()
    };
    let mut rows: BTreeMap<String, i64> = BTreeMap::new();
    let mut next: Option<String> = None;
    loop {
        let done = page(store, next.as_deref(), keep, dry_run).await?;
        total.kept_back.extend(done.kept_back);
        for removed in done.removed {
            match removed.partition {
                Some(_) => total.removed.push(removed),
                None => *rows.entry(removed.table).or_default() += removed.rows.unwrap_or(0),
            }
        }
        next = done.next;
        total.interrupted = stop.is_cancelled() && next.is_some();
        if next.is_none() || total.interrupted {
            break;
        }
    }
    total
        .removed
        .extend(rows.into_iter().map(|(table, rows)| Removed {
            table,
            partition: None,
            rows: Some(rows),
            bytes: None,
        }));
    Ok(total)
}

fn report(total: &Total, json: bool) -> anyhow::Result<()> {
    if json {
        return print::json(total);
    }
    if !total.removed.is_empty() {
        let rows: Vec<_> = total.removed.iter().map(row).collect();
        print::table(&["TABLE", "PARTITION", "ROWS", "MIB"], &rows)?;
    }
    for kept in &total.kept_back {
        print::line(&kept_line(kept))?;
    }
    print::line(match (total.removed.is_empty(), total.dry_run) {
        (true, _) => "Nothing is older than it is kept",
        (false, true) => "Nothing was removed: --run removes it",
        (false, false) => "Removed",
    })?;
    if total.interrupted {
        eprintln!("lunas: interrupted");
    }
    Ok(())
}

fn row(removed: &Removed) -> Vec<String> {
    let about = match &removed.partition {
        Some(_) => "about ",
        None => "",
    };
    vec![
        removed.table.clone(),
        print::or_dash(removed.partition.as_deref()),
        removed
            .rows
            .map_or("-".to_owned(), |rows| format!("{about}{rows}")),
        removed
            .bytes
            .map_or("-".to_owned(), |bytes| (bytes >> 20).to_string()),
    ]
}

fn kept_line(kept: &KeptBack) -> String {
    let what = match &kept.partition {
        Some(partition) => partition.clone(),
        None => format!("rows of {} without a month", kept.table),
    };
    match kept.why {
        Why::Unprocessed => {
            let count = kept.unprocessed;
            format!("stays: {what}: {count} notifications are unconfirmed or dead")
        }
        Why::Busy => format!("stays: {what}: the table is in use; the next run tries again"),
    }
}
