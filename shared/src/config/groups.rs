//! The groups of settings that several binaries share; each binary flattens those it needs.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::{Secret, parse_duration};
use crate::broker::BrokerUrls;
use crate::domain::{ConfirmPolicy, ServerKeys};

/// Where PostgreSQL is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// PostgreSQL; several hosts are allowed: postgres://user:password@host1,host2/name
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Secret<String>,
}

/// Where RabbitMQ is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Broker")]
pub struct BrokerSettings {
    /// RabbitMQ; several URLs, comma separated, for a cluster
    #[arg(long, env = "AMQP_URL", value_name = "URLS", hide_env_values = true)]
    pub amqp_url: BrokerUrls,
}

/// The keys that sign notifications and our calls.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Midtrans")]
pub struct ServerKeySettings {
    /// Server keys, comma separated, each optionally merchant_id=key; the first signs our calls,
    /// all verify
    #[arg(
        long,
        env = "MIDTRANS_SERVER_KEY",
        value_name = "KEYS",
        hide_env_values = true
    )]
    pub midtrans_server_key: ServerKeys,
}

/// How to call Midtrans.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Midtrans")]
pub struct GatewaySettings {
    /// The keys.
    #[command(flatten)]
    pub keys: ServerKeySettings,
    /// Base of the core API
    #[arg(
        long,
        env = "MIDTRANS_API_URL",
        value_name = "URL",
        default_value = "https://api.sandbox.midtrans.com"
    )]
    pub midtrans_api_url: String,
    /// Base of the Snap API
    #[arg(
        long,
        env = "MIDTRANS_SNAP_URL",
        value_name = "URL",
        default_value = "https://app.sandbox.midtrans.com/snap/v1"
    )]
    pub midtrans_snap_url: String,
    /// Requests per second to the gateway, of the whole fleet
    #[arg(long, env = "MIDTRANS_RPS", value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub midtrans_rps: u32,
}

/// When an observation must be confirmed by the status API before it is acted on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Confirmation")]
pub struct ConfirmSettings {
    /// What is confirmed before acting
    #[arg(long, env = "CONFIRM_POLICY", value_name = "POLICY", default_value = "risky",
          value_parser = confirm_policy())]
    pub confirm_policy: ConfirmPolicy,
    /// How often a 404 of the status API is asked again
    #[arg(long, env = "CONFIRM_RETRIES", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub confirm_retries: u32,
    /// Time between two of those questions
    #[arg(long, env = "CONFIRM_INTERVAL", value_name = "DURATION", default_value = "2m",
          value_parser = parse_duration)]
    pub confirm_interval: Duration,
}

/// When payments are looked at that nobody tells about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reconciliation")]
pub struct ReconcileSettings {
    /// When the reconciler looks at a new payment first; later looks are rarer
    #[arg(long, env = "RECONCILE_AFTER", value_name = "DURATION", default_value = "5m",
          value_parser = parse_duration)]
    pub reconcile_after: Duration,
}

/// What a worker process does and how much at a time.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerSettings {
    /// Most messages in one batch, which is one database transaction
    #[arg(long, env = "BATCH_MAX", value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub batch_max: u16,
    /// Attempts of a message before it becomes a dead letter
    #[arg(long, env = "MAX_ATTEMPTS", value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub max_attempts: u32,
    /// Which queues this worker serves
    #[arg(
        long,
        env = "WORKER_ROLES",
        value_name = "ROLES",
        value_delimiter = ',',
        default_value = "webhooks,jobs,dead-letters"
    )]
    pub worker_roles: Vec<WorkerRole>,
}

/// A queue that a worker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkerRole {
    /// Applies notifications.
    Webhooks,
    /// Runs jobs.
    Jobs,
    /// Keeps dead letters in the database.
    DeadLetters,
}

fn confirm_policy() -> impl TypedValueParser<Value = ConfirmPolicy> {
    let policies = [
        ConfirmPolicy::Risky,
        ConfirmPolicy::Always,
        ConfirmPolicy::Never,
    ];
    PossibleValuesParser::new(policies.map(ConfirmPolicy::as_str))
        .try_map(|word| ConfirmPolicy::parse(&word).ok_or("is no policy"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HealthSettings, LogFormat, TelemetrySettings, try_parse_from};

    #[derive(Debug, clap::Parser)]
    struct Everything {
        #[command(flatten)]
        database: DatabaseSettings,
        #[command(flatten)]
        broker: BrokerSettings,
        #[command(flatten)]
        gateway: GatewaySettings,
        #[command(flatten)]
        confirm: ConfirmSettings,
        #[command(flatten)]
        worker: WorkerSettings,
        #[command(flatten)]
        health: HealthSettings<9102>,
        #[command(flatten)]
        telemetry: TelemetrySettings,
    }

    const NEEDED: [&str; 4] = [
        "x",
        "--database-url=postgres://u:p4ssw0rd@h/n",
        "--amqp-url=amqp://u:p4ssw0rd@h",
        "--midtrans-server-key=SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa",
    ];

    #[test]
    fn the_defaults_are_those_of_the_reference() {
        let all: Everything = try_parse_from(NEEDED).unwrap();
        assert_eq!(all.worker.batch_max, 256);
        assert_eq!(all.worker.max_attempts, 8);
        assert_eq!(
            all.worker.worker_roles,
            [
                WorkerRole::Webhooks,
                WorkerRole::Jobs,
                WorkerRole::DeadLetters
            ]
        );
        assert_eq!(all.gateway.midtrans_rps, 20);
        assert_eq!(all.confirm.confirm_policy, ConfirmPolicy::Risky);
        assert_eq!(all.confirm.confirm_retries, 5);
        assert_eq!(all.confirm.confirm_interval, Duration::from_secs(120));
        assert_eq!(all.health.health_addr.to_string(), "0.0.0.0:9102");
        assert_eq!(all.telemetry.log_format, LogFormat::Json);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let all: Everything = try_parse_from(NEEDED).unwrap();
        let shown = format!("{all:?}");
        assert!(
            !shown.contains("p4ssw0rd") && !shown.contains("SB-Mid"),
            "{shown}"
        );
        assert!(all.database.database_url.expose().contains("p4ssw0rd"));
    }

    #[test]
    fn every_bad_setting_is_named() {
        let wrong = [
            "x",
            "--batch-max=0",
            "--worker-roles=webhooks,tea",
            "--confirm-policy=maybe",
            "--health-addr=nowhere",
            "--log-format=xml",
            "--rust-log=a=b=c",
        ];
        let error = try_parse_from::<Everything, _>(wrong)
            .unwrap_err()
            .to_string();
        for name in [
            "DATABASE_URL",
            "AMQP_URL",
            "MIDTRANS_SERVER_KEY",
            "BATCH_MAX",
            "WORKER_ROLES",
            "CONFIRM_POLICY",
            "HEALTH_ADDR",
            "LOG_FORMAT",
            "RUST_LOG",
        ] {
            assert!(error.contains(name), "{name} is missing in\n{error}");
        }
    }
}
