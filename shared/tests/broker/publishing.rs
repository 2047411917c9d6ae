//! What the publisher answers, and when.

use std::time::{Duration, Instant};

use futures::future::join_all;
use lapin::options::ExchangeDeleteOptions;
use lapin::types::FieldTable;
use shared::broker::{
    BrokerUrls, Destination, PublishError, Publisher, PublisherOptions, topology,
};
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::support::{SOON, VirtualHost, WITHIN, message, publish_one, publisher};

#[tokio::test]
async fn a_confirmed_message_is_on_its_queue() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    let to = [
        (Destination::Webhooks, "lunas.webhooks"),
        (Destination::Job("alerts"), "lunas.jobs"),
        (Destination::Dead, "lunas.dead"),
        (
            Destination::Retry(shared::broker::DelayLevel::M30, "job.alerts"),
            "lunas.retry.30m",
        ),
    ];
    for (destination, queue) in to {
        publisher
            .publish(&destination, message("one"), WITHIN)
            .await
            .unwrap();
        assert_eq!(host.depth(queue).await, 1, "{queue}");
    }
}

#[tokio::test]
async fn a_message_without_a_queue_is_returned_and_the_next_one_is_not_blamed() {
    let host = VirtualHost::with_topology().await;
    let channel = host.connection().await.create_channel().await.unwrap();
    let (queue, exchange) = ("lunas.webhooks".into(), "lunas".into());
    let key = "webhook.midtrans".into();
    channel
        .queue_unbind(queue, exchange, key, FieldTable::default())
        .await
        .unwrap();
    let publisher = host.publisher().await;
    let lost = publish_one(&publisher, "lost").await;
    assert!(matches!(lost, Err(PublishError::Returned)), "{lost:?}");
    publisher
        .publish(&Destination::Job("alerts"), message("fine"), WITHIN)
        .await
        .unwrap();
}

/// The broker closes a channel with each of these refusals, and a connection has only so many.
#[tokio::test]
async fn more_refusals_than_a_connection_has_channels_are_survived() {
    let host = VirtualHost::with_topology().await;
    let connection = host.connection().await;
    let channel = connection.create_channel().await.unwrap();
    let deleted = channel.exchange_delete("lunas.events".into(), ExchangeDeleteOptions::default());
    deleted.await.unwrap();
    let publisher = host.publisher().await;
    let to = Destination::Event("order.paid");
    for _ in 0..2_100 {
        let refused = publisher.publish(&to, message("refused"), WITHIN).await;
        refused.unwrap_err();
    }
    topology::declare(&connection).await.unwrap();
    let accepted = async {
        while publisher
            .publish(&to, message("one"), WITHIN)
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, accepted).await.unwrap();
}

#[tokio::test]
async fn an_event_needs_no_listener() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    publisher
        .publish(&Destination::Event("order.paid"), message("e"), WITHIN)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_and_is_used_again_when_it_has_room() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    host.limit_length("lunas.webhooks", Some(1)).await;
    let refused = timeout(SOON, async {
        loop {
            if let Err(error) = publish_one(&publisher, "m").await {
                return error;
            }
        }
    });
    let refused = refused.await.expect("a full queue refuses");
    assert!(matches!(refused, PublishError::Nacked), "{refused:?}");
    host.limit_length("lunas.webhooks", None).await;
    let again = timeout(SOON, async {
        while publish_one(&publisher, "m").await.is_err() {}
    });
    again.await.expect("the queue accepts again");
}

#[tokio::test]
async fn a_missing_topology_fails_and_declaring_it_heals_the_same_publisher() {
    let host = VirtualHost::empty().await;
    let publisher = host.publisher().await;
    let failed = publish_one(&publisher, "early").await;
    assert!(matches!(failed, Err(PublishError::Amqp(_))), "{failed:?}");
    topology::declare(&host.connection().await).await.unwrap();
    publish_one(&publisher, "late").await.unwrap();
    assert_eq!(host.depth("lunas.webhooks").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_stored_over_several_connections() {
    let host = VirtualHost::with_topology().await;
    let options = PublisherOptions {
        connections: 3,
        in_flight: 32,
        ..PublisherOptions::default()
    };
    let publisher = publisher(&host.urls(), options).await;
    let all = (0..500).map(|_| publish_one(&publisher, "m"));
    for outcome in join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(host.depth("lunas.webhooks").await, 500);
    assert_eq!(publisher.in_flight(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing_behind() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    let options = PublisherOptions {
        in_flight: 1,
        ..PublisherOptions::default()
    };
    let publisher = publisher(&host.urls_at(&proxy.host()), options).await;
    publish_one(&publisher, "warm").await.unwrap();
    for _ in 0..20 {
        // Long enough to write the message, too short for the broker's answer to come back.
        let hurry = Duration::from_micros(300);
        let _ = timeout(hurry, publish_one(&publisher, "m")).await;
    }
    publish_one(&publisher, "last").await.unwrap();
    let idle = timeout(SOON, async {
        while publisher.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
    });
    idle.await.expect("everything was answered");
}

#[tokio::test]
async fn with_enough_under_way_it_says_busy_in_half_of_the_time() {
    let host = VirtualHost::with_topology().await;
    let proxy = Proxy::start(host.host()).await;
    let options = PublisherOptions {
        in_flight: 1,
        ..PublisherOptions::default()
    };
    let publisher = publisher(&host.urls_at(&proxy.host()), options).await;
    publish_one(&publisher, "warm").await.unwrap();
    proxy.freeze();
    let within = Duration::from_millis(400);
    let (stuck, waiting) = tokio::join!(
        publisher.publish(&Destination::Webhooks, message("stuck"), within),
        publisher.publish(&Destination::Webhooks, message("waiting"), within),
    );
    assert!(matches!(stuck, Err(PublishError::Timeout)), "{stuck:?}");
    assert!(matches!(waiting, Err(PublishError::Busy)), "{waiting:?}");
    proxy.recover();
    publish_one(&publisher, "after").await.unwrap();
}

#[tokio::test]
async fn without_a_broker_it_says_down_at_once() {
    let urls = BrokerUrls::parse("amqp://127.0.0.1:1").unwrap();
    let publisher = Publisher::start(&urls, &PublisherOptions::default());
    let started = Instant::now();
    for _ in 0..100 {
        let outcome = publish_one(&publisher, "m").await;
        assert!(matches!(outcome, Err(PublishError::Down)), "{outcome:?}");
    }
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_closed_publisher_has_answered_everybody_and_takes_nothing_more() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    let sending = (0..50).map(|_| {
        let publisher = publisher.clone();
        tokio::spawn(async move { publish_one(&publisher, "m").await })
    });
    let sending: Vec<_> = sending.collect();
    let started = timeout(SOON, async {
        while publisher.in_flight() == 0 {
            tokio::task::yield_now().await;
        }
    });
    started.await.expect("something is in flight");
    publisher.close(WITHIN).await;
    let mut stored = 0;
    for task in sending {
        stored += u32::from(task.await.unwrap().is_ok());
    }
    assert_eq!(host.depth("lunas.webhooks").await, stored);
    assert!(matches!(
        publish_one(&publisher, "late").await,
        Err(PublishError::Down)
    ));
}
