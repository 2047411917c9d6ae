//! What one process of the fleet does for all of them: the leader's duties.
//!
//! Any number of schedulers run; `leadership` makes one of them the leader, by a lease in the
//! database, and ends its term when the lease cannot be renewed. A leader has duties: `relay`
//! publishes what waits in the outbox, `upkeep` keeps partitions ahead of time. `watch` runs
//! in standbys too, so that a fleet without a leader is still measured.

mod leadership;

mod relay;
mod upkeep;

mod watch;

mod pause;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use shared::broker::{BrokerState, Publisher, PublisherOptions};
use shared::health::{self, Finding, Health, HealthError, HealthServer};
use shared::store::{ConnectOptions, DatabaseUrlError, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use leadership::{Candidate, Term};
pub use settings::Settings;

/// How long the broker may take to confirm what is in flight at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// One each for the relay, the upkeep, the renewal of the lease, the watch and the probe.
const CONNECTIONS: u32 = 5;

/// A running scheduler.
pub struct Scheduler {
    health: HealthServer,
    store: Store,
    publisher: Publisher,
    leadership: JoinHandle<()>,
}

/// Why the scheduler did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `DATABASE_URL` is not usable.
    #[error("DATABASE_URL cannot be used")]
    Database(#[source] DatabaseUrlError),
    /// The health listener did not start.
    #[error("health is not served")]
    Health(#[source] HealthError),
}

impl Scheduler {
    /// Starts as a candidate, whether database and broker are there or not; `stop` ends it.
    ///
    /// # Errors
    /// When the database's URL is not one, or the health address cannot be listened on.
    pub async fn start(settings: &Settings, stop: CancellationToken) -> Result<Self, StartError> {
        let options = ConnectOptions {
            application_name: "lunas-scheduler",
            max_connections: CONNECTIONS,
            by_key: false,
        };
        let store = Store::connect_lazy(settings.database.database_url.expose(), options)
            .map_err(StartError::Database)?;
        let options = PublisherOptions {
            name: "lunas-scheduler".to_owned(),
            in_flight: relay::IN_FLIGHT,
            ..PublisherOptions::default()
        };
        let publisher = Publisher::start(&settings.broker.amqp_url, &options);
        let health = probes(&store, &publisher, stop.clone());
        let health = health::serve(settings.health.health_addr, health)
            .await
            .map_err(StartError::Health)?;
        info!(health = %health.addr(), "Scheduler stands for leadership");
        let leadership = tokio::spawn(stand(store.clone(), publisher.clone(), stop));
        Ok(Self {
            health,
            store,
            publisher,
            leadership,
        })
    }

    /// Where the health listener is.
    pub const fn health_addr(&self) -> std::net::SocketAddr {
        self.health.addr()
    }

    /// Returns once `stop` was cancelled, what was in hand is finished or given up, and the lease
    /// is given back. Health is served until then.
    pub async fn finished(self) {
        // The task catches the panics of its duties and is not aborted.
        let _ = self.leadership.await;
        self.publisher.close(CLOSE_LIMIT).await;
        self.store.close().await;
        info!("Scheduler has stopped");
    }
}

/// Leads whenever it may, until `stop`.
async fn stand(store: Store, publisher: Publisher, stop: CancellationToken) {
    let watching = tokio::spawn(watch::run(store.clone(), publisher.clone(), stop.clone()));
    let candidate = Candidate::new(store.clone(), stop);
    candidate
        .run(|term| {
            let (store, publisher) = (store.clone(), publisher.clone());
            async move { duties(store, publisher, term).await }
        })
        .await;
    watching.abort();
}

/// Everything a leader does; returns soon after the term ends.
async fn duties(store: Store, publisher: Publisher, term: Arc<Term>) {
    tokio::join!(
        relay::run(store.clone(), publisher, &term),
        upkeep::run(&store, &term),
    );
}

fn probes(store: &Store, publisher: &Publisher, stop: CancellationToken) -> Health {
    let (store, publisher) = (store.clone(), publisher.clone());
    Health::new(stop)
        .probe("database", move || {
            let store = store.clone();
            async move {
                let answer = store.probe().await;
                answer
                    .map(|()| "writable".to_owned())
                    .map_err(|error| error.to_string())
            }
        })
        .probe("broker", move || {
            std::future::ready(broker_finding(publisher.state()))
        })
}

fn broker_finding(state: BrokerState) -> Finding {
    let word = state.as_str().to_owned();
    match state {
        BrokerState::Up => Ok(word),
        BrokerState::Blocked | BrokerState::Down => Err(word),
    }
}
