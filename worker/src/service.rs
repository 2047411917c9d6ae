//! Builds the worker from its settings, runs its lanes, drains them.

use std::time::Duration;

use anyhow::Context as _;
use shared::apply::Rules;
use shared::broker::{
    self, BrokerState, BrokerUrls, Consumer, ConsumerConnection, Publisher, PublisherOptions,
    topology,
};
use shared::config::WorkerRole;
use shared::health::{self, Finding, Health};
use shared::midtrans::Gateway;
use shared::store::schema::SchemaState;
use shared::store::{ConnectOptions, Store};
use shared::telemetry::metrics;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::batch::Applier;
use crate::dead_letters::{DeadLetters, measure_for_ever};
use crate::gate::Gate;
use crate::in_hand::InHand;
use crate::jobs::{ConfirmRetries, Jobs};
use crate::lane::{Lane, LaneOptions, Role};
use crate::pace::Hands;
use crate::runs::RunOptions;
use crate::settings::Settings;
use crate::settle::Settler;
use crate::webhooks::Webhooks;

/// Batches of notifications in hand at once, of which four are in the database (`batch`).
const WEBHOOK_LANES: usize = 6;
/// Batches of jobs under way at once; pages of runs occupy three of them at most (`runs`).
const JOB_LANES: usize = 4;
/// One connection per lane, and some for probes, the gateway's budget and replays of a batch in
/// parts.
const DATABASE_CONNECTIONS: u32 = 12;
/// Publishes to delay queues, dead letters and jobs in flight at once.
const IN_FLIGHT: u16 = 256;
/// The lanes drain within this time, which is inside the 20 s that an orchestrator grants.
const DRAIN_LIMIT: Duration = Duration::from_secs(16);
/// Pause between two looks at a database or broker that is not ready yet.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Runs the worker until `stop` is cancelled and everything in hand is settled or given back.
///
/// # Errors
/// When a setting is not usable or the health address cannot be listened on. A database or broker
/// that is away is waited for.
pub async fn run(settings: &Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let options = ConnectOptions {
        application_name: "lunas-worker",
        max_connections: DATABASE_CONNECTIONS,
        by_key: true,
    };
    let store = Store::connect_lazy(settings.database.database_url.expose(), options)
        .context("DATABASE_URL is not usable")?;
    let gateway =
        Gateway::new(&settings.gateway, store.clone()).context("the gateway is not usable")?;
    let urls = &settings.broker.amqp_url;
    let options = PublisherOptions {
        name: "lunas-worker".to_owned(),
        connections: 1,
        in_flight: IN_FLIGHT,
    };
    let publisher = Publisher::start(urls, &options);
    let connection = ConsumerConnection::start(urls, "lunas-worker");
    let health = health(&store, &publisher, &connection, &stop);
    let health = health::serve(settings.health.health_addr, health).await?;
    tracing::info!(health = %health.addr(), "worker starts");

    // Held until the connection closes under all of them at once.
    let mut consumers = Vec::new();
    if wait_for_schema(&store, &stop).await {
        declare_topology(urls, &stop).await;
        let fleet = Fleet {
            applier: Applier::new(
                store.clone(),
                Rules {
                    policy: settings.confirm.confirm_policy,
                    first_check: settings.reconcile.reconcile_after,
                },
                Gate::start(store.clone(), stop.clone()),
            ),
            settler: Settler::new(
                publisher.clone(),
                settings.worker.max_attempts,
                stop.clone(),
            ),
            gateway,
            connection: connection.clone(),
            stop: stop.clone(),
            settings: settings.clone(),
        };
        consumers = fleet.work().await;
    }
    publisher.close(Duration::from_secs(2)).await;
    connection.close().await;
    drop(consumers);
    store.close().await;
    tracing::info!("worker has stopped");
    Ok(())
}

/// What the lanes share.
struct Fleet {
    applier: Applier,
    settler: Settler,
    gateway: Gateway,
    connection: ConsumerConnection,
    stop: CancellationToken,
    settings: Settings,
}

