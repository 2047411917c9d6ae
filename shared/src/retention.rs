//! Removing what is older than it is kept, page by page.
//!
//! A page is one partition, or one batch of rows of one table, in a transaction of its own; what is
//! removed is not found again, so a run that was cut off goes on from its cursor or starts anew.
//! Nothing goes that is not done with: notifications that are unconfirmed or dead (they keep their
//! partition), events that were not published, dead letters that nobody settled. Whole months go at
//! once, so what is partitioned is kept for up to a month longer than it says.
//!
//! Removing asks for a lock on the table for a moment. When it is not to be had at once, the page
//! says so and goes on; the next run tries again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::config::RetentionSettings;
use crate::domain::outcome::{Class, Classify};
use crate::store::retention::{Dropping, Partition};
use crate::store::retention_rows::Rows;
use crate::store::{Store, StoreError};

/// Rows removed in one statement: some tens of milliseconds.
const BATCH: i64 = 5_000;

/// The tables whose months go at once.
const PARTITIONED: [&str; 3] = [
    "payment_webhook_events",
    "other_notifications",
    "payment_sync_logs",
];

/// The tables whose rows go in batches. Letters go before the replays that had them.
const BATCHED: [Rows; 8] = [
    Rows::Notifications,
    Rows::OtherNotifications,
    Rows::Logs,
    Rows::Keys,
    Rows::Runs,
    Rows::Letters,
    Rows::Replays,
    Rows::Alerts,
];

/// For how long what is kept.
pub type Keep = RetentionSettings;

/// Why a page was not done.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The database does not answer, or refuses.
    #[error("the database did not remove what is old")]
    Store(#[source] StoreError),
    /// The text is no cursor of a page.
    #[error("not a cursor of retention")]
    NoCursor,
}

impl Classify for RetentionError {
    fn classify(&self) -> Class {
        match self {
            Self::Store(error) => error.classify(),
            Self::NoCursor => Class::Retry,
        }
    }
}

impl From<StoreError> for RetentionError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What one page did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// What went.
    pub removed: Vec<Removed>,
    /// What is old enough and stays.
    pub kept_back: Vec<KeptBack>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// Rows that went from a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The table.
    pub table: String,
    /// The partition, when it went as a whole.
    pub partition: Option<String>,
    /// How many rows; of a partition about as many, null when nobody knows.
    pub rows: Option<i64>,
    /// The space that a partition gave back.
    pub bytes: Option<i64>,
}

/// A partition that is old enough and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptBack {
    /// The table.
    pub table: String,
    /// The partition; none for the rows that belong to no month.
    pub partition: Option<String>,
    /// Why it stays.
    pub why: Why,
    /// Notifications in it that are not done with.
    pub unprocessed: i64,
}

/// Why something old stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A notification is unconfirmed, or dead and not replayed.
    Unprocessed,
    /// Somebody was reading or writing; the next run tries again.
    Busy,
}

impl Why {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unprocessed => "unprocessed",
            Self::Busy => "busy",
        }
    }
}

/// The place of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    /// The months of a table of [`PARTITIONED`] that ended after this second.
    Months(usize, i64),
    /// A batch of a table of [`BATCHED`].
    Rows(usize),
    /// Events after this id.
    Events(i64),
}

impl Cursor {
    const START: Self = Self::Months(0, 0);

    /// Of the next table with months, or of the first with batches.
    const fn after_months(table: usize) -> Self {
        match table + 1 < PARTITIONED.len() {
            true => Self::Months(table + 1, 0),
            false => Self::Rows(0),
        }
    }

    const fn after_rows(table: usize) -> Self {
        match table + 1 < BATCHED.len() {
            true => Self::Rows(table + 1),
            false => Self::Events(0),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Months(table, after) => write!(f, "months-{table}-{after}"),
            Self::Rows(table) => write!(f, "rows-{table}"),
            Self::Events(after) => write!(f, "events-{after}"),
        }
    }
}

impl FromStr for Cursor {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let parts: Vec<&str> = text.split('-').collect();
        let index = |text: &str, end: usize| text.parse().ok().filter(|index| *index < end);
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
        let read = match parts[..] {
            ["months", table, after] => index(table, PARTITIONED.len())
                .zip(number(after))
                .map(|(table, after)| Self::Months(table, after)),
            ["rows", table] => index(table, BATCHED.len()).map(Self::Rows),
            ["events", after] => number(after).map(Self::Events),
            _ => None,
        };
        read.ok_or(RetentionError::NoCursor)
    }
}

/// One page, from the beginning or from where the page before said. A dry run changes nothing and
/// tells the same.
///
/// # Errors
/// [`RetentionError`]: the page changed nothing.
pub async fn page(
    store: &Store,
    from: Option<&str>,
    keep: &Keep,
    dry_run: bool,
) -> Result<Page, RetentionError> {
    let cursor = from.map_or(Ok(Cursor::START), str::parse)?;
    let (mut page, next) = match cursor {
        Cursor::Months(table, after) => month(store, table, after, keep, dry_run).await?,
        Cursor::Rows(table) => rows(store, table, keep, dry_run).await?,
        Cursor::Events(after) => events(store, after, keep, dry_run).await?,
    };
    page.next = next.map(|next| next.to_string());
    Ok(page)
}

