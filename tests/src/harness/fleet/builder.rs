//! Describes a fleet before it starts.

use super::{Fleet, Kind, SERVER_KEY};
use crate::harness::Stage;
use crate::harness::ground::{run_folder, unique_word};

/// A test says which jobs it wants: their ticks would meet every other story.
const NO_JOBS: &str = "reconcile_status=off,reconcile_effects=off,reconcile_links=off,\
                       expire_orders=off,alerts=off,retention=off";

/// What a fleet consists of and its environment; later settings win over earlier ones.
#[derive(Debug)]
pub struct FleetBuilder {
    stage: Stage,
    members: Vec<(Kind, Vec<(String, String)>)>,
    env: Vec<(Option<Kind>, String, String)>,
    ready_page: &'static str,
}

impl FleetBuilder {
    pub(super) fn on(stage: Stage) -> Self {
        let builder = Self {
            members: Vec::new(),
            env: Vec::new(),
            ready_page: "/readyz",
            stage,
        };
        let (database, broker) = (
            builder.stage.database().url().to_owned(),
            builder.stage.broker().url().to_owned(),
        );
        builder
            .env("DATABASE_URL", &database)
            .env("AMQP_URL", &broker)
            .env("MIDTRANS_SERVER_KEY", SERVER_KEY)
            // Nobody listens there: a test that needs the gateway says so with `gateway`.
            .env("MIDTRANS_API_URL", "http://127.0.0.1:9")
            .env("MIDTRANS_SNAP_URL", "http://127.0.0.1:9/snap/v1")
            .env("JOB_INTERVALS", NO_JOBS)
            .env("LOG_FORMAT", "text")
            .env("RUST_LOG", "info")
    }

    /// So many ingests.
    #[must_use]
    pub fn ingest(self, count: usize) -> Self {
        self.members(Kind::Ingest, count)
    }

    /// So many workers.
    #[must_use]
    pub fn workers(self, count: usize) -> Self {
        self.members(Kind::Worker, count)
    }

    /// So many schedulers.
    #[must_use]
    pub fn schedulers(self, count: usize) -> Self {
        self.members(Kind::Scheduler, count)
    }

    /// So many apis.
    #[must_use]
    pub fn api(self, count: usize) -> Self {
        self.members(Kind::Api, count)
    }

    /// One worker that does `fault` (`worker.after_commit=abort`, see `shared::fault`).
    #[must_use]
    pub fn faulty_worker(mut self, fault: &str) -> Self {
        let env = vec![("LUNAS_FAULT".to_owned(), fault.to_owned())];
        self.members.push((Kind::Worker, env));
        self
    }

    /// Periodic jobs, as `JOB_INTERVALS` has them; those that are not named never run.
    #[must_use]
    pub fn jobs(self, intervals: &str) -> Self {
        self.env("JOB_INTERVALS", &format!("{NO_JOBS},{intervals}"))
    }

    /// A variable of every process.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((None, name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of the processes of one kind: `env_of(Kind::Worker, "AMQP_URL", …)` sends the
    /// workers by way of a proxy.
    #[must_use]
    pub fn env_of(mut self, kind: Kind, name: &str, value: &str) -> Self {
        self.env
            .push((Some(kind), name.to_owned(), value.to_owned()));
        self
    }

    /// The gateway, usually the simulator: base URL without a path.
    #[must_use]
    pub fn gateway(self, url: &str) -> Self {
        let snap = format!("{url}/snap/v1");
        self.env("MIDTRANS_API_URL", url)
            .env("MIDTRANS_SNAP_URL", &snap)
    }

    /// Does not wait for readiness but only for `/livez`, for fleets that start while a server
    /// they need is down.
    #[must_use]
    pub fn only_alive(mut self) -> Self {
        self.ready_page = "/livez";
        self
    }

    /// Starts everything and waits until each process is ready.
    ///
    /// # Panics
    /// When one does not become ready.
    pub async fn start(self) -> Fleet {
        let test = std::thread::current()
            .name()
            .unwrap_or("test")
            .replace("::", ".");
        let logs = run_folder()
            .join("logs")
            .join(format!("{test}-{}", unique_word()));
        std::fs::create_dir_all(&logs).expect("the folder of the logs can be made");
        let mut fleet = Fleet {
            stage: self.stage,
            env: self.env,
            logs,
            processes: Vec::new(),
            started: 0,
        };
        for (kind, env) in &self.members {
            let env: Vec<(&str, &str)> =
                env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            // Started side by side, then awaited: a start is mostly waiting for connections.
            fleet.start_until(*kind, &env, "").await;
        }
        for process in fleet.processes() {
            process
                .wait_until_healthy(self.ready_page, super::START_BOUND)
                .await;
        }
        fleet
    }

    fn members(mut self, kind: Kind, count: usize) -> Self {
        self.members
            .extend(std::iter::repeat_with(|| (kind, Vec::new())).take(count));
        self
    }
}
