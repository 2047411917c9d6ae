//! What the tests share: the service, the broker, a client that can misbehave, notifications.

mod broker;
pub(crate) mod client;
mod notification;
mod proxy;

pub(crate) use broker::{TestBroker, stored_message};
pub(crate) use client::{Reply, get, head, post, raw};
pub(crate) use notification::{KEY, Notification};
pub(crate) use proxy::Proxy;

use ingest::{Ingest, Settings};
use shared::config::try_parse_from;
use tokio_util::sync::CancellationToken;

/// Starts ingest against a broker, with further flags, and waits until it says that it is ready.
pub(crate) async fn started(amqp_url: &str, flags: &[&str]) -> (Ingest, CancellationToken) {
    let (ingest, stop) = started_unready(amqp_url, flags).await;
    let ready = async {
        while get(ingest.health_addr(), "/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), ready)
        .await
        .expect("never ready");
    (ingest, stop)
}

/// Starts ingest against a broker that need not be there.
pub(crate) async fn started_unready(amqp_url: &str, flags: &[&str]) -> (Ingest, CancellationToken) {
    let mut arguments = vec![
        "ingest",
        "--ingest-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        "--amqp-url",
        amqp_url,
        "--midtrans-server-key",
        KEY,
    ];
    arguments.extend(flags);
    let settings: Settings = try_parse_from(arguments).unwrap();
    let stop = CancellationToken::new();
    let ingest = Ingest::start(&settings, stop.clone()).await.unwrap();
    (ingest, stop)
}