impl Fleet {
    /// Runs the lanes of every role until they have drained; answers the consumers that still hold
    /// something.
    async fn work(&self) -> Vec<Consumer> {
        tracing::info!("worker consumes");
        let mut lanes = JoinSet::new();
        let mut measuring = JoinSet::new();
        let hands = Hands::default();
        for role in &self.settings.worker.worker_roles {
            match role {
                WorkerRole::Webhooks => {
                    let role = Webhooks::new(self.applier.clone(), self.settler.clone());
                    self.spawn(
                        &mut lanes,
                        &hands,
                        &role,
                        topology::WEBHOOKS_QUEUE,
                        WEBHOOK_LANES,
                    );
                }
                WorkerRole::Jobs => {
                    let confirm = &self.settings.confirm;
                    let retries = ConfirmRetries {
                        most: confirm.confirm_retries,
                        interval: confirm.confirm_interval,
                    };
                    let (applier, settler) = (self.applier.clone(), self.settler.clone());
                    let options = RunOptions {
                        first_check: self.settings.reconcile.reconcile_after,
                        keep: self.settings.retention,
                    };
                    let role = Jobs::new(applier, settler, self.gateway.clone(), retries, options);
                    self.spawn(&mut lanes, &hands, &role, topology::JOBS_QUEUE, JOB_LANES);
                }
                WorkerRole::DeadLetters => {
                    let role = DeadLetters::new(self.applier.clone());
                    self.spawn(&mut lanes, &hands, &role, topology::DEAD_QUEUE, 1);
                    measuring.spawn(measure_for_ever(self.applier.store().clone()));
                }
            }
        }
        self.stop.cancelled().await;
        tracing::info!("worker drains");
        let mut consumers = Vec::new();
        let drained = async {
            while let Some(lane) = lanes.join_next().await {
                consumers.extend(lane.ok().flatten());
            }
        };
        if timeout(DRAIN_LIMIT, drained).await.is_err() {
            tracing::warn!("lanes did not drain in time: what they hold goes back to the queues");
        }
        consumers
    }

    fn spawn<R: Role + Clone>(
        &self,
        lanes: &mut JoinSet<Option<Consumer>>,
        hands: &Hands,
        role: &R,
        queue: &'static str,
        count: usize,
    ) {
        let pace = hands.pace();
        for index in 0..count {
            let lane = Lane {
                role: role.clone(),
                options: LaneOptions {
                    queue,
                    batch_max: usize::from(self.settings.worker.batch_max),
                    leads: index == 0,
                },
                connection: self.connection.clone(),
                pace: pace.clone(),
                in_hand: InHand::new(self.applier.clone(), queue),
                gate: self.applier.gate().clone(),
                stop: self.stop.clone(),
            };
            lanes.spawn(lane.run());
        }
    }
}

/// Waits until the database has the schema this build needs; `false` when the worker stops first.
async fn wait_for_schema(store: &Store, stop: &CancellationToken) -> bool {
    let mut said = false;
    loop {
        match store.schema_state().await {
            Ok(SchemaState::Ready { .. }) => {
                metrics::database_up(true);
                return true;
            }
            Ok(SchemaState::Absent | SchemaState::Behind { .. }) if !said => {
                said = true;
                tracing::warn!(
                    "the database's schema is older than this build: run `lunas migrate`"
                );
            }
            Ok(_) => {}
            Err(error) => {
                metrics::database_up(false);
                tracing::warn!(error = %error, "the database is not there yet");
                // It may be a standby, or one of several hosts: the probe moves on.
                let _ = store.probe().await;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(START_PAUSE) => {}
        }
    }
}

/// Declares the topology, so that a fresh broker needs no extra step. A broker that has it
/// otherwise keeps what it has: `lunas topology check` tells what differs.
async fn declare_topology(urls: &BrokerUrls, stop: &CancellationToken) {
    loop {
        let declared = async {
            let connection = broker::connect(urls, "lunas-topology").await?;
            let declared = topology::declare(&connection).await;
            broker::hang_up(&connection).await;
            declared.map_err(anyhow::Error::from)
        };
        match declared.await {
            Ok(()) => return,
            Err(error) if error.is::<topology::TopologyError>() => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the topology cannot be declared"
                );
                return;
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "no broker yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(START_PAUSE) => {}
        }
    }
}

fn health(
    store: &Store,
    publisher: &Publisher,
    connection: &ConsumerConnection,
    stop: &CancellationToken,
) -> Health {
    let (store, publisher, connection) = (store.clone(), publisher.clone(), connection.clone());
    Health::new(stop.clone())
        .probe("database", move || {
            let store = store.clone();
            async move { database_finding(&store).await }
        })
        .probe("broker_publish", move || {
            std::future::ready(broker_finding(publisher.state()))
        })
        .probe("broker_consume", move || {
            std::future::ready(broker_finding(connection.state()))
        })
}

async fn database_finding(store: &Store) -> Finding {
    match store.schema_state().await {
        Ok(SchemaState::Ready { applied }) => Ok(format!("schema {applied}")),
        Ok(SchemaState::Behind { applied }) => Err(format!("schema {applied} is too old")),
        Ok(SchemaState::Absent) => Err("no schema".to_owned()),
        Err(_) => Err("down".to_owned()),
    }
}

fn broker_finding(state: BrokerState) -> Finding {
    let word = state.as_str().to_owned();
    match state {
        BrokerState::Up => Ok(word),
        BrokerState::Blocked | BrokerState::Down => Err(word),
    }
}
