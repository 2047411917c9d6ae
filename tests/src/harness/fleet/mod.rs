//! The fleet as real processes on random ports, against the database and the virtual host of a
//! [`Stage`].

mod builder;
mod finish;
mod process;

use std::path::PathBuf;
use std::time::Duration;

pub use builder::FleetBuilder;
pub use finish::Expect;
pub use process::Process;

use super::Stage;

/// The server key of every test: made up, in the form of a sandbox key.
pub const SERVER_KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

/// How long a process may take to be ready: machines that run tests are busy.
const START_BOUND: Duration = Duration::from_secs(30);
/// How long a process may take to end, and a little for the machine (design section 5: 20 s).
const END_BOUND: Duration = Duration::from_secs(22);

/// The programs of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Takes notifications in.
    Ingest,
    /// Applies them, runs jobs, keeps dead letters.
    Worker,
    /// Enqueues periodic jobs.
    Scheduler,
    /// Serves shop and operators.
    Api,
}

impl Kind {
    /// The file name of the program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Ingest => "lunas-ingest",
            Self::Worker => "lunas-worker",
            Self::Scheduler => "lunas-scheduler",
            Self::Api => "lunas-api",
        }
    }

    /// The variables that name its listeners, apart from the health listener.
    pub const fn listeners(self) -> &'static [&'static str] {
        match self {
            Self::Ingest => &["INGEST_ADDR"],
            Self::Worker | Self::Scheduler => &[],
            Self::Api => &["API_ADDR", "ADMIN_ADDR"],
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
            Self::Api => "api",
        }
    }
}

/// Running processes; they are killed with this value, and a test that fails shows their logs.
#[derive(Debug)]
pub struct Fleet {
    stage: Stage,
    env: Vec<(Option<Kind>, String, String)>,
    logs: PathBuf,
    processes: Vec<Process>,
    started: u32,
}

impl Fleet {
    /// Describes a fleet on this stage.
    pub fn builder(stage: &Stage) -> FleetBuilder {
        FleetBuilder::on(stage.clone())
    }

    /// The stage it stands on.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Every process that was started, also those that have ended.
    pub fn processes(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    /// The `index`-th ingest, from 0 in the order of their start.
    pub fn ingest(&mut self, index: usize) -> &mut Process {
        self.nth(Kind::Ingest, index)
    }

    /// The `index`-th worker.
    pub fn worker(&mut self, index: usize) -> &mut Process {
        self.nth(Kind::Worker, index)
    }

    /// The `index`-th scheduler.
    pub fn scheduler(&mut self, index: usize) -> &mut Process {
        self.nth(Kind::Scheduler, index)
    }

    /// The `index`-th api.
    pub fn api(&mut self, index: usize) -> &mut Process {
        self.nth(Kind::Api, index)
    }

    /// Where the newest ingest that runs takes notifications.
    ///
    /// # Panics
    /// When there is none.
    pub fn webhook_url(&mut self) -> String {
        let ingests = self
            .processes
            .iter_mut()
            .rev()
            .filter(|p| p.kind() == Kind::Ingest);
        let running = ingests
            .filter_map(|p| p.is_running().then(|| p.addr("INGEST_ADDR")))
            .next();
        let addr = running.expect("an ingest runs");
        format!("http://{addr}/webhooks/midtrans")
    }

    /// Starts one more process with the fleet's environment, changed by `env`; returns when it is
    /// ready. For restarts after a kill, and for late comers.
    pub async fn start(&mut self, kind: Kind, env: &[(&str, &str)]) -> &mut Process {
        self.start_until(kind, env, "/readyz").await
    }

    /// The same, returning when `page` of its health listener answers 200.
    ///
    /// # Panics
    /// When it does not become healthy.
    pub async fn start_until(
        &mut self,
        kind: Kind,
        env: &[(&str, &str)],
        page: &str,
    ) -> &mut Process {
        let of_kind = self
            .env
            .iter()
            .filter(|(only, _, _)| only.is_none_or(|only| only == kind));
        let mut all: Vec<(String, String)> = of_kind
            .map(|(_, name, value)| (name.clone(), value.clone()))
            .collect();
        all.extend(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        self.started += 1;
        let name = format!("{}-{}", kind.word(), self.started);
        self.processes
            .push(Process::start(&name, kind, &all, &self.logs));
        let process = self.processes.last_mut().expect("a process was pushed");
        if !page.is_empty() {
            process.wait_until_healthy(page, START_BOUND).await;
        }
        process
    }

    fn nth(&mut self, kind: Kind, index: usize) -> &mut Process {
        let of_kind = self
            .processes
            .iter_mut()
            .filter(|process| process.kind() == kind);
        let found = of_kind.into_iter().nth(index);
        found.unwrap_or_else(|| panic!("there is no {kind:?} number {index}"))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in &self.processes {
                eprintln!("{}", process.log_end());
            }
        }
    }
}
