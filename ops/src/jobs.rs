//! `lunas jobs`: the periodic jobs, their last runs, and runs by hand.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use shared::config::{DatabaseSettings, parse_duration};
use shared::domain::jobs::{BadSchedules, JobName, Schedules, UnknownJob};
use shared::store::Store;
use shared::store::job_runs::Requested;
use shared::store::runs::RunView;

use crate::outcome::Outcome;
use crate::{connect, print};

/// Pause between two looks at a run that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// See, run and pause the periodic jobs
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    List(List),
    Run(Run),
    Pause(Pause),
    Resume(Resume),
}

/// List the jobs with their schedule and last run; exit code 1 when a last run failed
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// What the scheduler has as JOB_INTERVALS
    #[arg(long, env = "JOB_INTERVALS", value_name = "LIST", default_value = "",
          hide_default_value = true, value_parser = schedules, help_heading = None)]
    job_intervals: Schedules,
}

/// Run a job now, beside its schedule; exit code 1 when it is running already or fails
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The job, as `lunas jobs list` names it
    #[arg(value_name = "NAME", value_parser = job_name)]
    name: JobName,
    /// Wait for its end and print what it found
    #[arg(long, help_heading = None)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", help_heading = None,
          value_parser = parse_duration)]
    limit: Duration,
    /// Who; goes into the log
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
}

/// Pause a job: its schedule has no ticks until it is resumed
#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The job
    #[arg(value_name = "NAME", value_parser = job_name)]
    name: JobName,
    /// Why
    #[arg(long, value_name = "TEXT", help_heading = None)]
    why: Option<String>,
    /// Who
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
}

/// Resume a job: one run stands for the ticks that were missed
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The job
    #[arg(value_name = "NAME", value_parser = job_name)]
    name: JobName,
}

fn schedules(text: &str) -> Result<Schedules, BadSchedules> {
    Schedules::with_overrides(text, |text| parse_duration(text).ok())
}

fn job_name(text: &str) -> Result<JobName, UnknownJob> {
    text.parse()
}

pub(crate) async fn run(command: &Jobs, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Jobs::List(command) => list(command, json).await,
        Jobs::Run(command) => run_now(command, json).await,
        Jobs::Pause(command) => pause(command, json).await,
        Jobs::Resume(command) => resume(command, json).await,
    }
}

async fn list(command: &List, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let runs = store.job_admin_last_runs().await?;
    let pauses = store.job_admin_pauses().await?;
    let mut failed = false;
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    for (name, schedule) in command.job_intervals.iter() {
        let run = runs.iter().find(|run| run.name == name.as_str());
        let pause = pauses.iter().find(|pause| pause.name == name.as_str());
        failed |= run.is_some_and(|run| run.status == "failed");
        let mut row = vec![name.to_string(), schedule.to_string()];
        row.extend(cells(run));
        row.push(match pause {
            Some(pause) => format!("paused by {}", print::shortened(&pause.paused_by, 30)),
            None => "-".to_owned(),
        });
        rows.push(row);
        items.push(json!({
            "name": name.as_str(), "schedule": schedule.to_string(), "last_run": run,
            "pause": pause,
        }));
    }
    match json {
        true => print::json(&json!({ "items": items }))?,
        false => print::table(&HEADINGS, &rows)?,
    }
    Ok(ending(failed))
}

const HEADINGS: [&str; 9] = [
    "JOB", "SCHEDULE", "LAST RUN", "STATUS", "CHECKED", "REPAIRED", "GIVEN UP", "AT RISK", "PAUSED",
];

fn cells(run: Option<&RunView>) -> Vec<String> {
    let Some(run) = run else {
        return vec!["-".to_owned(); 6];
    };
    vec![
        print::time(run.scheduled_for),
        run.status.clone(),
        run.checked.to_string(),
        run.repaired.to_string(),
        run.given_up.to_string(),
        print::rupiah(run.rupiah_at_risk),
    ]
}

async fn run_now(command: &Run, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let name = command.name;
    let requested = store.job_run_request(name.as_str(), &command.actor).await?;
    let Requested::Queued(id) = requested else {
        eprintln!("lunas: a run of {name} is under way; `lunas jobs list` shows it");
        return Ok(Outcome::Found);
    };
    if !command.wait {
        match json {
            true => print::json(&json!({ "run": id, "name": name.as_str() }))?,
            false => print::line(&format!(
                "run {id} of {name} begins as soon as the scheduler sees it"
            ))?,
        }
        return Ok(Outcome::Done);
    }
    let run = wait_for(&store, id, command.limit).await?;
    if json {
        print::json(&run)?;
    } else {
        print::line(&format!(
            "{name}: {}, {} checked, {} repaired, {} given up, {} at risk{}",
            run.status,
            run.checked,
            run.repaired,
            run.given_up,
            print::rupiah(run.rupiah_at_risk),
            run.error
                .as_deref()
                .map(|error| format!(": {error}"))
                .unwrap_or_default(),
        ))?;
    }
    Ok(ending(run.status != "done" || run.given_up > 0))
}

async fn wait_for(store: &Store, id: i64, limit: Duration) -> anyhow::Result<RunView> {
    let end = Instant::now() + limit;
    loop {
        let run = store.job_admin_run(id).await?;
        let run = run.context("the run is gone")?;
        if matches!(run.status.as_str(), "done" | "failed") {
            return Ok(run);
        }
        if Instant::now() >= end {
            anyhow::bail!(
                "run {id} is {} after {limit:?}: see that a lunas-scheduler leads and a \
                 lunas-worker with the role jobs runs; it goes on without being waited for",
                run.status
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn pause(command: &Pause, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let name = command.name.as_str();
    let changed = store
        .job_admin_pause(name, &command.actor, command.why.as_deref())
        .await?;
    told(name, "paused", changed, json)
}

async fn resume(command: &Resume, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let name = command.name.as_str();
    let changed = store.job_admin_resume(name).await?;
    told(name, "resumed", changed, json)
}

fn told(name: &str, what: &str, changed: bool, json: bool) -> anyhow::Result<Outcome> {
    match (json, changed) {
        (true, _) => print::json(&json!({ "name": name, "changed": changed }))?,
        (false, true) => print::line(&format!("{name} is {what}"))?,
        (false, false) => print::line(&format!("{name} was not {what} again: it is so already"))?,
    }
    Ok(Outcome::Done)
}

fn ending(found: bool) -> Outcome {
    match found {
        true => Outcome::Found,
        false => Outcome::Done,
    }
}
