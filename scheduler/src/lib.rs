//! What one process of the fleet does for all of them: the leader's duties.
//!
//! Any number of schedulers run; `leadership` makes one of them the leader, by a lease in the
//! database, and ends its term when the lease cannot be renewed. A leader has duties: `relay`
//! publishes what waits in the outbox, `ticks` starts the periodic jobs, `upkeep` keeps partitions
//! ahead of time, `monitor` counts what needs somebody to look at it, `alerts` tells people. `watch`
//! runs in standbys too, so that a fleet without a leader is still measured; so does `outages`, which
//! speaks when database or broker is away.

mod leadership;

mod relay;
mod ticks;
mod upkeep;

mod monitor;

mod alerts;
mod courier;
mod outages;

mod watch;

mod pause;
mod settings;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shared::alerts::{BrokerNews, Channels, IngestMetrics, SetupError, Watch};
use shared::broker::{BrokerState, Publisher, PublisherOptions};
use shared::domain::jobs::Schedules;
use shared::health::{self, Finding, Health, HealthError, HealthServer};
use shared::store::{ConnectOptions, DatabaseUrlError, Store};
use tokio::sync::watch as news;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use alerts::Alerts;
use leadership::{Candidate, Term};
use outages::Outages;
pub use settings::Settings;

/// How long the broker may take to confirm what is in flight at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// One each for the relay, the ticks, the upkeep, the monitor, the renewal of the lease, the watch,
/// the probe, the outages, looking for alerts and sending them.
const CONNECTIONS: u32 = 10;

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
    /// A setting of the alerts is not usable.
    #[error("alerts cannot be sent")]
    Alerts(#[source] SetupError),
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
            by_key: true,
        };
        let store = Store::connect_lazy(settings.database.database_url.expose(), options)
            .map_err(StartError::Database)?;
        let options = PublisherOptions {
            name: "lunas-scheduler".to_owned(),
            in_flight: relay::IN_FLIGHT,
            ..PublisherOptions::default()
        };
        let publisher = Publisher::start(&settings.broker.amqp_url, &options);
        let (outages, alerts) = alerting(settings, &store, &publisher)?;
        let health = probes(&store, &publisher, stop.clone());
        let health = health::serve(settings.health.health_addr, health)
            .await
            .map_err(StartError::Health)?;
        info!(health = %health.addr(), "Scheduler stands for leadership");
        let work = Work {
            store: store.clone(),
            publisher: publisher.clone(),
            schedules: settings.job_intervals.clone(),
            sla: settings.alert_rules.monitor.pending_sla,
            alerts,
        };
        let leadership = tokio::spawn(stand(work, outages, stop));
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
async fn stand(work: Work, outages: Outages, stop: CancellationToken) {
    let (store, publisher) = (work.store.clone(), work.publisher.clone());
    let led_last = Arc::clone(&outages.led_last);
    let telling = tokio::spawn(outages.run(stop.clone()));
    let watching = tokio::spawn(watch::run(store.clone(), publisher, stop.clone()));
    let candidate = Candidate::new(store, stop, led_last);
    candidate
        .run(|term| {
            let work = work.clone();
            async move { duties(work, term).await }
        })
        .await;
    watching.abort();
    // It has a last word, within a bound of its own.
    let _ = telling.await;
}

/// What a leader works with.
#[derive(Clone)]
struct Work {
    store: Store,
    publisher: Publisher,
    schedules: Schedules,
    sla: Duration,
    alerts: Alerts,
}

/// Everything a leader does; returns soon after the term ends.
async fn duties(work: Work, term: Arc<Term>) {
    let (store, publisher) = (&work.store, &work.publisher);
    tokio::join!(
        relay::run(store.clone(), publisher.clone(), &term),
        ticks::run(store, publisher, &work.schedules, &term),
        upkeep::run(store, &term),
        monitor::run(store, work.sla, &term),
        work.alerts.run(&term),
    );
}

/// What tells people: the outages, which every process watches, and the leader's alerts.
fn alerting(
    settings: &Settings,
    store: &Store,
    publisher: &Publisher,
) -> Result<(Outages, Alerts), StartError> {
    let rules = &settings.alert_rules;
    let channels = Channels::new(&settings.alert_channels).map_err(StartError::Alerts)?;
    let pages = rules.ingest_pages();
    let ingest = match pages.is_empty() {
        true => None,
        false => Some(
            IngestMetrics::new(pages, rules.alert_signature_window)
                .map_err(|error| StartError::Alerts(SetupError::Client(error)))?,
        ),
    };
    let watch = Arc::new(Watch::new(rules.limits(), channels.routes(), ingest));
    if channels.routes().is_empty() {
        warn!("No channel for alerts is set up: they are stored and logged only");
    }
    let (told, heard) = news::channel(BrokerNews::Unknown);
    let outages = Outages {
        store: store.clone(),
        publisher: publisher.clone(),
        watch: Arc::clone(&watch),
        channels: channels.clone(),
        down_after: rules.alert_down_after,
        led_last: Arc::new(AtomicBool::new(false)),
        broker: told,
    };
    let alerts = Alerts {
        store: store.clone(),
        watch,
        channels,
        broker: heard,
    };
    Ok((outages, alerts))
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
