//! When something has waited for too long.

use std::time::Duration;

use clap::Args;

use super::parse_duration;

/// When something has waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[command(next_help_heading = "Monitoring")]
pub struct MonitorSettings {
    /// A payment that still waits for its customer so long after its time is stuck; 30m: the
    /// reconciler has asked several times by then
    #[arg(long, env = "PENDING_SLA", value_name = "DURATION", default_value = "30m",
          value_parser = parse_duration)]
    pub pending_sla: Duration,
}
