//! The settings of ingest; `lunas-ingest --help` is their reference.

use std::net::SocketAddr;

use clap::Parser;
use shared::config::{
    BrokerSettings, HealthSettings, NoticeSettings, ServerKeySettings, TelemetrySettings,
};

/// Verifies Midtrans notifications and publishes them, answering only after the broker's confirm.
#[derive(Debug, Clone, Parser)]
#[command(name = "lunas-ingest", version)]
pub struct Settings {
    /// Public listener
    #[arg(
        long,
        env = "INGEST_ADDR",
        value_name = "ADDR",
        default_value = "0.0.0.0:8080"
    )]
    pub ingest_addr: SocketAddr,
    /// Most open connections; more wait in the kernel's queue
    #[arg(long, env = "INGEST_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub ingest_max_connections: u32,
    /// Most notifications waiting for the broker's confirm; more are answered with 429
    #[arg(long, env = "INGEST_MAX_OUTSTANDING", value_name = "N", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub ingest_max_outstanding: u32,
    /// Most messages on their way to the broker at once; the rest wait, up to the limit above
    #[arg(long, env = "INGEST_IN_FLIGHT", value_name = "N", default_value_t = 128,
          value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub ingest_in_flight: u16,
    /// Connections to the broker
    #[arg(long, env = "INGEST_BROKER_CONNECTIONS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=16))]
    pub ingest_broker_connections: u8,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub broker: BrokerSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub keys: ServerKeySettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub notices: NoticeSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub health: HealthSettings<9101>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetrySettings,
}
