//! No confirm, no 200: the broker is away, silent, or has no queue; and too many wait for it.

use std::time::Duration;

use lapin::options::QueueDeleteOptions;

use crate::support::{Notification, Proxy, Reply, TestBroker, get, post, started, started_unready};

/// Design: the whole answer within this.
const ANSWER_LIMIT: Duration = Duration::from_secs(4);

fn assert_502(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (502, "not_confirmed"),
        "{reply:?}"
    );
    assert!(reply.took < ANSWER_LIMIT, "{reply:?}");
}

/// An address that nothing listens on.
async fn unused() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn without_a_broker_ingest_lives_is_not_ready_and_answers_502() {
    let url = format!("amqp://u:p4ssw0rd@{}/x", unused().await);
    let (ingest, _stop) = started_unready(&url, &[]).await;
    assert_eq!(get(ingest.health_addr(), "/livez").await.status, 200);
    let ready = get(ingest.health_addr(), "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.body.contains(r#""name":"broker","ok":false"#),
        "{ready:?}"
    );
    assert!(!ready.body.contains("p4ssw0rd"), "{ready:?}");
    assert_502(&post(ingest.addr(), Notification::new("LNS-3001").body()).await);

    // What is wrong with a body is said all the same.
    let forged = Notification {
        key: "somebody-else",
        ..Notification::new("LNS-3001")
    };
    assert_eq!(post(ingest.addr(), forged.body()).await.status, 401);
}

#[tokio::test]
async fn a_virtual_host_without_the_topology_is_502() {
    let broker = TestBroker::bare().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    for _ in 0..3 {
        assert_502(&post(ingest.addr(), Notification::new("LNS-3002").body()).await);
    }
}

#[tokio::test]
async fn a_missing_queue_is_502_and_heals_when_it_is_declared_again() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete("lunas.webhooks".into(), options)
        .await
        .unwrap();
    assert_502(&post(ingest.addr(), Notification::new("LNS-3003").body()).await);

    shared::broker::topology::declare(&connection)
        .await
        .unwrap();
    let reply = post(ingest.addr(), Notification::new("LNS-3003").body()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_silent_broker_is_502_in_time_and_whoever_comes_meanwhile_gets_429() {
    let broker = TestBroker::with_topology().await;
    let proxy = Proxy::to(broker.authority()).await;
    let url = broker
        .url
        .replace(broker.authority(), &proxy.addr.to_string());
    let (ingest, _stop) = started(&url, &["--ingest-max-outstanding=2"]).await;
    assert_eq!(
        post(ingest.addr(), Notification::new("LNS-3004").body())
            .await
            .status,
        200
    );

    proxy.mute();
    let waiting = [(); 8].map(|()| {
        let body = Notification::new("LNS-3005").body();
        tokio::spawn(post(ingest.addr(), body))
    });
    let mut statuses = Vec::new();
    for reply in waiting {
        let reply = reply.await.unwrap();
        assert!(reply.took < ANSWER_LIMIT, "{reply:?}");
        if reply.status == 429 {
            assert_eq!(reply.code(), "overloaded");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
        statuses.push(reply.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [429, 429, 429, 429, 429, 429, 502, 502]);
}
