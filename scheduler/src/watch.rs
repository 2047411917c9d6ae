//! Measures the outbox, the database and the broker for `/metrics`, in leaders and standbys alike.
//!
//! It also is what moves a process on to the next database host when the one it uses went away.

use std::time::Duration;

use shared::broker::{BrokerState, Publisher};
use shared::store::Store;
use shared::telemetry::metrics;
use tokio_util::sync::CancellationToken;

use crate::pause::pause;

const EVERY: Duration = Duration::from_secs(5);

/// Measures until told to stop.
pub(crate) async fn run(store: Store, publisher: Publisher, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let state = publisher.state();
        metrics::broker_state(state != BrokerState::Down, state == BrokerState::Blocked);
        // What failed is told by whoever needed the database; here only that it did.
        let backlog = match store.probe().await {
            Ok(()) => store.relay_backlog().await,
            Err(failed) => Err(failed),
        };
        metrics::database_up(backlog.is_ok());
        if let Ok(backlog) = backlog {
            metrics::outbox_backlog(backlog.waiting, backlog.oldest);
        }
        pause(EVERY, &stop).await;
    }
}
