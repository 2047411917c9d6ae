//! A virtual host of the test broker, removed when the test ends.

use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::BasicGetOptions;
use shared::broker::{BrokerUrls, Connection, connect, topology};
use uuid::Uuid;

/// A virtual host of its own.
#[derive(Debug)]
pub(crate) struct TestBroker {
    pub(crate) url: String,
    vhost_api: String,
}

impl TestBroker {
    /// With exchanges and queues as the fleet declares them.
    pub(crate) async fn with_topology() -> Self {
        let broker = Self::bare().await;
        topology::declare(&broker.connect().await).await.unwrap();
        broker
    }

    /// Without any exchange or queue of ours.
    pub(crate) async fn bare() -> Self {
        let vhost = format!("ingest-{}", Uuid::new_v4());
        let vhost_api = format!("{}/api/vhosts/{vhost}", needed("LUNAS_TEST_RABBIT_API"));
        let made = reqwest::Client::new().put(&vhost_api).send().await.unwrap();
        assert!(
            made.status().is_success(),
            "the broker made no virtual host: {}",
            made.status()
        );
        let amqp = needed("LUNAS_TEST_AMQP_URL");
        let (_, rest) = amqp
            .split_once("://")
            .expect("LUNAS_TEST_AMQP_URL is no URL");
        let authority = rest.split('/').next().unwrap();
        Self {
            url: format!("amqp://{authority}/{vhost}"),
            vhost_api,
        }
    }

    /// `host:port` of the broker.
    pub(crate) fn authority(&self) -> &str {
        let (_, host) = self.url.split_once('@').unwrap();
        host.split('/').next().unwrap()
    }

    /// A connection for the test itself.
    pub(crate) async fn connect(&self) -> Connection {
        let urls: BrokerUrls = self.url.parse().unwrap();
        connect(&urls, "test").await.unwrap()
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let vhost_api = self.vhost_api.clone();
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let client = reqwest::Client::builder().timeout(Duration::from_secs(10));
                client.build().unwrap().delete(vhost_api).send().await
            })
        };
        // A virtual host that stays behind harms nobody; a panic while panicking would.
        let _ = std::thread::spawn(remove).join();
    }
}

fn needed(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} must name a RabbitMQ for tests; see tests/run.sh"))
}

/// Takes the next message of `lunas.webhooks`, if there is one.
pub(crate) async fn stored_message(broker: &TestBroker) -> Option<BasicGetMessage> {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = BasicGetOptions { no_ack: true };
    channel
        .basic_get("lunas.webhooks".into(), options)
        .await
        .unwrap()
}
