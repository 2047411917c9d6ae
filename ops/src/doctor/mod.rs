//! `lunas doctor`: looks at everything, changes nothing, and says what is wrong and how to mend it.

mod finding;

mod database;

mod invariants;

mod broker;

mod keys;

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;
use shared::config::{BrokerSettings, DatabaseSettings, Secret, parse_duration};

use crate::outcome::Outcome;
use crate::print;
use finding::Findings;

/// Look for what is wrong, and say how to mend it; exit code 1 when something is
///
/// Looks at database, schema, broker, topology, keys, dead letters, and whether every order and
/// payment says what its transactions say. Changes nothing; may run beside the fleet.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    broker: BrokerSettings,
    #[command(flatten)]
    keys: Keys,
    /// A notification that waits for the status API longer than this is a finding
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_duration,
          help_heading = None)]
    unconfirmed_after: Duration,
    /// Parts not to look at, comma separated
    #[arg(long, value_name = "PARTS", value_enum, value_delimiter = ',', help_heading = None)]
    skip: Vec<Part>,
}

/// What the fleet signs and verifies with. Here they may be missing or wrong: that is a finding.
#[derive(Debug, Args)]
#[command(next_help_heading = "Midtrans")]
struct Keys {
    /// Server keys, as the services have them
    #[arg(
        long,
        env = "MIDTRANS_SERVER_KEY",
        value_name = "KEYS",
        hide_env_values = true
    )]
    midtrans_server_key: Option<Secret<String>>,
    /// Base of the core API, as the services have it
    #[arg(
        long,
        env = "MIDTRANS_API_URL",
        value_name = "URL",
        default_value = "https://api.sandbox.midtrans.com"
    )]
    midtrans_api_url: String,
}

/// A part of the fleet that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Reachable, writable, schema, partitions
    Database,
    /// Orders, payments and notifications against the rules
    Invariants,
    /// Dead letters and replays that wait for somebody
    DeadLetters,
    /// Reachable, topology, queues without a consumer
    Broker,
    /// Server keys and the API's address
    Keys,
}

pub(crate) async fn run(command: &Doctor, json: bool) -> anyhow::Result<Outcome> {
    let wanted = |part| !command.skip.contains(&part);
    let mut findings = Findings::default();
    if wanted(Part::Keys) {
        keys::look(&command.keys, &mut findings);
    }
    if wanted(Part::Broker) {
        broker::look(&command.broker, &mut findings).await;
    }
    database::look(command, wanted, &mut findings).await?;
    report(&findings, json)
}

fn report(findings: &Findings, json: bool) -> anyhow::Result<Outcome> {
    let found = findings.all();
    if json {
        print::json(&json!({ "healthy": found.is_empty(), "findings": found }))?;
    } else if found.is_empty() {
        print::line("Everything is as it should be")?;
    } else {
        for finding in found {
            print::line(&finding.to_string())?;
        }
        print::line(&format!("{} findings", found.len()))?;
    }
    Ok(if found.is_empty() {
        Outcome::Done
    } else {
        Outcome::Found
    })
}
