//! The groups of settings that every process has: health, logs and traces.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

/// Where a service answers `/livez`, `/readyz` and `/metrics`. `PORT` is the service's default.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthSettings<const PORT: u16> {
    /// Listener of /livez, /readyz and /metrics
    #[arg(long, env = "HEALTH_ADDR", value_name = "ADDR",
          default_value = format!("0.0.0.0:{PORT}"))]
    pub health_addr: SocketAddr,
}

/// Logs and traces.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Telemetry")]
pub struct TelemetrySettings {
    /// Collector for traces, OTLP over HTTP (http://host:4318); no traces when unset or empty
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL",
          value_parser = collector)]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// Shape of a log line
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", value_enum,
          default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What is logged: a level, or target=level, comma separated
    #[arg(long = "rust-log", env = "RUST_LOG", value_name = "FILTER", default_value = "info",
          value_parser = log_filter)]
    pub log_filter: String,
}

impl TelemetrySettings {
    /// The collector's base URL, when traces are wanted.
    pub fn otlp_endpoint(&self) -> Option<&str> {
        self.otel_exporter_otlp_endpoint
            .as_deref()
            .filter(|url| !url.is_empty())
    }
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line, for collectors.
    Json,
    /// For people.
    Text,
}

/// An empty value is how a compose file or chart says "unset".
fn collector(text: &str) -> Result<String, &'static str> {
    let known = text.is_empty() || text.starts_with("http://") || text.starts_with("https://");
    if known {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://")
    }
}

fn log_filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    tracing_subscriber::EnvFilter::builder()
        .parse(text)
        .map(|_| text.to_owned())
}
