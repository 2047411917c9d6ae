//! The fleet's HTTP API: orders for the shop, everything for operators, on two listeners.
//!
//! A request passes `listener`, the limits of `router` and the `guard` before a handler in
//! `shop` or `admin` sees it; handlers read through `reading`, and whatever fails becomes a
//! `problem` document. What can be asked is described by `openapi`; what happens is told live by
//! `events`. What orders mean is decided in `shared`, and so is all SQL.

mod listener;

mod router;

mod app;

mod guard;

mod limits;

mod cors;

mod openapi;

mod shop;

mod orders;

mod catalog;

mod tickets;

mod counter;

mod payments;

mod admin;

mod events;

mod backfill;

mod monitor;

mod alerts;

mod body;
mod code;
mod paging;
mod reading;

pub mod problem;

pub mod tokens;

mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use shared::health::{self, Health, HealthError, HealthServer};
use shared::midtrans::{Gateway, SetupError};
use shared::orders::Gates;
use shared::store::{ConnectOptions, DatabaseUrlError, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use app::{App, Rules};
use events::{Feed, Live, Streams};
use guard::Door;
use limits::Limits;
use monitor::PendingSla;

pub use cors::{Origins, OriginsError};
pub use settings::Settings;

/// Reads are short; this many at a time keep a pool of workers fed from one process.
const CONNECTIONS: u32 = 16;

/// A running api.
pub struct Api {
    shop: Listening,
    admin: Listening,
    health: HealthServer,
    store: Store,
    reading: JoinHandle<()>,
}

struct Listening {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

/// Why the api did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `DATABASE_URL` is not usable.
    #[error("DATABASE_URL cannot be used")]
    Database(#[source] DatabaseUrlError),
    /// A setting of the gateway is not usable.
    #[error("the gateway cannot be used")]
    Gateway(#[source] SetupError),
    /// An address cannot be listened on.
    #[error("cannot listen on {setting} {addr}")]
    Listen {
        /// The setting that names the address.
        setting: &'static str,
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

impl Api {
    /// Starts answering, whether the database is there or not; `stop` ends it.
    ///
    /// # Errors
    /// When the database's URL is not one, or an address cannot be listened on.
    pub async fn start(settings: &Settings, stop: CancellationToken) -> Result<Self, StartError> {
        let options = ConnectOptions {
            application_name: "lunas-api",
            max_connections: CONNECTIONS,
            by_key: true,
        };
        let store = Store::connect_lazy(settings.database.database_url.expose(), options)
            .map_err(StartError::Database)?;
        let gateway =
            Gateway::new(&settings.gateway, store.clone()).map_err(StartError::Gateway)?;
        let live = Live {
            feed: Feed::new(),
            streams: Streams::new(settings.api_streams),
            stop: stop.clone(),
        };
        let feed = live.feed.clone();
        let app = App {
            store: store.clone(),
            gateway,
            gates: Gates::default(),
            rules: Arc::new(Rules {
                order_ttl: settings.order_ttl,
                order_code_prefix: settings.order_code_prefix.clone(),
                reconcile_after: settings.reconcile.reconcile_after,
                confirm_policy: settings.confirm.confirm_policy,
                pending_sla: PendingSla(settings.monitor.pending_sla),
            }),
            live,
        };
        let tokens = settings.api_tokens.clone();
        let door = Door {
            limits: Limits::new(&tokens, settings.api_rps, settings.api_burst),
            tokens,
        };
        let shop = router::shop(app.clone(), &door, settings.api_cors_origins.as_ref());
        let shop = listen("API_ADDR", settings.api_addr, shop, &stop).await?;
        let admin = router::admin(app, &door);
        let admin = listen("ADMIN_ADDR", settings.admin_addr, admin, &stop).await?;
        let health = health::serve(settings.health.health_addr, probes(&store, stop.clone()))
            .await
            .map_err(StartError::Health)?;
        let reading = tokio::spawn(feed.run(store.clone(), stop));
        info!(shop = %shop.addr, admin = %admin.addr, health = %health.addr(), "Api listens");
        Ok(Self {
            shop,
            admin,
            health,
            store,
            reading,
        })
    }

    /// Where the shop's listener is.
    pub const fn shop_addr(&self) -> SocketAddr {
        self.shop.addr
    }

    /// Where the operators' listener is.
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin.addr
    }

    /// Where the health listener is.
    pub const fn health_addr(&self) -> SocketAddr {
        self.health.addr()
    }

    /// Returns once `stop` was cancelled and everything in hand is answered or cut off. Health is
    /// served until then.
    pub async fn finished(self) {
        // The listeners' tasks neither panic nor are aborted; if they did, nothing is in hand.
        let _ = tokio::join!(self.shop.task, self.admin.task, self.reading);
        self.store.close().await;
        info!("Api has stopped");
    }
}

async fn listen(
    setting: &'static str,
    addr: SocketAddr,
    router: Router,
    stop: &CancellationToken,
) -> Result<Listening, StartError> {
    let failed = |source| StartError::Listen {
        setting,
        addr,
        source,
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(listener::serve(listener, router, stop.clone()));
    Ok(Listening { addr, task })
}

fn probes(store: &Store, stop: CancellationToken) -> Health {
    let store = store.clone();
    Health::new(stop).probe("database", move || {
        let store = store.clone();
        async move {
            let answer = store.probe().await;
            answer
                .map(|()| "writable".to_owned())
                .map_err(|error| error.to_string())
        }
    })
}
