//! `midtrans-sim`: the simulator of Midtrans as a process of its own.
//!
//! Everything it can do is described in `lunas_tests::sim`; here are only its settings.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use lunas_tests::sim::{SimOptions, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// A simulated Midtrans: gateway paths under /v2 and /snap/v1, control paths under /sim.
#[derive(Parser)]
#[command(name = "midtrans-sim", version)]
struct Settings {
    /// Where to listen; port 0 takes a free port, which is printed.
    #[arg(long, env = "SIM_ADDR", default_value = "127.0.0.1:9000")]
    addr: SocketAddr,
    /// Server key: authenticates API calls and signs notifications.
    #[arg(long, env = "SIM_SERVER_KEY", hide_env_values = true)]
    server_key: String,
    /// Merchant id of every body.
    #[arg(long, env = "SIM_MERCHANT_ID", default_value = "G812900451")]
    merchant_id: String,
    /// Where notifications are sent; can be set later by POST /sim/notify-url.
    #[arg(long, env = "SIM_NOTIFY_URL")]
    notify_url: Option<String>,
    /// How many times faster every clock runs.
    #[arg(long, env = "SIM_TIME_SCALE", default_value_t = 1.0)]
    time_scale: f64,
    /// The same for expiry and idempotency keys only; 0 stops them. Default: as --time-scale.
    #[arg(long, env = "SIM_EXPIRY_SCALE")]
    expiry_scale: Option<f64>,
    /// Seed of the random shortening of retry intervals.
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// Seconds a receiver may take to answer.
    #[arg(long, env = "SIM_DELIVERY_TIMEOUT", default_value_t = 15)]
    delivery_timeout: u64,
    /// Requests to the receiver at once.
    #[arg(long, env = "SIM_MAX_IN_FLIGHT", default_value_t = 64)]
    max_in_flight: usize,
    /// Transactions remembered; the oldest are forgotten.
    #[arg(long, env = "SIM_MAX_TRANSACTIONS", default_value_t = 50_000)]
    max_transactions: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let simulator = Simulator::start(SimOptions {
        addr: settings.addr,
        server_key: settings.server_key,
        merchant_id: settings.merchant_id,
        notify_url: settings.notify_url,
        time_scale: settings.time_scale,
        expiry_scale: settings.expiry_scale,
        seed: settings.seed,
        delivery_timeout: Duration::from_secs(settings.delivery_timeout),
        max_in_flight: settings.max_in_flight,
        max_transactions: settings.max_transactions,
        ..SimOptions::default()
    })
    .await?;
    let mut out = std::io::stdout();
    writeln!(out, "midtrans-sim listening on {}", simulator.base_url())?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot watch for SIGINT")?,
    }
    simulator.stop().await
}
