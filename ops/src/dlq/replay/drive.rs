//! Driving replays to their end, with a progress bar on a terminal.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use shared::broker::Publisher;
use shared::dead_letters::Replayer;
use shared::store::Store;
use shared::store::replays::ReplayRow;
use uuid::Uuid;

use crate::outcome::Outcome;
use crate::print;

/// How long the publisher may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Drives the replays, one after the other. Ctrl-C stops between two letters; so does a broker
/// that stays away.
pub(super) async fn all(
    store: &Store,
    publisher: Publisher,
    replays: &[Uuid],
    skipped: &[i64],
    json: bool,
) -> anyhow::Result<Outcome> {
    let stop = shared::runtime::shutdown_token()?;
    let replayer = Replayer::new(store.clone(), publisher.clone());
    let mut driven = Vec::new();
    for id in replays {
        let bar = progress_bar(json);
        let ended = replayer
            .drive(*id, &stop, |replay| {
                bar.set_length(u64::from(replay.total.unsigned_abs()));
                bar.set_position(u64::from((replay.done + replay.failed).unsigned_abs()));
            })
            .await;
        bar.finish_and_clear();
        driven.push(ended?);
        if stop.is_cancelled() {
            break;
        }
    }
    publisher.close(GOODBYE).await;
    report(&driven, skipped, json)?;
    let complete = driven.len() == replays.len()
        && skipped.is_empty()
        && driven
            .iter()
            .all(|replay| replay.status == "done" && replay.failed == 0);
    Ok(if complete {
        Outcome::Done
    } else {
        Outcome::Found
    })
}

/// Ends a replay and says how far it came.
pub(super) async fn cancel(store: &Store, id: Uuid, json: bool) -> anyhow::Result<Outcome> {
    let replay = Replayer::cancel(store, id).await?;
    let cancelled = replay.status == "cancelled";
    report(&[replay], &[], json)?;
    Ok(if cancelled {
        Outcome::Done
    } else {
        Outcome::Found
    })
}

fn report(replays: &[ReplayRow], skipped: &[i64], json: bool) -> anyhow::Result<()> {
    if json {
        // The newest one is what was asked for; those before it were left over.
        let (last, before) = match replays.split_last() {
            Some((last, before)) => (Some(last), before),
            None => (None, &[][..]),
        };
        return print::json(&json!({
            "replay_id": last.map(|replay| replay.id),
            "status": last.map_or("done", |replay| replay.status.as_str()),
            "total": last.map_or(0, |replay| replay.total),
            "done": last.map_or(0, |replay| replay.done),
            "failed": last.map_or(0, |replay| replay.failed),
            "problem": last.and_then(|replay| replay.problem.as_deref()),
            "resumed": before,
            "skipped": skipped,
        }));
    }
    for id in skipped {
        eprintln!("lunas: {id} is not a letter with status dead");
    }
    if replays.is_empty() {
        return print::line("No dead letter to replay");
    }
    for replay in replays {
        print::line(&format!(
            "Replay {}: {}, {} of {} published, {} failed",
            replay.id, replay.status, replay.done, replay.total, replay.failed
        ))?;
        if let Some(problem) = &replay.problem {
            print::line(&format!("  stopped: {problem}"))?;
            print::line(&format!(
                "  go on with: lunas dlq replay --resume {}",
                replay.id
            ))?;
        }
    }
    Ok(())
}

/// On a terminal only: a log file wants lines, not a bar.
fn progress_bar(json: bool) -> ProgressBar {
    if json || !stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {eta} left");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
