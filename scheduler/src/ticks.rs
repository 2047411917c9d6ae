//! Ticks of the periodic jobs: rows in `job_runs` under the lease, then messages for the workers.
//!
//! The row comes first, so a tick is made once whatever happens after; its message is published
//! until the broker has confirmed it, and again when nothing was heard of the run for too long.
//! Twice is harmless: a page is counted once.

use std::collections::HashMap;
use std::time::Duration;

use shared::broker::{Destination, Envelope, Headers, PublishError, Publisher};
use shared::domain::jobs::{JobName, Schedule, Schedules};
use shared::fault;
use shared::jobs::RunMessage;
use shared::store::job_runs::{NewTick, WaitingRun};
use shared::store::lease::Hold;
use shared::store::{Store, StoreError};
use shared::telemetry::metrics;
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::leadership::Term;
use crate::pause::{Backoff, chain, pause};

/// The longest pause between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A run of which nothing was heard for so long is published again: pages take seconds, and one
/// that has to wait says so.
const SILENT: Duration = Duration::from_secs(2 * 60);
/// A run of which nothing was heard for so long has failed.
const LOST: Duration = Duration::from_secs(30 * 60);
/// How long the broker may take to confirm.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// What messages say about where they come from.
const SOURCE: &str = "scheduler";

#[derive(Debug, thiserror::Error)]
enum TickError {
    #[error("ticks could not be read or stored")]
    Store(#[from] StoreError),
    #[error("run {run} was not confirmed by the broker")]
    Publish {
        run: i64,
        #[source]
        source: PublishError,
    },
}

/// Makes ticks until the term ends.
pub(crate) async fn run(store: &Store, publisher: &Publisher, schedules: &Schedules, term: &Term) {
    let every = look_every(schedules);
    let mut backoff = Backoff::new(FIRST_PAUSE);
    while !term.ending.is_cancelled() {
        let wait = match look(store, publisher, schedules, term).await {
            Ok(Hold::Held) => {
                backoff.reset();
                every
            }
            // Whoever keeps the lease will notice too and end the term.
            Ok(Hold::Lost) => return,
            Err(failed) => {
                warn!(error = chain(&failed), "Jobs could not be started");
                backoff.next()
            }
        };
        pause(wait, &term.ending).await;
    }
}

async fn look(
    store: &Store,
    publisher: &Publisher,
    schedules: &Schedules,
    term: &Term,
) -> Result<Hold, TickError> {
    let (now, last) = store.job_runs_last_ticks().await?;
    let last: HashMap<String, OffsetDateTime> = last
        .into_iter()
        .map(|tick| (tick.name, tick.scheduled_for))
        .collect();
    let due: Vec<NewTick> = schedules
        .iter()
        .filter_map(|(name, schedule)| due(name, schedule, last.get(name.as_str()), now))
        .collect();
    if !due.is_empty() {
        fault::point("scheduler.before_ticks").await;
        if store.job_runs_tick(&term.lease, &due).await? == Hold::Lost {
            return Ok(Hold::Lost);
        }
        fault::point("scheduler.ticked").await;
    }
    let lost = store.job_runs_give_up(LOST).await?;
    if lost > 0 {
        warn!(
            runs = lost,
            "Runs were given up: no worker has worked on them"
        );
    }
    for run in store.job_runs_waiting(SILENT).await? {
        let Ok(name) = run.name.parse::<JobName>() else {
            continue;
        };
        if name.is_the_leaders() {
            continue;
        }
        publish(publisher, &run, name).await?;
        fault::point("scheduler.published").await;
        info!(job = %name, run = run.id, "Run published");
        if store.job_runs_published(&term.lease, run.id).await? == Hold::Lost {
            return Ok(Hold::Lost);
        }
    }
    Ok(Hold::Held)
}

/// The tick that is due, if there is one; it stands for all that were missed.
fn due(
    name: JobName,
    schedule: &Schedule,
    last: Option<&OffsetDateTime>,
    now: OffsetDateTime,
) -> Option<NewTick> {
    let tick = schedule.tick_before(now)?;
    let covers = match last {
        Some(last) if *last >= tick => return None,
        Some(last) => schedule.ticks_between(*last, tick),
        None => 1,
    };
    Some(NewTick {
        name: name.as_str(),
        scheduled_for: tick,
        covers,
    })
}

async fn publish(publisher: &Publisher, run: &WaitingRun, name: JobName) -> Result<(), TickError> {
    let envelope = Envelope {
        body: RunMessage::body(run.id, run.page),
        headers: Headers::new(SOURCE, OffsetDateTime::now_utc()),
    };
    let to = Destination::Job(name.as_str());
    let published = publisher.publish(&to, envelope, CONFIRM_LIMIT).await;
    published.map_err(|source| {
        metrics::waited("broker");
        TickError::Publish {
            run: run.id,
            source,
        }
    })
}

/// A quarter of the shortest interval: ticks are on time, and the database is asked rarely.
fn look_every(schedules: &Schedules) -> Duration {
    let intervals = schedules.iter().filter_map(|(_, schedule)| match schedule {
        Schedule::Every(interval) => Some(*interval / 4),
        Schedule::Cron(_) | Schedule::Off => None,
    });
    intervals
        .min()
        .unwrap_or(LOOK_EVERY)
        .clamp(LOOK_AGAIN, LOOK_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_tick_is_due_once_and_stands_for_those_that_were_missed() {
        let schedule = JobName::ReconcileStatus.default_schedule();
        let now = datetime!(2026-03-14 10:05:30 UTC);
        let tick = datetime!(2026-03-14 10:05:00 UTC);
        let due = |last| due(JobName::ReconcileStatus, &schedule, last, now);
        assert_eq!(due(Some(&tick)), None);
        let first = due(None).unwrap();
        assert_eq!((first.scheduled_for, first.covers), (tick, 1));
        let missed = due(Some(&datetime!(2026-03-14 10:01:00 UTC))).unwrap();
        assert_eq!((missed.scheduled_for, missed.covers), (tick, 4));
        // A clock that went back makes no tick.
        assert_eq!(due(Some(&datetime!(2026-03-14 11:00:00 UTC))), None);
    }

    #[test]
    fn the_clock_is_looked_at_as_often_as_the_shortest_interval_asks_for() {
        assert_eq!(look_every(&Schedules::default()), LOOK_EVERY);
        let seconds = |_: &str| Some(Duration::from_secs(1));
        let short = Schedules::with_overrides("alerts=1s", seconds).unwrap();
        assert_eq!(look_every(&short), Duration::from_millis(250));
    }
}
