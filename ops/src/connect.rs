//! From settings to the store and the broker.

use std::time::Duration;

use anyhow::{Context as _, bail};
use shared::broker::{BrokerState, Publisher, PublisherOptions};
use shared::config::{BrokerSettings, DatabaseSettings};
use shared::store::{ConnectOptions, Store};

use crate::outcome::wrong_use;

/// What operators see in the database's and broker's lists of connections.
pub(crate) const NAME: &str = "lunas-ops";
/// How long a command waits for the broker before it says that it is away.
const BROKER_LIMIT: Duration = Duration::from_secs(10);

/// A store for one command.
pub(crate) fn store(settings: &DatabaseSettings) -> anyhow::Result<Store> {
    let options = ConnectOptions {
        application_name: NAME,
        max_connections: 4,
        by_key: false,
    };
    Store::connect_lazy(settings.database_url.expose(), options)
        .map_err(|error| wrong_use(format!("DATABASE_URL: {error}")))
}

/// A publisher that is connected.
pub(crate) async fn publisher(settings: &BrokerSettings) -> anyhow::Result<Publisher> {
    let options = PublisherOptions {
        name: NAME.to_owned(),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::start(&settings.amqp_url, &options);
    if !publisher.connected(BROKER_LIMIT).await {
        bail!("the broker {} does not answer", settings.amqp_url);
    }
    if publisher.state() == BrokerState::Blocked {
        bail!("the broker takes no messages: a memory or disk alarm is on");
    }
    Ok(publisher)
}

/// A connection for a moment.
pub(crate) async fn broker(
    settings: &BrokerSettings,
) -> anyhow::Result<shared::broker::Connection> {
    shared::broker::connect(&settings.amqp_url, NAME)
        .await
        .context("connecting to the broker failed")
}
