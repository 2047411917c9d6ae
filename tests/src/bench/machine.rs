//! The machine and the versions that the figures belong to.

use std::process::Command;

use sqlx::{Connection as _, PgConnection};

use super::Options;

/// What a reader must know to compare the figures with others.
#[derive(Debug, Clone, serde::Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) cpu: String,
    pub(super) memory_gib: f64,
    pub(super) kernel: String,
    pub(super) rust: String,
    pub(super) postgresql: String,
    pub(super) rabbitmq: String,
    /// Runnable processes per minute before the benchmark began: others use the machine too.
    pub(super) load_before: String,
}

impl Machine {
    pub(super) async fn look(options: &Options) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(&options.database_url).await?;
        let postgresql: String = sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        let script = options.root.join("deploy/local/service.sh");
        let folder = options.rabbitmq_folder.to_string_lossy();
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_gib: field("/proc/meminfo", "MemTotal")
                .trim_end_matches(" kB")
                .parse::<f64>()
                .map_or(0.0, |kib| kib / 1_048_576.0),
            kernel: said(Command::new("uname").arg("-sr")),
            rust: said(Command::new("rustc").arg("--version")),
            postgresql,
            rabbitmq: said(Command::new(script).args(["rabbitmqctl", &folder, "version"])),
            load_before: std::fs::read_to_string("/proc/loadavg")
                .unwrap_or_default()
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        })
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} cores, {}, {:.0} GiB, {}",
            self.cores, self.cpu, self.memory_gib, self.kernel
        )?;
        writeln!(
            f,
            "PostgreSQL {} with default settings, RabbitMQ {} (one node), {}",
            self.postgresql, self.rabbitmq, self.rust
        )?;
        write!(f, "load average before: {}", self.load_before)
    }
}

/// The value behind the first line that begins with `name`.
fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.split_once(':')
        .map_or("", |(_, value)| value)
        .trim()
        .to_owned()
}

/// What a program prints, empty when there is no such program.
fn said(command: &mut Command) -> String {
    let output = command
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
