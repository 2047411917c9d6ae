//! Batches, acknowledgements, delays and deaths.

use std::time::{Duration, Instant};

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use shared::broker::{Consumer, ConsumerConnection, DelayLevel, Destination, topology};
use tokio::time::timeout;

use crate::support::{
    SOON, VirtualHost, WITHIN, batch, deliveries, message, name_of, publish_numbers, publish_one,
};

const QUEUE: &str = "lunas.webhooks";

#[tokio::test]
async fn a_batch_takes_what_is_waiting_up_to_its_limit_and_never_waits_to_fill() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 100);
    publish_one(&publisher, "alone").await.unwrap();
    let alone = batch(&mut consumer, 256).await;
    assert_eq!(alone.len(), 1);
    assert!(consumer.ack(&alone[0].tag).await);

    publish_numbers(&publisher, 60).await;
    host.depth_becomes(QUEUE, 0).await;
    let (first, second) = (
        batch(&mut consumer, 40).await,
        batch(&mut consumer, 40).await,
    );
    assert_eq!((first.len(), second.len()), (40, 20));
    let names: Vec<_> = first.iter().chain(&second).map(name_of).collect();
    let expected: Vec<_> = (0..60).map(|number| number.to_string()).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn one_acknowledgement_settles_all_before_it_and_nothing_after_it() {
    let host = VirtualHost::with_topology().await;
    publish_numbers(&host.publisher().await, 10).await;
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 100);
    let all = deliveries(&mut consumer, 10).await;
    assert!(consumer.ack_through(&all[6].tag).await);
    consumer.close().await;
    host.depth_becomes(QUEUE, 3).await;
    let mut again = Consumer::subscribe(&host.urls(), QUEUE, 100);
    let left = deliveries(&mut again, 3).await;
    assert_eq!(
        left.iter().map(name_of).collect::<Vec<_>>(),
        ["7", "8", "9"]
    );
    assert!(left.iter().all(|delivery| delivery.delivery_count == 1));
}

#[tokio::test]
async fn several_consumers_share_a_connection_and_acknowledge_apart() {
    let host = VirtualHost::with_topology().await;
    publish_numbers(&host.publisher().await, 4).await;
    let connection = ConsumerConnection::start(&host.urls(), "lanes");
    let mut left = connection.subscribe(QUEUE, 2);
    let mut right = connection.subscribe(QUEUE, 2);
    let of_left = deliveries(&mut left, 2).await;
    let of_right = deliveries(&mut right, 2).await;
    assert!(of_left[1].tag.ack_through().await);
    left.close().await;
    assert!(of_right[0].tag.is_usable());
    right.close().await;
    host.depth_becomes(QUEUE, 2).await;
}

#[tokio::test]
async fn a_consumer_waits_for_a_queue_that_is_declared_later() {
    let host = VirtualHost::empty().await;
    let urls = host.urls();
    let waiting = tokio::spawn(async move {
        let mut consumer = Consumer::subscribe(&urls, QUEUE, 10);
        batch(&mut consumer, 10).await.len()
    });
    let publisher = host.publisher().await;
    assert!(publish_one(&publisher, "early").await.is_err());
    topology::declare(&host.connection().await).await.unwrap();
    publish_one(&publisher, "late").await.unwrap();
    assert_eq!(
        timeout(SOON, waiting)
            .await
            .expect("it subscribes")
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn draining_hands_out_what_had_arrived_and_ends() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    publish_numbers(&publisher, 20).await;
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 20);
    let mut seen = batch(&mut consumer, 1).await;
    host.depth_becomes(QUEUE, 0).await;
    consumer.drain().await;
    publish_one(&publisher, "too late").await.unwrap();
    while let Some(more) = timeout(SOON, consumer.next_batch(7))
        .await
        .expect("it ends")
    {
        seen.extend(more);
    }
    assert_eq!(seen.len(), 20);
    assert!(consumer.ack_through(&seen[19].tag).await);
    consumer.close().await;
    assert_eq!(host.depth(QUEUE).await, 1);
}

#[tokio::test]
async fn a_batch_that_nobody_waits_for_any_more_is_not_lost() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 10);
    for _ in 0..50 {
        let _ = timeout(Duration::from_micros(200), consumer.next_batch(10)).await;
    }
    publish_numbers(&publisher, 5).await;
    assert_eq!(deliveries(&mut consumer, 5).await.len(), 5);
}

