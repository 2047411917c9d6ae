//! (b) How many notifications workers commit from a filled queue, beside the same work without a
//! queue: set-based in this process, and one transaction per notification by pgbench.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::ensure;
use shared::apply::{Input, Item, apply};
use shared::domain::{ConfirmPolicy, Observation, Source};
use shared::telemetry::metrics::names;
use sqlx::{Connection as _, PgConnection};
use time::OffsetDateTime;

use super::cpu::{Cost, Reading, Servers};
use super::lab::Lab;
use super::process::Service;
use super::workload::{self, Notice};

/// As many as a worker has under way at once.
const TASKS: usize = 4;
/// The worker's default.
const BATCH: usize = 256;
/// How often the worker is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// No run takes longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// What workers did with a filled queue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WorkerRun {
    pub(super) per_s: f64,
    /// Cores of one worker process.
    pub(super) cores: f64,
    /// Most memory of one worker process.
    pub(super) peak_mib: f64,
    /// Notifications in one transaction, on average.
    pub(super) batch: f64,
    /// Processor time; of the service, that of the first worker.
    pub(super) cost: Cost,
}

/// Fills the queue, lets `count` workers empty it into the database, and checks the result.
pub(super) async fn by_workers(
    lab: &Lab,
    database: &str,
    count: usize,
    notices: &[Notice],
) -> anyhow::Result<WorkerRun> {
    lab.fill_queue(notices).await?;
    let mut workers = Vec::new();
    for number in 1..=count {
        workers.push(
            lab.start_worker(database, &format!("worker-{number}"))
                .await?,
        );
    }
    let servers = Servers::find(&lab.options)?;
    let run = watch(&workers, &servers, notices.len()).await?;
    for worker in workers {
        worker.stop().await?;
    }
    check(lab, database, notices.len()).await?;
    Ok(run)
}

/// The rate from the first look that sees something committed to the one that sees all of it.
async fn watch(workers: &[Service], servers: &Servers, all: usize) -> anyhow::Result<WorkerRun> {
    let until = Instant::now() + PATIENCE;
    let mut first = None;
    loop {
        let mut settled = 0.0;
        for worker in workers {
            settled += worker.metric(names::NOTIFICATIONS_SETTLED).await?;
        }
        let now = Instant::now();
        if settled > 0.0 && first.is_none() {
            first = Some((
                settled,
                now,
                workers[0].usage()?,
                servers.read(workers[0].pid())?,
            ));
        }
        if settled >= all as f64 {
            let read: Reading = servers.read(workers[0].pid())?;
            let after = workers[0].usage()?;
            let (already, since, usage, read_first) = first.unwrap_or((0.0, now, after, read));
            let batches = workers[0]
                .metric(&format!("{}_count", names::BATCH_MESSAGES))
                .await?;
            let messages = workers[0]
                .metric(&format!("{}_sum", names::BATCH_MESSAGES))
                .await?;
            return Ok(WorkerRun {
                per_s: (settled - already) / (now - since).as_secs_f64(),
                cores: after.cores_since(&usage),
                peak_mib: after.peak_mib,
                batch: messages / batches,
                cost: read_first.cost(&read, (settled - already) as usize),
            });
        }
        ensure!(now < until, "the workers settled {settled} of {all}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The same notifications, read beforehand, straight into the product's own `apply`: what set-based
/// work on this database gives without a queue.
pub(super) async fn set_based(
    lab: &Lab,
    database: &str,
    notices: &[Notice],
) -> anyhow::Result<(f64, Cost)> {
    let store = lab.store(database, TASKS as u32)?;
    let items: Vec<Item> = workload::bodies(notices)
        .iter()
        .map(|body| item(body))
        .collect::<Result<_, _>>()?;
    let dealt = deal(&items);
    let batches: Mutex<VecDeque<&[Item]>> = Mutex::new(dealt.chunks(BATCH).collect());
    let next = || {
        batches
            .lock()
            .ok()
            .and_then(|mut batches| batches.pop_front())
    };
    // Connections are opened before the clock runs.
    futures::future::try_join_all((0..TASKS).map(|_| store.probe())).await?;
    let servers = Servers::find(&lab.options)?;
    let before = servers.read(Some(std::process::id()))?;
    let since = Instant::now();
    futures::future::try_join_all((0..TASKS).map(|_| async {
        while let Some(batch) = next() {
            apply(&store, ConfirmPolicy::Risky, batch).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    let per_s = notices.len() as f64 / since.elapsed().as_secs_f64();
    let cost = before.cost(&servers.read(Some(std::process::id()))?, notices.len());
    store.close().await;
    check(lab, database, notices.len()).await?;
    Ok((per_s, cost))
}

/// The order in which a worker gets them: the broker deals message by message to the lanes, so that
/// the batches under way at one time lie side by side.
fn deal(items: &[Item]) -> Vec<Item> {
    let hand = |round: &[Item]| -> Vec<Item> {
        (0..TASKS)
            .flat_map(|task| round.iter().skip(task).step_by(TASKS).cloned())
            .collect()
    };
    items.chunks(BATCH * TASKS).flat_map(hand).collect()
}

fn item(body: &str) -> anyhow::Result<Item> {
    let now = OffsetDateTime::now_utc();
    let seen = Observation::from_notification(body.as_bytes(), now, Source::Webhook)?;
    Ok(Item::new(Input::Observed(Box::new(seen))))
}

/// Every notification is in the database exactly once, and every order of them is paid.
pub(super) async fn check(lab: &Lab, database: &str, notices: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&lab.url(database)).await?;
    let (events, deliveries, paid): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(deliveries), 0)::bigint,
                (SELECT count(*) FROM orders WHERE status = 'PAID' AND order_code LIKE 'LNS-BENCH-%')
         FROM payment_webhook_events WHERE order_id LIKE 'LNS-BENCH-%'",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let expected = (notices as i64, notices as i64, notices as i64 / 2);
    ensure!(
        (events, deliveries, paid) == expected,
        "stored (events, deliveries, paid orders) {:?}, expected {expected:?}",
        (events, deliveries, paid)
    );
    Ok(())
}
