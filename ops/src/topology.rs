//! `lunas topology`: exchanges, queues and bindings of the fleet.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use shared::broker::{Drift, topology};
use shared::config::BrokerSettings;

use crate::outcome::Outcome;
use crate::{connect, print};

/// Declare the broker's exchanges, queues and bindings, or check them
#[derive(Debug, Subcommand)]
pub(crate) enum Topology {
    /// Declare what is missing; what is there stays as it is
    Declare(Broker),
    /// Compare the broker with what this release needs; exit code 1 when it differs
    Check(Broker),
}

#[derive(Debug, Args)]
pub(crate) struct Broker {
    #[command(flatten)]
    broker: BrokerSettings,
}

/// A difference, as JSON shows it.
#[derive(Serialize)]
struct Difference {
    name: String,
    state: &'static str,
    detail: String,
}

impl Difference {
    fn of(drift: &Drift) -> Self {
        Self {
            name: drift.name().to_owned(),
            state: match drift {
                Drift::Missing { .. } => "missing",
                Drift::Different { .. } => "different",
            },
            detail: drift.to_string(),
        }
    }
}

pub(crate) async fn run(command: &Topology, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Topology::Declare(settings) => declare(settings, json).await,
        Topology::Check(settings) => check(settings, json).await,
    }
}

async fn declare(settings: &Broker, json: bool) -> anyhow::Result<Outcome> {
    let connection = connect::broker(&settings.broker).await?;
    topology::declare(&connection).await.context(
        "the topology was not declared in full; `lunas topology check` says what differs",
    )?;
    let queues = topology::queue_names();
    match json {
        true => print::json(&serde_json::json!({ "queues": queues }))?,
        false => print::line(&format!("Declared: {}", queues.join(", ")))?,
    }
    Ok(Outcome::Done)
}

async fn check(settings: &Broker, json: bool) -> anyhow::Result<Outcome> {
    let connection = connect::broker(&settings.broker).await?;
    let drifts = topology::check(&connection)
        .await
        .context("the topology was not compared")?;
    let differences: Vec<_> = drifts.iter().map(Difference::of).collect();
    if json {
        print::json(&serde_json::json!({ "differences": differences }))?;
    } else if differences.is_empty() {
        print::line("The broker has everything, as it should be")?;
    } else {
        for difference in &differences {
            print::line(&difference.detail)?;
        }
    }
    Ok(match differences.is_empty() {
        true => Outcome::Done,
        false => Outcome::Found,
    })
}
