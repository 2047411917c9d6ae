//! The thin HTTP edge for notifications: verify, publish, answer.
//!
//! A notification follows the modules in this order: `connection` reads it, `webhook` verifies
//! it (by `route` and `kinds`) and asks the broker, `answer` says what Midtrans hears, or `bi_snap`
//! in an envelope of its own. There is no database on this path,
//! and no topology is declared: ingest may only publish, and what is unroutable gets a 502.

mod listener;

mod connection;

mod webhook;

mod route;

mod kinds;

mod body;

pub mod answer;

mod bi_snap;

mod allowance;

mod meters;
mod rejections;

mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shared::broker::{BrokerState, Publisher, PublisherOptions};
use shared::health::{self, Finding, Health, HealthError, HealthServer};
use shared::telemetry::metrics;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use kinds::Kinds;
pub use settings::Settings;
use webhook::Webhook;

/// How long the broker may take to confirm what was published by clients that went away.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// How often the metric of the broker's state is set.
const STATE_PERIOD: Duration = Duration::from_secs(1);

/// A running ingest.
pub struct Ingest {
    addr: SocketAddr,
    health: HealthServer,
    publisher: Publisher,
    listener: JoinHandle<()>,
    state_watch: AbortOnDropHandle<()>,
}

/// Why ingest did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public address cannot be listened on.
    #[error("cannot listen on INGEST_ADDR {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The health listener did not start.
    #[error("health is not served")]
    Health(#[source] HealthError),
}

impl Ingest {
    /// Starts answering, whether the broker is there or not; `stop` ends it.
    ///
    /// # Errors
    /// When one of the two addresses cannot be listened on.
    pub async fn start(settings: &Settings, stop: CancellationToken) -> Result<Self, StartError> {
        let listen_failed = |source| StartError::Listen {
            addr: settings.ingest_addr,
            source,
        };
        let listener = TcpListener::bind(settings.ingest_addr)
            .await
            .map_err(listen_failed)?;
        let addr = listener.local_addr().map_err(listen_failed)?;
        let options = PublisherOptions {
            name: "lunas-ingest".to_owned(),
            connections: settings.ingest_broker_connections,
            in_flight: settings.ingest_in_flight,
        };
        let publisher = Publisher::start(&settings.broker.amqp_url, &options);
        let probed = publisher.clone();
        let health = Health::new(stop.clone()).probe("broker", move || {
            std::future::ready(broker_finding(probed.state()))
        });
        let health = health::serve(settings.health.health_addr, health);
        let health = health.await.map_err(StartError::Health)?;
        let webhook = Arc::new(Webhook::new(
            Kinds::new(&settings.keys, &settings.notices),
            publisher.clone(),
            settings.ingest_max_outstanding,
        ));
        let state_watch = AbortOnDropHandle::new(tokio::spawn(watch_state(publisher.clone())));
        info!(%addr, health = %health.addr(), "Ingest listens");
        let listener = listener::serve(listener, webhook, settings.ingest_max_connections, stop);
        Ok(Self {
            addr,
            health,
            publisher,
            listener: tokio::spawn(listener),
            state_watch,
        })
    }

    /// Where the public listener is.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the health listener is.
    pub const fn health_addr(&self) -> SocketAddr {
        self.health.addr()
    }

    /// Returns once `stop` was cancelled and everything in hand is answered or ten seconds have
    /// passed. Health is served until then.
    pub async fn finished(self) {
        // The listener's task neither panics nor is aborted; if it did, there is nothing to drain.
        let _ = self.listener.await;
        drop(self.state_watch);
        self.publisher.close(CLOSE_LIMIT).await;
        info!("Ingest has stopped");
    }
}

/// Shows the broker's state as a metric; readiness asks for itself.
async fn watch_state(publisher: Publisher) {
    let mut ticks = tokio::time::interval(STATE_PERIOD);
    loop {
        ticks.tick().await;
        let state = publisher.state();
        metrics::broker_state(state != BrokerState::Down, state == BrokerState::Blocked);
    }
}

fn broker_finding(state: BrokerState) -> Finding {
    let word = state.as_str().to_owned();
    match state {
        BrokerState::Up => Ok(word),
        BrokerState::Blocked | BrokerState::Down => Err(word),
    }
}
