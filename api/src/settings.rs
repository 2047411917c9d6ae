//! The settings of the api; `lunas-api --help` is their reference.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Parser;
use shared::config::{
    ConfirmSettings, DatabaseSettings, GatewaySettings, HealthSettings, MonitorSettings,
    ReconcileSettings, TelemetrySettings, parse_duration,
};

use crate::cors::Origins;
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
    /// Requests per second that one token may make, of each process
    #[arg(long, env = "API_RPS", value_name = "COUNT", default_value = "1000")]
    pub api_rps: NonZeroU32,
    /// Requests that one token may make at once
    #[arg(long, env = "API_BURST", value_name = "COUNT", default_value = "2000")]
    pub api_burst: NonZeroU32,
    /// Live streams that one token may have open at a time
    #[arg(long, env = "API_STREAMS", value_name = "COUNT", default_value_t = 256)]
    pub api_streams: usize,
    /// Origins of web pages that may ask the shop listener, comma separated; none unless set
    #[arg(long, env = "API_CORS_ORIGINS", value_name = "ORIGINS")]
    pub api_cors_origins: Option<Origins>,
    /// How long an order may stay unpaid
    #[arg(long, env = "ORDER_TTL", value_name = "DURATION", default_value = "24h",
          value_parser = parse_duration)]
    pub order_ttl: Duration,
    /// Order codes begin with it: capital letters and digits
    #[arg(long, env = "ORDER_CODE_PREFIX", value_name = "TEXT", default_value = "LNS",
          value_parser = order_code_prefix)]
    pub order_code_prefix: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reconcile: ReconcileSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub monitor: MonitorSettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub gateway: GatewaySettings,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub confirm: ConfirmSettings,
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

/// Codes are session ids too, of which Midtrans takes 50 characters.
fn order_code_prefix(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    if (1..=10).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("is not 1 to 10 capital letters and digits")
    }
}
