//! The benchmark: each figure of the fleet beside its limit, measured in one run on one machine.
//!
//! `tests/bench.sh` starts private servers and the release programs and calls [`run`]. Parts:
//! `ingest` (a), `apply` with `pgbench` (b), `lag` (c), memory and CPU from `process` (d),
//! `million` (e), `effects` (f), `shop` (g), `reconcile` (h). `report` prints the table, `latest`
//! makes `latest.json`.

mod ingest;

mod apply;
mod pgbench;

mod lag;

mod million;

mod effects;
mod shop;

mod reconcile;

mod latest;
mod report;

mod cpu;
mod lab;
mod load;
mod machine;
mod pace;
mod process;
mod raw;
mod stats;
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use apply::WorkerRun;
use cpu::Cost;
use effects::EffectsFigures;
use ingest::IngestFigures;
use lab::Lab;
use lag::LagFigures;
use machine::Machine;
use reconcile::ReconcileFigures;
use shop::ShopFigures;
use stats::median;
use workload::Notice;

/// Where things are and how long it may take.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Shorter rounds, one of each: about three minutes
    #[arg(long)]
    pub quick: bool,
    /// Only these parts: `ingest`, `apply`, `million`, `effects`, `shop`, `reconcile`, `lag`
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "ingest,apply,million,effects,shop,reconcile,lag"
    )]
    pub only: Vec<String>,
    /// PostgreSQL, as a superuser; databases are made in it
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// RabbitMQ; the queue of notifications is emptied
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: String,
    /// The checkout
    #[arg(long)]
    pub root: PathBuf,
    /// The folder of the private PostgreSQL
    #[arg(long)]
    pub postgres_folder: PathBuf,
    /// The folder of the private RabbitMQ
    #[arg(long)]
    pub rabbitmq_folder: PathBuf,
    /// The folder of the programs under measurement
    #[arg(long)]
    pub programs: PathBuf,
    /// The program pgbench
    #[arg(long)]
    pub pgbench: PathBuf,
    /// Where the logs of the services go
    #[arg(long)]
    pub logs: PathBuf,
    /// Where the figures go as JSON
    #[arg(long)]
    pub json: PathBuf,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.iter().any(|wanted| wanted == part)
    }

    fn sizes(&self) -> Sizes {
        if self.quick {
            Sizes {
                rounds: 1,
                round: Duration::from_secs(4),
                idle: Duration::from_secs(4),
                orders: 200_000,
                paid: 32_000,
                paid_singly: 12_000,
            }
        } else {
            Sizes {
                rounds: 3,
                round: Duration::from_secs(10),
                idle: Duration::from_secs(10),
                orders: 600_000,
                paid: 100_000,
                paid_singly: 60_000,
            }
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Rounds of each measurement; the figure is their median.
    rounds: usize,
    /// Length of a round with a length.
    round: Duration,
    /// How long idle processes are watched.
    idle: Duration,
    /// Orders that exist beforehand.
    orders: u64,
    /// Orders whose two notifications are applied in a round.
    paid: u64,
    /// The same for pgbench, which is slower and needs fewer for the same length.
    paid_singly: u64,
}

/// Everything that was measured.
#[derive(Debug, Default)]
struct Figures {
    idle: Idle,
    ingest: Option<IngestFigures>,
    apply: Option<ApplyFigures>,
    lag: Option<LagFigures>,
    million: Option<Growth>,
    effects: Option<EffectsFigures>,
    shop: Option<ShopFigures>,
    reconcile: Option<ReconcileFigures>,
}

impl Figures {
    fn ingest_peak(&self) -> f64 {
        let lag = self.lag.as_ref().map_or(0.0, |lag| lag.ingest_peak_mib);
        self.ingest.as_ref().map_or(0.0, |i| i.peak_mib).max(lag)
    }

    fn worker_peak(&self) -> f64 {
        let million = self.million.as_ref().map_or(0.0, |run| run.many.peak_mib);
        let lag = self.lag.as_ref().map_or(0.0, |lag| lag.worker_peak_mib);
        self.apply
            .as_ref()
            .map_or(0.0, |a| a.one.peak_mib)
            .max(lag)
            .max(million)
    }
}

#[derive(Debug, Default)]
struct Idle {
    ingest_mib: f64,
    ingest_cores: f64,
    worker_mib: f64,
    worker_cores: f64,
}

/// The same work with little and with much stored already.
#[derive(Debug)]
struct Growth {
    few: WorkerRun,
    many: WorkerRun,
}

#[derive(Debug)]
struct ApplyFigures {
    one: WorkerRun,
    two: WorkerRun,
    tx_per_webhook: f64,
    tx_cost: Cost,
    set_based: f64,
    set_based_cost: Cost,
}

/// Measures, prints the table, writes the file.
///
/// # Errors
/// When anything does not work: figures of a run in which something failed mean nothing.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let machine = Machine::look(&options).await?;
    say("preparing the databases");
    let lab = Lab::prepare(options).await?;
    let mut figures = Figures::default();
    say("idle processes");
    figures.idle = idle(&lab).await?;
    if lab.options.wants("ingest") {
        say("(a) ingest beside raw publishing");
        figures.ingest = Some(ingest::measure(&lab).await?);
    }
    if lab.options.wants("apply") {
        say("(b) workers beside pgbench and set-based work");
        figures.apply = Some(applying(&lab).await?);
    }
    if lab.options.wants("million") {
        say("(e) with a million payments");
        figures.million = Some(with_a_million(&lab).await?);
    }
    if lab.options.wants("effects") {
        say("(f) what paid orders are given");
        figures.effects = Some(effects::measure(&lab).await?);
    }
    if lab.options.wants("shop") {
        say("(g) creating orders");
        figures.shop = Some(shop::measure(&lab).await?);
    }
    if lab.options.wants("reconcile") {
        say("(h) reconciliation");
        figures.reconcile = Some(reconcile::measure(&lab).await?);
    }
    if lab.options.wants("lag") {
        say("(c) the whole way");
        figures.lag = Some(lag::measure(&lab).await?);
    }
    println!("{}", report::table(&machine, &figures));
    let json = latest::json(&machine, &figures, lab.options.quick);
    std::fs::write(
        &lab.options.json,
        serde_json::to_string_pretty(&json)? + "\n",
    )?;
    Ok(())
}