#[tokio::test]
async fn a_delayed_message_comes_back_as_it_was() {
    let host = VirtualHost::with_topology().await;
    let publisher = host.publisher().await;
    let mut sent = message("{\"retry\":true}");
    sent.headers = sent.headers.retried(time::OffsetDateTime::now_utc());
    sent.headers.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b71-01".to_owned());
    sent.headers.message_id = Some("m-1".to_owned());
    let started = Instant::now();
    let to = Destination::Retry(DelayLevel::Ms500, "job.reconcile_status");
    publisher.publish(&to, sent.clone(), WITHIN).await.unwrap();
    let mut jobs = Consumer::subscribe(&host.urls(), "lunas.jobs", 10);
    let back = batch(&mut jobs, 10).await.remove(0);
    assert!(
        started.elapsed() >= Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(back.routing_key, "job.reconcile_status");
    assert_eq!(back.body, sent.body);
    assert_eq!((back.headers.attempt, back.headers.version), (2, 1));
    assert_eq!(back.headers.message_id, sent.headers.message_id);
    assert_eq!(back.headers.traceparent, sent.headers.traceparent);
    assert_eq!(back.headers.first_failed_at, sent.headers.first_failed_at);
    assert_eq!(
        (back.x_death[0].reason.as_str(), back.x_death[0].count),
        ("expired", 1)
    );
    assert_eq!(back.x_death[0].queue, "lunas.retry.500ms");
    assert_eq!(back.delivery_count, 0);
}

#[tokio::test]
async fn a_message_that_always_comes_back_ends_as_a_dead_letter() {
    let host = VirtualHost::with_topology().await;
    publish_one(&host.publisher().await, "poison")
        .await
        .unwrap();
    let connection = ConsumerConnection::start(&host.urls(), "victims");
    for round in 0..=20 {
        let mut consumer = connection.subscribe(QUEUE, 1);
        assert_eq!(batch(&mut consumer, 1).await[0].delivery_count, round);
        consumer.close().await;
    }
    let mut dead = connection.subscribe("lunas.dead", 1);
    let letter = batch(&mut dead, 1).await.remove(0);
    assert_eq!(letter.dead_reason(), Some("delivery_limit"));
    assert_eq!(letter.dead_queue(), Some(QUEUE));
    assert_eq!(letter.routing_key, "webhook.midtrans");
    assert_eq!(name_of(&letter), "poison");
}

#[tokio::test]
async fn a_dead_letter_of_the_worker_says_why_it_died() {
    let host = VirtualHost::with_topology().await;
    let mut sent = message("body");
    let now = time::OffsetDateTime::now_utc();
    sent.headers = sent.headers.dead(
        "wrong_currency",
        "it is USD",
        QUEUE,
        "webhook.midtrans",
        now,
    );
    host.publisher()
        .await
        .publish(&Destination::Dead, sent, WITHIN)
        .await
        .unwrap();
    let mut dead = Consumer::subscribe(&host.urls(), "lunas.dead", 1);
    let letter = batch(&mut dead, 1).await.remove(0);
    assert_eq!(letter.dead_reason(), Some("wrong_currency"));
    assert_eq!(letter.routing_key, "webhook.midtrans");
    assert_eq!(letter.headers.to_json()["x-lunas-error"], "it is USD");
}

#[tokio::test]
async fn a_message_of_somebody_else_is_delivered_whatever_its_shape() {
    let host = VirtualHost::with_topology().await;
    let channel = host.connection().await.create_channel().await.unwrap();
    let (exchange, key) = ("lunas".into(), "webhook.midtrans".into());
    let (options, bare) = (BasicPublishOptions::default(), BasicProperties::default());
    channel
        .basic_publish(exchange, key, options, b"\xff\0", bare)
        .await
        .unwrap();
    let mut consumer = Consumer::subscribe(&host.urls(), QUEUE, 1);
    let foreign = batch(&mut consumer, 1).await.remove(0);
    assert_eq!((foreign.headers.version, foreign.headers.attempt), (0, 1));
    assert_eq!(foreign.body.as_ref(), b"\xff\0");
    host.publisher()
        .await
        .publish(&Destination::Dead, foreign.envelope(), WITHIN)
        .await
        .unwrap();
    assert_eq!(host.depth("lunas.dead").await, 1);
}
