//! 200: what it means, and that it means no less.

use lapin::types::AMQPValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Notification, Reply, TestBroker, head, post, raw, started, stored_message};

fn assert_is(reply: &Reply, body: &str) {
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, body),
        "{reply:?}"
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_accepted_notification_is_in_the_queue_byte_for_byte() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let mut notification = Notification::new("LNS-1001");
    notification.extra =
        ",\"unknown\" : [1, 2.50, \"\\u00e9 é\", null],\"transaction_id\":\"a\"".into();
    let before = OffsetDateTime::now_utc();
    let body = notification.body();
    assert_is(
        &post(ingest.addr(), &body).await,
        r#"{"status":"accepted"}"#,
    );

    let message = stored_message(&broker)
        .await
        .expect("nothing is in the queue");
    assert_eq!(String::from_utf8(message.data.clone()).unwrap(), body);
    assert_eq!(message.routing_key.as_str(), "webhook.midtrans");
    assert_eq!(
        message.properties.delivery_mode(),
        &Some(2),
        "not persistent"
    );
    let headers = message.properties.headers().clone().unwrap();
    let text = |name: &str| match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(text("x-lunas-source"), "webhook");
    let received_at = OffsetDateTime::parse(&text("x-lunas-received-at"), &Rfc3339).unwrap();
    assert!(
        received_at >= before - time::Duration::SECOND,
        "{received_at}"
    );
    assert!(received_at <= OffsetDateTime::now_utc());
    let number = |name: &str| {
        headers.inner().get(name).and_then(|value| match value {
            AMQPValue::ShortShortUInt(number) => Some(u64::from(*number)),
            AMQPValue::LongUInt(number) => Some(u64::from(*number)),
            AMQPValue::LongInt(number) => u64::try_from(*number).ok(),
            AMQPValue::LongLongInt(number) => u64::try_from(*number).ok(),
            _ => None,
        })
    };
    assert_eq!(number("x-lunas-version"), Some(1));
    assert_eq!(number("x-lunas-attempt"), Some(1));
    assert!(stored_message(&broker).await.is_none(), "it is there twice");
}

#[tokio::test]
async fn the_alias_path_and_a_query_are_accepted_too() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    for path in ["/api/payments/webhook", "/webhooks/midtrans?from=dashboard"] {
        let body = Notification::new("LNS-1002").body();
        let request = format!("{}{body}", head("POST", path, body.len()));
        let reply = raw(ingest.addr(), request.as_bytes()).await.unwrap();
        assert_is(&reply, r#"{"status":"accepted"}"#);
    }
}

#[tokio::test]
async fn the_dashboards_test_notification_is_queued_and_answered_as_a_test() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let order_id = "payment_notif_test_G812785443_a2ab6307-20bd-4c8b-a0dd-1b4a3f5f2f0b";
    let reply = post(ingest.addr(), Notification::new(order_id).body()).await;
    assert_is(&reply, r#"{"status":"test"}"#);
    assert!(stored_message(&broker).await.is_some());
}

#[tokio::test]
async fn a_body_of_exactly_64_kib_is_accepted_whole_or_in_chunks() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let body = Notification::new("LNS-1003").body_of(64 * 1024);
    assert_is(
        &post(ingest.addr(), &body).await,
        r#"{"status":"accepted"}"#,
    );

    let reply = raw(
        ingest.addr(),
        &crate::rejected::chunked(body.as_bytes(), 1_000),
    )
    .await;
    assert_is(&reply.unwrap(), r#"{"status":"accepted"}"#);
    for _ in 0..2 {
        assert_eq!(stored_message(&broker).await.unwrap().data, body.as_bytes());
    }
}

#[tokio::test]
async fn what_is_signed_is_accepted_even_if_it_makes_no_sense() {
    let broker = TestBroker::with_topology().await;
    let (ingest, _stop) = started(&broker.url, &[]).await;
    let mut notification = Notification::new("LNS-1004");
    notification.extra = r#","transaction_status":"teleported","currency":"USD""#.to_owned();
    assert_eq!(post(ingest.addr(), notification.body()).await.status, 200);
}