/// The first month of a table that ended after `after` and is old enough.
async fn month(
    store: &Store,
    table: usize,
    after: i64,
    keep: &Keep,
    dry_run: bool,
) -> Result<(Page, Option<Cursor>), RetentionError> {
    let name = PARTITIONED[table];
    let kept_for = match name {
        "payment_webhook_events" => keep.retention_notifications,
        _ => keep.retention_logs,
    };
    let partitions = store.retention_partitions(name, kept_for).await?;
    let mut due = partitions
        .into_iter()
        .filter(|partition| partition.to.unix_timestamp() > after);
    let Some(partition) = due.next() else {
        let page = left_behind(store, name, kept_for).await?;
        return Ok((page, Some(Cursor::after_months(table))));
    };
    let next = Cursor::Months(table, partition.to.unix_timestamp());
    let page = drop_month(store, partition, kept_for, dry_run).await?;
    Ok((page, Some(next)))
}

async fn drop_month(
    store: &Store,
    partition: Partition,
    keep: Duration,
    dry_run: bool,
) -> Result<Page, RetentionError> {
    let Partition { from, to, .. } = partition;
    let table = partition.table.as_str();
    let unprocessed = store.retention_unprocessed(table, from, to).await?;
    let dropping = match (unprocessed, dry_run) {
        (0, true) => Dropping::Dropped,
        (0, false) => store.retention_drop(&partition.name, keep).await?,
        _ => Dropping::Unprocessed,
    };
    let kept_back = |why| KeptBack {
        table: partition.table.clone(),
        partition: Some(partition.name.clone()),
        why,
        unprocessed,
    };
    let mut page = Page::default();
    match dropping {
        Dropping::Dropped => page.removed.push(Removed {
            table: partition.table.clone(),
            partition: Some(partition.name.clone()),
            rows: partition.rows,
            bytes: Some(partition.bytes),
        }),
        Dropping::Unprocessed => page.kept_back.push(kept_back(Why::Unprocessed)),
        Dropping::Busy => page.kept_back.push(kept_back(Why::Busy)),
        Dropping::NotDue => {}
    }
    Ok(page)
}

/// What is old, belongs to no month and is not done with.
async fn left_behind(store: &Store, table: &str, keep: Duration) -> Result<Page, RetentionError> {
    let unprocessed = store.retention_unprocessed_in_default(table, keep).await?;
    let mut page = Page::default();
    if unprocessed > 0 {
        page.kept_back.push(KeptBack {
            table: table.to_owned(),
            partition: None,
            why: Why::Unprocessed,
            unprocessed,
        });
    }
    Ok(page)
}

/// A batch of old rows; a full one is followed by another of the same table.
async fn rows(
    store: &Store,
    table: usize,
    keep: &Keep,
    dry_run: bool,
) -> Result<(Page, Option<Cursor>), RetentionError> {
    let rows = BATCHED[table];
    let kept_for = match rows {
        Rows::Notifications => keep.retention_notifications,
        Rows::OtherNotifications | Rows::Logs => keep.retention_logs,
        Rows::Keys => keep.retention_keys,
        Rows::Runs | Rows::Alerts => keep.retention_runs,
        Rows::Letters | Rows::Replays => keep.retention_letters,
    };
    let count = match dry_run {
        true => store.retention_count(rows, kept_for).await?,
        false => store.retention_remove(rows, kept_for, BATCH).await?,
    };
    let next = match !dry_run && count >= BATCH {
        true => Cursor::Rows(table),
        false => Cursor::after_rows(table),
    };
    Ok((batch(rows.table(), count), Some(next)))
}

async fn events(
    store: &Store,
    after: i64,
    keep: &Keep,
    dry_run: bool,
) -> Result<(Page, Option<Cursor>), RetentionError> {
    let kept_for = keep.retention_events;
    let window = store.retention_events(after, kept_for, BATCH, dry_run);
    let window = window.await?;
    let page = batch("domain_events", window.removed);
    Ok((page, window.last.map(Cursor::Events)))
}

fn batch(table: &str, count: i64) -> Page {
    let removed = (count > 0).then(|| Removed {
        table: table.to_owned(),
        partition: None,
        rows: Some(count),
        bytes: None,
    });
    Page {
        removed: removed.into_iter().collect(),
        ..Page::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let places = [
            Cursor::START,
            Cursor::Months(2, 1_767_225_600),
            Cursor::Rows(0),
            Cursor::Rows(6),
            Cursor::Events(4_711),
        ];
        for place in places {
            assert_eq!(place.to_string().parse::<Cursor>().unwrap(), place);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "months",
            "months-3-0",
            "rows-8",
            "rows--1",
            "events-x",
            "events--1",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_table_has_its_turn() {
        let mut place = Cursor::START;
        let mut turns = 1;
        loop {
            place = match place {
                Cursor::Months(table, _) => Cursor::after_months(table),
                Cursor::Rows(table) => Cursor::after_rows(table),
                Cursor::Events(_) => break,
            };
            turns += 1;
        }
        assert_eq!(turns, PARTITIONED.len() + BATCHED.len() + 1);
    }
}
