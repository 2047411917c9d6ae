//! The ground that integration tests stand on: real servers, real processes, nothing mocked.
//!
//! A test begins with a [`Stage`] (a database and a virtual host of its own), starts a [`Fleet`]
//! of real programs on it, sends [`Signed`] notifications through the front door or puts
//! [`OrderRow`]s straight into the tables, waits for facts with [`wait_for`], and ends with
//! [`Fleet::finish`], which drains, stops and audits. A [`Proxy`] breaks lines, an [`OwnService`]
//! may be killed, a [`Ledger`] remembers what was accepted. `tests/run.sh` prepares the ground.

mod stage;

pub mod fleet;

mod shop;

mod storefront;

mod method;
mod notification;
mod rows;
mod wait;

pub mod tools;

pub mod audit;
mod ledger;

mod inbox;
mod proxy;
mod service;

mod broker;
mod database;
mod ground;

pub use broker::{TakenMessage, TestBroker};
pub use database::TestDatabase;
pub use fleet::{Expect, Fleet, FleetBuilder, Kind, Process, SERVER_KEY};
pub use ground::{Ground, Port, program, root, run_folder, unique_word};
pub use inbox::{Inbox, Letter, Mail, MailServer};
pub use ledger::{Identity, Ledger};
pub use method::Method;
pub use notification::{Payment, Signed, post_bytes, put_bytes_in_queue, webhook_url, wire};
pub use proxy::{Direction, Proxy};
pub use rows::{OrderRow, insert_slot, insert_variant, order_status, payment_status, verdicts};
pub use service::OwnService;
pub use shop::Shop;
pub use stage::Stage;
pub use storefront::{
    OPERATOR_TOKEN, SHOP_TOKEN, Said, Storefront, VIEWER_TOKEN, products, tickets,
};
pub use wait::{BOUND, Sighting, try_wait_for, wait_for};

use std::future::Future;
use std::time::Duration;

/// Runs a clean-up from a `drop`, which cannot await: on a thread and runtime of its own, with a
/// bound, so that a server that is gone holds nobody up.
fn in_a_thread_of_its_own(clean_up: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Ok(runtime) = runtime {
            let bounded = async { tokio::time::timeout(Duration::from_secs(5), clean_up).await };
            // Whatever was left is swept by the next run.
            let _ = runtime.block_on(bounded);
        }
    });
    let _ = thread.join();
}
