//! Starting and stopping a simulator, in-process or behind the `midtrans-sim` binary.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::client::SimClient;
use super::log::{Attempt, Traffic};
use super::trick::{Call, Trick};
use super::world::World;
use super::{control, gateway, notices, watch};

/// How a simulator is set up.
#[derive(Clone)]
pub struct SimOptions {
    /// Where it listens; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Authenticates API calls and signs notifications.
    pub server_key: String,
    /// `merchant_id` of every body.
    pub merchant_id: String,
    /// Where notifications go; without it they are logged as dropped until it is set.
    pub notify_url: Option<String>,
    /// How many times faster retry intervals and refund confirmations run.
    pub time_scale: f64,
    /// The same for time to pay, Snap pages and idempotency keys; `None` follows `time_scale`,
    /// 0 stops that clock so that nothing expires by itself.
    pub expiry_scale: Option<f64>,
    /// Seed of the random shortening of retry intervals.
    pub seed: u64,
    /// How long a receiver may take; never scaled.
    pub delivery_timeout: Duration,
    /// Nominal time until the bank confirms a refund.
    pub refund_confirm_after: Duration,
    /// Requests on the wire at once.
    pub max_in_flight: usize,
    /// Notifications waiting at once; what exceeds it is dropped and logged so.
    pub max_outstanding: u64,
    /// Transactions and Snap pages remembered.
    pub max_transactions: usize,
    /// Log lines remembered.
    pub log_capacity: usize,
}

impl Default for SimOptions {
    /// Loopback on a free port, the fact sheet's key and merchant, real clocks.
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            server_key: "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa".into(),
            merchant_id: "G812900451".into(),
            notify_url: None,
            time_scale: 1.0,
            expiry_scale: None,
            seed: 1,
            delivery_timeout: Duration::from_secs(15),
            refund_confirm_after: Duration::from_secs(30),
            max_in_flight: 64,
            max_outstanding: 200_000,
            max_transactions: 50_000,
            log_capacity: 20_000,
        }
    }
}

/// How long open requests may take when the simulator stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// A running simulator.
pub struct Simulator {
    addr: SocketAddr,
    world: Arc<World>,
    server: JoinHandle<std::io::Result<()>>,
    expiry: JoinHandle<()>,
}

impl Simulator {
    /// Binds, and serves until [`Simulator::stop`].
    pub async fn start(options: SimOptions) -> anyhow::Result<Self> {
        anyhow::ensure!(
            options.time_scale.is_finite() && options.time_scale > 0.0,
            "the time scale must be greater than zero"
        );
        anyhow::ensure!(!options.server_key.is_empty(), "the server key is empty");
        let listener = TcpListener::bind(options.addr)
            .await
            .with_context(|| format!("cannot listen on {}", options.addr))?;
        let addr = listener.local_addr()?;
        let world = Arc::new(World::new(&options, format!("http://{addr}"))?);
        let app = Router::new()
            .merge(gateway::routes())
            .merge(control::routes())
            .merge(watch::routes())
            .merge(notices::routes())
            .fallback(gateway::unknown_path)
            .with_state(Arc::clone(&world));
        let stop = world.stop.clone();
        let serve = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        let server = tokio::spawn(async move { serve.await });
        let expiry = tokio::spawn(run_expiry(Arc::clone(&world)));
        Ok(Self {
            addr,
            world,
            server,
            expiry,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base URL of Core (`MIDTRANS_API_URL`) and of the control paths.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Base URL of Snap (`MIDTRANS_SNAP_URL`).
    pub fn snap_url(&self) -> String {
        format!("http://{}/snap/v1", self.addr)
    }

    /// A client of this simulator.
    pub fn client(&self) -> anyhow::Result<SimClient> {
        SimClient::new(&self.base_url(), &self.world.merchant.server_key)
    }

    /// Sends notifications somewhere else from now on.
    pub fn set_notify_url(&self, url: &str) {
        self.world.set_notify_url(url.to_owned());
    }

    /// Arms a trick; the number disarms it.
    pub fn arm(&self, trick: Trick) -> u64 {
        self.world.tricks().arm(trick)
    }

    /// How often a call of the API came for an order or a transaction, answered or not.
    pub fn calls(&self, call: Call, id: &str) -> usize {
        self.world.calls.count(call, id)
    }

    /// All log lines, oldest first.
    pub fn log(&self) -> Vec<Attempt> {
        self.world.courier.log.select(|_| true)
    }

    /// The counters now.
    pub fn traffic(&self) -> Traffic {
        self.world.courier.log.traffic()
    }

    /// Waits until the counters satisfy `fact`; `false` when `within` is over first.
    pub async fn wait(&self, within: Duration, fact: impl FnMut(&Traffic) -> bool) -> bool {
        self.world.courier.log.wait(within, fact).await
    }

    /// Waits until no delivery is outstanding; held notifications do not count.
    pub async fn wait_idle(&self, within: Duration) -> bool {
        self.wait(within, |traffic| traffic.outstanding == 0).await
    }

    /// Stops listening, gives up what is outstanding and waits a little for open requests.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.world.stop.cancel();
        self.expiry.await.context("the expiry clock broke")?;
        // A request that a trick delays may be open for long; it is cut.
        match tokio::time::timeout(STOP_WITHIN, &mut self.server).await {
            Ok(ended) => ended.context("the server broke")??,
            Err(_) => self.server.abort(),
        }
        Ok(())
    }
}

/// Expires transactions when their time is over.
async fn run_expiry(world: Arc<World>) {
    let stop = world.stop.clone();
    let clock = async {
        loop {
            let next = world.expire_due();
            let wait = next.map(|at| at - OffsetDateTime::now_utc());
            let wait = wait.map_or(Duration::from_secs(3_600), |wait| {
                Duration::try_from(wait).unwrap_or(Duration::ZERO)
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = world.due.notified() => {}
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(clock).await;
}
