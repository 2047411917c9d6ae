//! The settings of the worker; `lunas-worker --help` is their reference.

use clap::Parser;
use shared::config::{
    BrokerSettings, ConfirmSettings, DatabaseSettings, GatewaySettings, HealthSettings,
    ReconcileSettings, RetentionSettings, TelemetrySettings, WorkerSettings,
};

/// Applies notifications in batches, runs jobs, keeps dead letters.
#[derive(Debug, Clone, Parser)]
#[command(name = "lunas-worker", version)]
pub struct Settings {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub worker: WorkerSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub gateway: GatewaySettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub confirm: ConfirmSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reconcile: ReconcileSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub retention: RetentionSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub health: HealthSettings<9102>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetrySettings,
}