fn say(what: &str) {
    eprintln!("== {what}");
}

async fn idle(lab: &Lab) -> anyhow::Result<Idle> {
    let database = "bench_idle";
    lab.fresh_database(database).await?;
    let ingest = lab.start_ingest(process::free_addr()?).await?;
    let worker = lab.start_worker(database, "worker-idle").await?;
    // The worker's careful start is over by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = (ingest.usage()?, worker.usage()?);
    tokio::time::sleep(lab.options.sizes().idle).await;
    let after = (ingest.usage()?, worker.usage()?);
    ingest.stop().await?;
    worker.stop().await?;
    lab.drop_database(database).await?;
    Ok(Idle {
        ingest_mib: after.0.rss_mib,
        ingest_cores: after.0.cores_since(&before.0),
        worker_mib: after.1.rss_mib,
        worker_cores: after.1.cores_since(&before.1),
    })
}

/// Each round measures all four, so that a disturbance of the machine meets all of them.
async fn applying(lab: &Lab) -> anyhow::Result<ApplyFigures> {
    let sizes = lab.options.sizes();
    let notices = workload::sequence(0..sizes.paid);
    let singly = workload::sequence(0..sizes.paid_singly);
    let (mut one, mut two) = (vec![], vec![]);
    let (mut set_based, mut tx) = (vec![], vec![]);
    for _ in 0..sizes.rounds {
        one.push(by_workers(lab, 1, &notices).await?);
        lab.fresh_database("bench_apply").await?;
        set_based.push(apply::set_based(lab, "bench_apply", &notices).await?);
        two.push(by_workers(lab, 2, &notices).await?);
        lab.fresh_database("bench_apply").await?;
        tx.push(pgbench::run(lab, "bench_apply", &singly, false).await?);
    }
    lab.drop_database("bench_apply").await?;
    let (set_based, set_based_cost) = typical_rate(&set_based);
    let (tx_per_webhook, tx_cost) = typical_rate(&tx);
    Ok(ApplyFigures {
        one: typical(&one),
        two: typical(&two),
        tx_per_webhook,
        tx_cost,
        set_based,
        set_based_cost,
    })
}

fn typical_rate(runs: &[(f64, Cost)]) -> (f64, Cost) {
    let (rates, costs): (Vec<f64>, Vec<Cost>) = runs.iter().copied().unzip();
    (median(&rates), Cost::median(&costs))
}

async fn by_workers(lab: &Lab, count: usize, notices: &[Notice]) -> anyhow::Result<WorkerRun> {
    lab.fresh_database("bench_apply").await?;
    apply::by_workers(lab, "bench_apply", count, notices).await
}

/// The database with many payments.
const STORED: &str = "bench_stored";

async fn with_a_million(lab: &Lab) -> anyhow::Result<Growth> {
    Ok(Growth {
        few: with_stored(lab, 10_000).await?,
        many: with_stored(lab, 1_000_000).await?,
    })
}

async fn with_stored(lab: &Lab, count: u32) -> anyhow::Result<WorkerRun> {
    let sizes = lab.options.sizes();
    let notices = workload::sequence(0..sizes.paid);
    million::make(lab, STORED, count).await?;
    let mut runs = Vec::new();
    for _ in 0..sizes.rounds {
        // A copy, so that every round begins alike.
        lab.copy_database(STORED, "bench_apply").await?;
        runs.push(apply::by_workers(lab, "bench_apply", 1, &notices).await?);
    }
    lab.drop_database("bench_apply").await?;
    lab.drop_database(STORED).await?;
    Ok(typical(&runs))
}

/// The medians of several runs; of memory the most.
fn typical(runs: &[WorkerRun]) -> WorkerRun {
    let of = |figure: fn(&WorkerRun) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
    WorkerRun {
        per_s: of(|run| run.per_s),
        cores: of(|run| run.cores),
        batch: of(|run| run.batch),
        cost: Cost::median(&runs.iter().map(|run| run.cost).collect::<Vec<_>>()),
        peak_mib: runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max),
    }
}
