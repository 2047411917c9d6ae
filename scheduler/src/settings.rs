//! The settings of the scheduler; `lunas-scheduler --help` is their reference.

use clap::Parser;
use shared::config::{
    AlertChannelSettings, AlertRuleSettings, BrokerSettings, DatabaseSettings, HealthSettings,
    TelemetrySettings, parse_duration,
};
use shared::domain::jobs::{BadSchedules, Schedules};

/// Leads the fleet's upkeep, one process at a time: starts the periodic jobs, publishes domain
/// events from the outbox, keeps the tables' partitions ahead of time, and tells people what needs
/// them.
#[derive(Debug, Clone, Parser)]
#[command(name = "lunas-scheduler", version)]
pub struct Settings {
    /// When jobs run, where not as usual: job=interval, job=cron expression in WIB or job=off, comma
    /// separated, such as reconcile_status=10s,retention=0 4 * * *
    #[arg(long, env = "JOB_INTERVALS", value_name = "LIST", default_value = "",
          hide_default_value = true, value_parser = schedules)]
    pub job_intervals: Schedules,
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
    #[command(flatten)]
    #[allow(missing_docs)]
    pub alert_channels: AlertChannelSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub alert_rules: AlertRuleSettings,
}

fn schedules(text: &str) -> Result<Schedules, BadSchedules> {
    Schedules::with_overrides(text, |text| parse_duration(text).ok())
}
