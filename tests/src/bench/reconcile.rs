//! (h) Reconciliation: finding what is due in tables of different sizes, and asking about due
//! payments at the rate that is configured, with a gateway that takes its time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser as _;
use serde_json::json;
use shared::alerts::{BrokerNews, Watch};
use shared::config::AlertRuleSettings;
use shared::store::Store;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::lab::Lab;
use super::million;
use super::stats::median;
use super::workload::SERVER_KEY;
use crate::sim::{SimOptions, Simulator};

const DATABASE: &str = "bench_due";
/// Payments that are due in every table.
const DUE: i64 = 1_000;
/// How often finding them is timed.
const LOOKS: usize = 20;
/// Requests per second that are configured.
const RATE: u32 = 200;
/// How long the gateway takes for an answer.
const ANSWER: Duration = Duration::from_millis(200);
/// All of it must be over by then.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was found out about reconciliation.
#[derive(Debug)]
pub(super) struct ReconcileFigures {
    /// For so many payments stored.
    pub(super) stored: Vec<StoredFigures>,
    /// Payments asked about per second.
    pub(super) asked_per_s: f64,
    /// The most memory of the scheduler.
    pub(super) scheduler_mib: f64,
}

/// Milliseconds, medians, with so many payments stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredFigures {
    pub(super) stored: u32,
    /// To find those that are due.
    pub(super) found_ms: f64,
    /// To look for every condition of an alert.
    pub(super) alerts_ms: f64,
}

impl ReconcileFigures {
    /// The rate that was configured.
    pub(super) const RATE: u32 = RATE;
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<ReconcileFigures> {
    let sizes: &[u32] = match lab.options.quick {
        true => &[10_000, 200_000],
        false => &[10_000, 1_000_000, 10_000_000],
    };
    let mut stored = Vec::new();
    for count in sizes {
        stored.push(finding(lab, *count).await?);
    }
    let count = if lab.options.quick { 2_000 } else { 10_000 };
    let (asked_per_s, scheduler_mib) = asking(lab, count).await?;
    Ok(ReconcileFigures {
        stored,
        asked_per_s,
        scheduler_mib,
    })
}

/// How long it takes to find what is due, and what needs somebody, among so many.
async fn finding(lab: &Lab, stored: u32) -> anyhow::Result<StoredFigures> {
    million::make_without_history(lab, DATABASE, stored).await?;
    let mut connection = PgConnection::connect(&lab.url(DATABASE)).await?;
    sqlx::query(
        "UPDATE payments SET next_check_at = now() - interval '1 second'
         WHERE id IN (SELECT 10000000 + n * ($1 / $2)
                      FROM generate_series(1, $2) AS n)",
    )
    .bind(i64::from(stored))
    .bind(DUE)
    .execute(&mut connection)
    .await?;
    connection.execute("VACUUM ANALYZE payments").await?;
    connection.close().await?;
    let store = lab.store(DATABASE, 2)?;
    let limits = Rules::try_parse_from(["alerts"])?.rules.limits();
    let watch = Watch::new(limits, Vec::new(), None);
    let (mut looks, mut alerts) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        looks.push(look(&store).await?);
        let since = Instant::now();
        let totals = watch.evaluate(&store, None, || BrokerNews::Unknown).await?;
        alerts.push(since.elapsed().as_secs_f64() * 1_000.0);
        ensure!(
            totals.failed == 0,
            "{} conditions were not looked for",
            totals.failed
        );
    }
    store.close().await;
    lab.drop_database(DATABASE).await?;
    Ok(StoredFigures {
        stored,
        found_ms: median(&looks),
        alerts_ms: median(&alerts),
    })
}

/// The thresholds of alerts, as the scheduler has them unless it is told otherwise.
#[derive(clap::Parser)]
struct Rules {
    #[command(flatten)]
    rules: AlertRuleSettings,
}

async fn look(store: &Store) -> anyhow::Result<f64> {
    let until = time::OffsetDateTime::now_utc() + time::Duration::minutes(1);
    let since = Instant::now();
    let due = store.reconcile_due_ids(until, DUE).await?;
    let took = since.elapsed();
    ensure!(due.len() == usize::try_from(DUE)?, "{} are due", due.len());
    Ok(took.as_secs_f64() * 1_000.0)
}

/// Payments per second that one worker asks about and settles, and the scheduler's memory.
async fn asking(lab: &Lab, count: u32) -> anyhow::Result<(f64, f64)> {
    let options = SimOptions {
        server_key: SERVER_KEY.to_owned(),
        expiry_scale: Some(0.0),
        ..SimOptions::default()
    };
    let sim = Simulator::start(options).await?;
    let client = sim.client()?;
    client.arm(json!({"drop": true})).await?;
    let burst = json!({"orders": count, "prefix": "LNS-DUE", "amount": 150_000, "pay": true});
    let made = client.post("/sim/burst", burst).await?;
    ensure!(
        made.status == 200,
        "the simulator made no orders: {}",
        made.body
    );
    client
        .arm(json!({"api": {"delay_ms": u64::try_from(ANSWER.as_millis())?}}))
        .await?;
    let url = lab.fresh_database(DATABASE).await?;
    let mut connection = PgConnection::connect(&url).await?;
    for statement in DUE_ORDERS {
        sqlx::query(statement)
            .bind(i64::from(count))
            .execute(&mut connection)
            .await?;
    }
    let worker = lab
        .start_asking_worker(DATABASE, &sim.base_url(), RATE)
        .await?;
    let jobs = "reconcile_status=1s,alerts=1s";
    let scheduler = lab.start_scheduler(DATABASE, jobs).await?;
    let rate = settled_rate(&mut connection, i64::from(count)).await?;
    let memory = scheduler.usage()?.peak_mib;
    scheduler.stop().await?;
    worker.stop().await?;
    connection.close().await?;
    sim.stop().await?;
    lab.drop_database(DATABASE).await?;
    Ok((rate, memory))
}

const DUE_ORDERS: [&str; 2] = [
    "INSERT INTO orders (order_code, user_id, gross_amount, session_id, expires_at)
     SELECT 'LNS-DUE-' || n, 'user-1', 150000, 'LNS-DUE-' || n, now() + interval '1 day'
     FROM generate_series(1, $1) AS n",
    "INSERT INTO payments (session_id, order_id, origin, gross_amount, next_check_at)
     SELECT order_code, id, 'checkout', gross_amount, now() FROM orders
     WHERE order_code LIKE 'LNS-DUE-%' AND $1 > 0",
];

/// Waits until all are paid; between the first tenth and the last they were settled at this rate.
async fn settled_rate(connection: &mut PgConnection, count: i64) -> anyhow::Result<f64> {
    let until = Instant::now() + PATIENCE;
    loop {
        let paid: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM payment_transactions WHERE status = 'settlement'",
        )
        .fetch_one(&mut *connection)
        .await?;
        if paid == count {
            break;
        }
        ensure!(Instant::now() < until, "{paid} of {count} were settled");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let seconds: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(created_at) - min(created_at))::float8
         FROM (SELECT created_at FROM payment_transactions ORDER BY created_at
               OFFSET $1 / 10) AS later",
    )
    .bind(count)
    .fetch_one(connection)
    .await
    .context("reading when they were settled")?;
    Ok((count - count / 10) as f64 / seconds)
}
