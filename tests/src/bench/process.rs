//! The services as real processes, and what they take of the machine, from `/proc`.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

/// Clock ticks per second in `/proc/<pid>/stat`; Linux fixes it for user space.
const TICKS: f64 = 100.0;

/// A service of the fleet under measurement; killed with this value.
pub(super) struct Service {
    child: Child,
    health: SocketAddr,
}

impl Service {
    /// Starts a program and waits until it says that it is ready.
    pub(super) async fn start(
        program: &Path,
        env: &[(&str, String)],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let health = free_addr()?;
        let output = std::fs::File::create(&log)?;
        let child = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HEALTH_ADDR", health.to_string())
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut service = Self { child, health };
        let until = Instant::now() + Duration::from_secs(20);
        while service.page("readyz").await.is_err() {
            if let Some(status) = service.child.try_wait()? {
                bail!(
                    "{} ended: {status}; see {}",
                    program.display(),
                    log.display()
                );
            }
            ensure!(Instant::now() < until, "{} is not ready", program.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(service)
    }

    /// Its process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it uses.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id().context("the process has ended")?)
    }

    /// The sum of a metric over its labels.
    pub(super) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let page = self.page("metrics").await?;
        let ours = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let value = |line: &str| {
            line.rsplit(' ')
                .next()
                .and_then(|text| text.parse::<f64>().ok())
        };
        Ok(page.lines().filter(ours).filter_map(value).sum())
    }

    /// Ends it in an orderly way.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill")
                .arg("-TERM")
                .arg(pid.to_string())
                .status()
                .await?;
        }
        tokio::time::timeout(Duration::from_secs(25), self.child.wait())
            .await
            .context("the process did not end")??;
        Ok(())
    }

    async fn page(&self, name: &str) -> anyhow::Result<String> {
        let answer = reqwest::get(format!("http://{}/{name}", self.health)).await?;
        Ok(answer.error_for_status()?.text().await?)
    }
}

/// An address of this machine that nobody listens on.
pub(super) fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    at: Instant,
    cpu_s: f64,
    /// Resident now.
    pub(super) rss_mib: f64,
    /// The most that was ever resident.
    pub(super) peak_mib: f64,
}

impl Usage {
    /// Of one process.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kib / 1024.0)
        };
        Ok(Self {
            at: Instant::now(),
            cpu_s: cpu_seconds(pid)?,
            rss_mib: mib("VmRSS:").context("no VmRSS in /proc")?,
            peak_mib: mib("VmHWM:").context("no VmHWM in /proc")?,
        })
    }

    /// Cores used since an earlier look.
    pub(super) fn cores_since(&self, earlier: &Self) -> f64 {
        (self.cpu_s - earlier.cpu_s) / (self.at - earlier.at).as_secs_f64()
    }
}

/// Processor time of a process and of all its children, those that have ended included (the
/// backends of a PostgreSQL server).
pub(super) fn cpu_with_children(pid: u32) -> anyhow::Result<f64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    // One that ends right now is missed by both; it is a small part.
    let running: f64 = children.filter_map(|pid| cpu_seconds(pid).ok()).sum();
    Ok(times(pid, &[11, 12, 13, 14])? + running)
}

/// Processor time of a process, in user space and in the kernel.
pub(super) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    times(pid, &[11, 12])
}

/// The sum of fields of `/proc/<pid>/stat`, counted from the one after the name: 11 and 12 are the
/// process's own times, 13 and 14 those of children that have ended.
fn times(pid: u32, fields: &[usize]) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; what follows it does not.
    let (_, rest) = stat
        .rsplit_once(')')
        .context("no name in /proc/<pid>/stat")?;
    let values: Vec<f64> = rest
        .split_whitespace()
        .map(|text| text.parse().unwrap_or_default())
        .collect();
    let ticks: f64 = fields.iter().filter_map(|field| values.get(*field)).sum();
    Ok(ticks / TICKS)
}
