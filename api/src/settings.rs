//! The settings of the api; `lunas-api --help` is their reference.

use std::net::SocketAddr;

use clap::Parser;
use shared::config::{DatabaseSettings, HealthSettings, TelemetrySettings};

use crate::tokens::Tokens;

/// Answers the shop about its orders and operators about everything.
#[derive(Debug, Clone, Parser)]
#[command(name = "lunas-api", version)]
pub struct Settings {
    /// Shop listener
    #[arg(
        long,
        env = "API_ADDR",
        value_name = "ADDR",
        default_value = "0.0.0.0:8081"
    )]
    pub api_addr: SocketAddr,
    /// Operators' listener
    #[arg(
        long,
        env = "ADMIN_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8082"
    )]
    pub admin_addr: SocketAddr,
    /// Who may call: name:role:sha256-hex-of-token, comma separated; roles shop, viewer, operator
    #[arg(
        long,
        env = "API_TOKENS",
        value_name = "TOKENS",
        hide_env_values = true
    )]
    pub api_tokens: Tokens,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub health: HealthSettings<9104>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub telemetry: TelemetrySettings,
}
