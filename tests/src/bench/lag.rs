//! (c) The whole way at half of the maximum: how long after ingest's answer a notification is
//! committed.
//!
//! The commit's moment is the server's own record of it (`track_commit_timestamp`, on for this
//! part only), and the answer's the load generator's; both read the clock of one machine.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use shared::telemetry::metrics::names;
use sqlx::{Connection as _, PgConnection};

use super::lab::Lab;
use super::load::{self, Answers, Requests};
use super::process::Service;
use super::stats::percentile;
use super::workload::{self, Notice};

const CONNECTIONS: usize = 64;
const DATABASE: &str = "bench_lag";
/// The backlog of the first phase must be gone by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was found out about the whole way.
#[derive(Debug, Default)]
pub(super) struct LagFigures {
    /// Notifications per second that one worker commits while ingest takes all it can.
    pub(super) maximum_per_s: f64,
    /// The rate at which the lag was measured.
    pub(super) rate: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) ingest_peak_mib: f64,
    pub(super) worker_peak_mib: f64,
    pub(super) ingest_cores: f64,
    pub(super) worker_cores: f64,
}

/// Measures with one ingest and one worker.
pub(super) async fn measure(lab: &Lab) -> anyhow::Result<LagFigures> {
    lab.fresh_database(DATABASE).await?;
    lab.administer("ALTER SYSTEM SET track_commit_timestamp = on")
        .await?;
    lab.restart_postgres().await?;
    let figures = measure_running(lab).await;
    lab.administer("ALTER SYSTEM RESET track_commit_timestamp")
        .await?;
    lab.restart_postgres().await?;
    lab.drop_database(DATABASE).await?;
    figures
}

async fn measure_running(lab: &Lab) -> anyhow::Result<LagFigures> {
    let addr = super::process::free_addr()?;
    let ingest = lab.start_ingest(addr).await?;
    let worker = lab.start_worker(DATABASE, "worker-lag").await?;
    let sizes = lab.options.sizes();
    let half = sizes.orders / 2;

    let before = Instant::now();
    let load = spawn_round(addr, workload::sequence(0..half), sizes.round, None);
    let answers = load.await??.0;
    let settled = worker.metric(names::NOTIFICATIONS_SETTLED).await?;
    let maximum_per_s = settled / before.elapsed().min(sizes.round).as_secs_f64();
    wait_for(&worker, answers.accepted).await?;

    let rate = maximum_per_s / 2.0;
    let wanted = (load::needed(sizes.round, rate).div_ceil(2) as u64).min(half);
    let notices = workload::sequence(half..half + wanted);
    let (ingest_before, worker_before) = (ingest.usage()?, worker.usage()?);
    let (paced, notices) = spawn_round(addr, notices, sizes.round, Some(rate)).await??;
    let (ingest_after, worker_after) = (ingest.usage()?, worker.usage()?);
    wait_for(&worker, answers.accepted + paced.accepted).await?;
    ingest.stop().await?;
    worker.stop().await?;

    let mut lags = lags(lab, &notices, &paced).await?;
    lags.sort_unstable_by(f64::total_cmp);
    Ok(LagFigures {
        maximum_per_s,
        rate,
        p50_ms: percentile(&lags, 0.50),
        p99_ms: percentile(&lags, 0.99),
        ingest_peak_mib: ingest_after.peak_mib,
        worker_peak_mib: worker_after.peak_mib,
        ingest_cores: ingest_after.cores_since(&ingest_before),
        worker_cores: worker_after.cores_since(&worker_before),
    })
}

type Load = tokio::task::JoinHandle<anyhow::Result<(Answers, Vec<Notice>)>>;

fn spawn_round(
    addr: std::net::SocketAddr,
    notices: Vec<Notice>,
    length: Duration,
    rate: Option<f64>,
) -> Load {
    tokio::task::spawn_blocking(move || {
        let requests = Requests::of(&workload::bodies(&notices));
        let answers = load::round(addr, requests, CONNECTIONS, length, rate)?;
        Ok((answers, notices))
    })
}

async fn wait_for(worker: &Service, accepted: usize) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let settled = worker.metric(names::NOTIFICATIONS_SETTLED).await?;
        if settled >= accepted as f64 {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "{settled} of {accepted} were settled"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Milliseconds from the answer to the commit, of every accepted notification of the round.
async fn lags(lab: &Lab, notices: &[Notice], answers: &Answers) -> anyhow::Result<Vec<f64>> {
    let mut connection = PgConnection::connect(&lab.url(DATABASE)).await?;
    let first = notices.first().context("the round is empty")?;
    let rows: Vec<(String, bool, i64)> = sqlx::query_as(
        "SELECT order_id, raw_body->>'transaction_status' = 'settlement',
                (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint
         FROM payment_webhook_events WHERE order_id >= $1",
    )
    .bind(workload::order_code(first.order))
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let committed: HashMap<(&str, bool), i64> = rows
        .iter()
        .map(|(code, settled, at)| ((code.as_str(), *settled), *at))
        .collect();
    answers
        .answered_at
        .iter()
        .map(|(index, answered)| {
            let notice = notices[*index];
            let key = (workload::order_code(notice.order), notice.settled);
            let at = committed
                .get(&(key.0.as_str(), key.1))
                .context("an accepted notification is missing")?;
            Ok((at - answered) as f64 / 1e3)
        })
        .collect()
}
