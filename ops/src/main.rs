//! `lunas`, the operators' command line: reads the command, runs it, ends with its exit code.

mod cli;

mod migrate;

mod topology;

mod doctor;

mod dlq;

mod order;

mod catalog;

mod backfill;

mod jobs;

mod sync;

mod recover;

mod payments;

mod report;

mod retention;

mod alerts;

mod confirm;
mod connect;
mod outcome;
mod print;

use std::process::ExitCode;

use shared::config::{LogFormat, TelemetrySettings};

use cli::{Cli, Command};
use outcome::Outcome;

#[tokio::main]
async fn main() -> ExitCode {
    shared::runtime::install_crypto();
    let cli: Cli = shared::config::parse();
    // What a command says goes to standard output; the log is for what goes wrong underneath.
    let telemetry = shared::telemetry::init(
        "lunas-ops",
        &TelemetrySettings {
            otel_exporter_otlp_endpoint: None,
            log_format: LogFormat::Text,
            log_filter: cli.log_filter.clone(),
        },
    );
    let ended = run(&cli).await;
    telemetry.shutdown().await;
    outcome::report(&ended)
}

async fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    match &cli.command {
        Command::Migrate(command) => migrate::run(command, cli.json).await,
        Command::Topology(command) => topology::run(command, cli.json).await,
        Command::Doctor(command) => doctor::run(command, cli.json).await,
        Command::Dlq(command) => dlq::run(command, cli.json).await,
        Command::Order(command) => order::run(command, cli.json).await,
        Command::Catalog(command) => catalog::run(command, cli.json).await,
        Command::Backfill(command) => backfill::run(command, cli.json).await,
        Command::Jobs(command) => jobs::run(command, cli.json).await,
        Command::Sync(command) => sync::run(command, cli.json).await,
        Command::Recover(command) => recover::run(command, cli.json).await,
        Command::Payments(command) => payments::run(command, cli.json).await,
        Command::Report(command) => report::run(command, cli.json).await,
        Command::Retention(command) => retention::run(command, cli.json).await,
        Command::Alerts(command) => alerts::run(command, cli.json).await,
    }
}
