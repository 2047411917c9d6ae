//! The settings of the scheduler; `lunas-scheduler --help` is their reference.

use clap::Parser;
use shared::config::{BrokerSettings, DatabaseSettings, HealthSettings, TelemetrySettings};

/// Leads the fleet's upkeep, one process at a time: publishes domain events from the outbox and
/// keeps the tables' partitions ahead of time.
#[derive(Debug, Clone, Parser)]
#[command(name = "lunas-scheduler", version)]
pub struct Settings {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub health: HealthSettings<9103>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetrySettings,
}
