//! Where the processor time goes: microseconds per notification of each process that takes part.
//!
//! Unlike rates, these hardly change when something else uses the machine.

use std::path::Path;

use anyhow::Context as _;

use super::Options;
use super::process::{cpu_seconds, cpu_with_children};

/// The servers' processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Servers {
    postgres: u32,
    rabbitmq: u32,
}

/// Processor seconds used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    service: f64,
    postgres: f64,
    rabbitmq: f64,
}

/// Microseconds of processor time per notification.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Cost {
    pub(super) service_us: f64,
    pub(super) postgres_us: f64,
    pub(super) rabbitmq_us: f64,
}

impl Servers {
    /// Finds the processes by the folders of the private servers; anew after a restart.
    pub(super) fn find(options: &Options) -> anyhow::Result<Self> {
        let env = std::fs::read_to_string(options.postgres_folder.join("service.env"))?;
        let data = env.lines().find_map(|line| line.strip_prefix("DATA="));
        let pid_file =
            Path::new(data.context("no DATA in service.env")?).join("cluster/postmaster.pid");
        Ok(Self {
            postgres: first_number(&pid_file)?,
            rabbitmq: first_number(&options.rabbitmq_folder.join("pid"))?,
        })
    }

    /// What they and the given process have used; without one, nothing is counted for it.
    pub(super) fn read(&self, service: Option<u32>) -> anyhow::Result<Reading> {
        Ok(Reading {
            service: service.map(cpu_seconds).transpose()?.unwrap_or_default(),
            postgres: cpu_with_children(self.postgres)?,
            rabbitmq: cpu_seconds(self.rabbitmq)?,
        })
    }
}

impl Reading {
    /// The cost of each of so many notifications since then.
    pub(super) fn cost(&self, now: &Self, notifications: usize) -> Cost {
        let each = |before: f64, now: f64| (now - before) * 1e6 / notifications.max(1) as f64;
        Cost {
            service_us: each(self.service, now.service),
            postgres_us: each(self.postgres, now.postgres),
            rabbitmq_us: each(self.rabbitmq, now.rabbitmq),
        }
    }
}

impl Cost {
    /// The median of several, part by part.
    pub(super) fn median(costs: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| {
            super::stats::median(&costs.iter().map(part).collect::<Vec<_>>())
        };
        Self {
            service_us: of(|cost| cost.service_us),
            postgres_us: of(|cost| cost.postgres_us),
            rabbitmq_us: of(|cost| cost.rabbitmq_us),
        }
    }
}

fn first_number(file: &Path) -> anyhow::Result<u32> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    text.split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no process id in {}", file.display()))
}
