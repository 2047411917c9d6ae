//! The simulator does what Midtrans documents; each test starts its own, in-process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod delivery;
mod receiver;
mod states;
mod tricks;

use std::time::Duration;

use lunas_tests::sim::{Attempt, SimClient, SimOptions, Simulator};
use receiver::Receiver;

/// The bound of every wait; reaching it fails the test.
const BOUND: Duration = Duration::from_secs(30);

/// A simulator that notifies a receiver of its own, with fast retries and no expiry.
struct Rig {
    sim: Simulator,
    client: SimClient,
    receiver: Receiver,
}

impl Rig {
    async fn start() -> Rig {
        Rig::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut SimOptions)) -> Rig {
        let receiver = Receiver::start().await;
        let mut options = SimOptions {
            notify_url: Some(receiver.url("/status/200")),
            // Two minutes become about a millisecond, five retries about a fifth of a second.
            time_scale: 100_000.0,
            expiry_scale: Some(0.0),
            ..SimOptions::default()
        };
        adjust(&mut options);
        let sim = Simulator::start(options).await.unwrap();
        let client = sim.client().unwrap();
        Rig {
            sim,
            client,
            receiver,
        }
    }

    /// Waits until nothing is outstanding and returns the order's log.
    async fn settled_log(&self, order_id: &str) -> Vec<Attempt> {
        assert!(self.sim.wait_idle(BOUND).await, "deliveries never ended");
        let mut log = self.sim.log();
        log.retain(|line| line.order_id == order_id);
        log
    }
}
