//! Declaring and comparing the topology.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use shared::broker::{DelayLevel, Drift, TopologyError, topology};
use std::time::Duration;

use crate::support::VirtualHost;

#[tokio::test]
async fn declaring_twice_changes_nothing_and_leaves_no_drift() {
    let host = VirtualHost::empty().await;
    let connection = host.connection().await;
    topology::declare(&connection).await.unwrap();
    topology::declare(&connection).await.unwrap();
    assert_eq!(topology::check(&connection).await.unwrap(), []);
}

#[tokio::test]
async fn an_empty_virtual_host_misses_everything_and_checking_creates_nothing() {
    let host = VirtualHost::empty().await;
    let connection = host.connection().await;
    let first = topology::check(&connection).await.unwrap();
    assert!(
        first
            .iter()
            .all(|drift| matches!(drift, Drift::Missing { .. })),
        "{first:?}"
    );
    let queues = topology::queue_names();
    assert_eq!(queues.len(), 9);
    for queue in &queues {
        let missing = Drift::Missing {
            kind: "queue",
            name: queue.clone(),
        };
        assert!(first.contains(&missing), "{queue} is not reported");
    }
    assert_eq!(first.len(), queues.len() + 9);
    assert_eq!(topology::check(&connection).await.unwrap(), first);
    assert_eq!(
        topology::queue_depth(&connection, "lunas.webhooks")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_queue_with_another_limit_is_found_and_cannot_be_declared_over() {
    let host = VirtualHost::empty().await;
    let connection = host.connection().await;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(5));
    for (key, value) in [
        ("x-dead-letter-exchange", "lunas.dead"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        arguments.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    let channel = connection.create_channel().await.unwrap();
    let name = "lunas.jobs".into();
    channel
        .queue_declare(name, QueueDeclareOptions::durable(), arguments)
        .await
        .unwrap();

    let drifts = topology::check(&connection).await.unwrap();
    let jobs = drifts
        .iter()
        .find(|drift| drift.name() == "lunas.jobs")
        .unwrap();
    assert!(jobs.to_string().contains("x-delivery-limit"), "{jobs}");
    let refused = topology::declare(&connection).await.unwrap_err();
    assert!(
        matches!(&refused, TopologyError::Refused { name, .. } if name == "lunas.jobs"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_exchange_of_another_type_is_found() {
    let host = VirtualHost::empty().await;
    let connection = host.connection().await;
    let channel = connection.create_channel().await.unwrap();
    let options = lapin::options::ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let kind = lapin::ExchangeKind::Direct;
    let none = FieldTable::default();
    channel
        .exchange_declare("lunas".into(), kind, options, none)
        .await
        .unwrap();
    let drifts = topology::check(&connection).await.unwrap();
    assert!(matches!(
        drifts.iter().find(|drift| drift.name() == "lunas"),
        Some(Drift::Different {
            kind: "exchange",
            ..
        })
    ));
}

#[test]
fn a_delay_is_never_shorter_than_wanted_unless_it_is_the_longest() {
    let level = |millis| topology::level_for(Duration::from_millis(millis));
    assert_eq!(level(0), DelayLevel::Ms500);
    assert_eq!(level(500), DelayLevel::Ms500);
    assert_eq!(level(501), DelayLevel::S2);
    assert_eq!(level(59_000), DelayLevel::M1);
    assert_eq!(level(86_400_000), DelayLevel::M30);
    for level in DelayLevel::ALL {
        assert_eq!(topology::level_for(level.delay()), level);
    }
}
