//! Lost, frozen and blocked connections.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use shared::broker::{
    BrokerState, Consumer, Destination, PublishError, Publisher, PublisherOptions,
};
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::support::{
    SOON, VirtualHost, WITHIN, batch, deliveries, message, name_of, publish_numbers, publish_one,
    publisher,
};

const QUEUE: &str = "lunas.webhooks";

#[tokio::test]
async fn after_the_broker_closed_the_connection_both_sides_go_on() {
    let host = VirtualHost::with_topology().await;
    let options = PublisherOptions {
        name: "closed-out".to_owned(),
        ..PublisherOptions::default()
    };
    let publisher = publisher(&host.urls(), options).await;
    publish_one(&publisher, "before").await.unwrap();
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 10);
    let held = batch(&mut consumer, 1).await.remove(0);
    host.close_connection("closed-out").await;
    host.close_connection(QUEUE).await;
    recovers(&publisher, "after").await;
    let mut names = HashSet::new();
    while names.len() < 2 {
        let again = batch(&mut consumer, 10).await;
        names.extend(again.iter().map(|delivery| name_of(delivery).to_owned()));
    }
    assert!(
        !held.tag.ack().await,
        "a stale acknowledgement must not pass for a good one"
    );
    assert!(
        names.contains("before"),
        "what was not acknowledged comes again"
    );
}

#[tokio::test]
async fn a_frozen_broker_costs_one_deadline_and_then_nothing() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    let publisher = publisher(&host.urls_at(&proxy.host()), PublisherOptions::default()).await;
    publish_one(&publisher, "before").await.unwrap();
    proxy.freeze();
    let within = Duration::from_millis(1_200);
    let started = Instant::now();
    let frozen = publisher
        .publish(&Destination::Webhooks, message("frozen"), within)
        .await;
    assert!(matches!(frozen, Err(PublishError::Timeout)), "{frozen:?}");
    assert!(
        started.elapsed() < within + Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    let down = publish_one(&publisher, "down").await;
    assert!(matches!(down, Err(PublishError::Down)), "{down:?}");
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(publisher.state(), BrokerState::Down);
    proxy.recover();
    recovers(&publisher, "after").await;
}

#[tokio::test]
async fn an_alarm_is_answered_at_once_and_ends_by_itself() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    let publisher = publisher(&host.urls_at(&proxy.host()), PublisherOptions::default()).await;
    publish_one(&publisher, "before").await.unwrap();
    proxy.raise_alarm();
    let within = Duration::from_millis(1_200);
    let first = publisher
        .publish(&Destination::Webhooks, message("first"), within)
        .await;
    assert!(matches!(first, Err(PublishError::Timeout)), "{first:?}");
    let started = Instant::now();
    let blocked = publish_one(&publisher, "blocked").await;
    assert!(matches!(blocked, Err(PublishError::Blocked)), "{blocked:?}");
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(publisher.state(), BrokerState::Blocked);
    proxy.recover();
    recovers(&publisher, "after").await;
    assert_eq!(publisher.state(), BrokerState::Up);
}

#[tokio::test]
async fn a_publisher_that_starts_during_an_alarm_knows_it_before_anybody_publishes() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    proxy.raise_alarm();
    let options = PublisherOptions::default();
    let publisher = publisher(&host.urls_at(&proxy.host()), options).await;
    assert_eq!(publisher.state(), BrokerState::Blocked);
    proxy.recover();
    recovers(&publisher, "after").await;
}

#[tokio::test]
async fn a_consumer_that_lost_its_connection_gets_everything_again() {
    let host = VirtualHost::with_topology().await;
    publish_numbers(&host.publisher().await, 5).await;
    let proxy = Proxy::start(host.host()).await;
    let mut consumer = Consumer::subscribe(&host.urls_at(&proxy.host()), QUEUE, 10);
    let first = deliveries(&mut consumer, 5).await;
    proxy.cut();
    let again = deliveries(&mut consumer, 5).await;
    assert!(again.iter().all(|delivery| delivery.delivery_count == 1));
    assert!(!first[4].tag.ack_through().await);
    assert!(consumer.ack_through(&again[4].tag).await);
    consumer.close().await;
    assert_eq!(host.depth(QUEUE).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_confirmed_message_is_lost_while_connections_are_cut_again_and_again() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    let urls = host.urls_at(&proxy.host());
    let options = PublisherOptions {
        connections: 2,
        ..PublisherOptions::default()
    };
    let publisher = publisher(&urls, options).await;
    let confirmed = Arc::new(Mutex::new(Vec::new()));
    let senders: Vec<_> = (0..8)
        .map(|sender| tokio::spawn(send_on(publisher.clone(), sender, confirmed.clone())))
        .collect();
    let consuming = tokio::spawn(collect(Consumer::subscribe(&urls, QUEUE, 256)));
    for round in 1..=8 {
        let enough = timeout(SOON, async {
            while confirmed.lock().unwrap().len() < round * 60 {
                tokio::task::yield_now().await;
            }
        });
        enough.await.expect("publishing goes on after every cut");
        proxy.cut();
    }
    senders.iter().for_each(|sender| sender.abort());
    let confirmed = confirmed.lock().unwrap().clone();
    recovers(&publisher, "end").await;
    let consumed = timeout(SOON, consuming)
        .await
        .expect("the end is consumed")
        .unwrap();
    let lost: Vec<_> = confirmed
        .iter()
        .filter(|name| !consumed.contains(*name))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} lost: {lost:?}",
        lost.len(),
        confirmed.len()
    );
}

/// Publishes until it is aborted; notes what was confirmed.
async fn send_on(publisher: Publisher, sender: usize, confirmed: Arc<Mutex<Vec<String>>>) {
    for number in 0.. {
        let name = format!("{sender}-{number}");
        match publisher
            .publish(&Destination::Webhooks, message(&name), WITHIN)
            .await
        {
            Ok(()) => confirmed.lock().unwrap().push(name),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Consumes and acknowledges until the queue is empty after the message `end` was seen.
async fn collect(mut consumer: Consumer) -> HashSet<String> {
    let mut seen = HashSet::new();
    let quiet = Duration::from_millis(500);
    loop {
        let next = timeout(quiet, consumer.next_batch(64)).await;
        let Ok(next) = next else {
            if seen.contains("end") {
                return seen;
            }
            continue;
        };
        let next = next.unwrap();
        // Only what could be acknowledged counts: the rest comes again.
        if consumer.ack_through(&next[next.len() - 1].tag).await {
            seen.extend(next.iter().map(|delivery| name_of(delivery).to_owned()));
        }
    }
}

/// Publishing works again, soon and without help.
async fn recovers(publisher: &Publisher, name: &str) {
    let working = timeout(SOON, async {
        while publish_one(publisher, name).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    working
        .await
        .unwrap_or_else(|_| panic!("the publisher stays {:?}", publisher.state()));
}
