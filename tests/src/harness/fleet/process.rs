//! One program of the fleet as a real process: started with its own environment, killed at will.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::Kind;
use crate::harness::ground::{self, Port};
use crate::harness::wait::try_wait_for;

/// Lines of a log that a failed test shows.
const SHOWN_LINES: usize = 40;

/// A running program; it is killed with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    kind: Kind,
    child: Child,
    log: PathBuf,
    health: Port,
    /// Listeners of its own, in the order of [`Kind::listeners`].
    ports: Vec<Port>,
}

impl Process {
    /// Starts a program with the given environment and nothing of this process's but the basics.
    pub(super) fn start(name: &str, kind: Kind, env: &[(String, String)], logs: &Path) -> Self {
        let health = Port::take();
        let ports: Vec<Port> = kind.listeners().iter().map(|_| Port::take()).collect();
        let log = logs.join(format!("{name}.log"));
        let output = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        let output = output.expect("the log of a process can be made");
        let errors = output.try_clone().expect("the log can be shared");
        let mut command = Command::new(ground::program(kind.program()));
        command
            .env_clear()
            .env("HEALTH_ADDR", health.addr().to_string());
        for passed_on in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(passed_on) {
                command.env(passed_on, value);
            }
        }
        for (variable, port) in kind.listeners().iter().zip(&ports) {
            command.env(variable, port.addr().to_string());
        }
        command.envs(env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .expect("a program of the fleet can be started");
        ground::note_process(child.id().unwrap_or_default());
        Self {
            name: name.to_owned(),
            kind,
            child,
            log,
            health,
            ports,
        }
    }

    /// Its name in the fleet, such as `worker-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Where a listener of its own is, by the name of its variable (`INGEST_ADDR`).
    ///
    /// # Panics
    /// When the program has no such listener.
    pub fn addr(&self, variable: &str) -> SocketAddr {
        let index = self
            .kind
            .listeners()
            .iter()
            .position(|known| *known == variable);
        self.ports[index.expect("the program has this listener")].addr()
    }

    /// Waits until `/livez` or `/readyz` answers 200.
    ///
    /// # Panics
    /// When the program ends or the bound passes; shows the end of its log.
    pub async fn wait_until_healthy(&mut self, page: &str, bound: Duration) {
        let url = format!("http://{}{page}", self.health.addr());
        let outcome = try_wait_for(bound, async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "{} ended while starting: {status}\n{}",
                    self.name,
                    self.log_end()
                );
            }
            let answer = reqwest::get(&url)
                .await
                .map_err(|error| error.to_string())?;
            if answer.status() == 200 {
                return Ok(());
            }
            Err(format!(
                "{}: {}",
                answer.status(),
                answer.text().await.unwrap_or_default()
            ))
        });
        if let Err(seen) = outcome.await {
            panic!(
                "{}: {page} after {bound:?}: {seen}\n{}",
                self.name,
                self.log_end()
            );
        }
    }

    /// Where its health listener is.
    pub fn health_addr(&self) -> SocketAddr {
        self.health.addr()
    }

    /// The status and body of a page of its health listener.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn health_page(&self, page: &str) -> Result<(u16, String), reqwest::Error> {
        let answer = reqwest::get(format!("http://{}{page}", self.health.addr())).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The sum of a metric over all series that carry every given `name="value"` text.
    ///
    /// # Panics
    /// When the process does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, page) = self
            .health_page("/metrics")
            .await
            .expect("the metrics page answers");
        let series = page.lines().filter_map(|line| line.strip_prefix(name));
        let wanted = series.filter(|rest| {
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        wanted
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// When the process has ended.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a process has resident memory") * 1024
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it without a chance to react, and waits until it is gone.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill9(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Asks it to end.
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Freezes it.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Ends the freeze.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // The shell's own kill: sending a signal takes unsafe code or another dependency.
        let Some(pid) = self.child.id() else { return };
        let sent = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        sent.expect("a shell can be run");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When the bound passes; shows the end of its log.
    pub async fn wait_exit(&mut self, bound: Duration) -> ExitStatus {
        match tokio::time::timeout(bound, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!(
                "{} did not end within {bound:?}\n{}",
                self.name,
                self.log_end()
            ),
        }
    }

    /// Where its standard output and error go; the file outlives the process.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Everything it has written to standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of it, with its name above.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        format!("---- {} ({})\n{end}", self.name, self.log.display())
    }
}
