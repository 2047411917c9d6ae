//! The keeper: any message becomes a row, the same death becomes one, and nothing is acknowledged
//! that is not committed.

use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicRejectOptions};
use lunas_tests::harness::{BOUND, Method, Payment, Proxy, Stage, put_bytes_in_queue, wait_for};
use serde_json::Value;
use shared::dead_letters::keep;
use shared::store::{ConnectOptions, Store};
use sqlx::Row as _;

use super::support::{DEAD, WEBHOOKS, bury, bury_bytes, consumer, count, keep_waiting, run, take};

/// A body and its headers.
type Message<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);

#[tokio::test]
async fn a_message_of_any_shape_becomes_a_row_with_its_bytes() {
    let stage = Stage::new().await;
    let huge = vec![b'x'; 3_000_000];
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let bodies: [Message<'_>; 9] = [
        (b"", &[]),
        (b"\0\xff\xfe binary", &[]),
        (
            b"{\"order_id\":\"a\\u0000b\",\"gross_amount\":\"1.00\"}",
            &[],
        ),
        (&huge, &[]),
        (&deep, &[]),
        (
            b"null",
            &[
                ("x-lunas-version", "77"),
                ("x-lunas-attempt", "many"),
                ("x-team", "\0"),
            ],
        ),
        (
            b"[1]",
            &[
                ("x-lunas-reason", "Robert'); DROP TABLE"),
                ("x-lunas-received-at", "gestern"),
            ],
        ),
        (
            b"{\"session_id\":\"LNS-9\"}",
            &[("x-lunas-routing-key", "job.confirm")],
        ),
        (b"{\"gross_amount\":\"99999999999999999999.00\"}", &[]),
    ];
    for (body, headers) in bodies {
        stage.broker().publish(DEAD, "any.key", headers, body).await;
    }
    let kept = keep_waiting(&stage, bodies.len()).await;
    assert_eq!((kept.new, kept.refused.len()), (bodies.len(), 0));
    assert_eq!(stage.broker().depth(DEAD).await, 0);
    let rows =
        sqlx::query("SELECT payload, reason, status, routing_key FROM dead_letters ORDER BY id");
    let rows = rows.fetch_all(stage.pool()).await.unwrap();
    for (body, _) in bodies {
        assert!(
            rows.iter().any(|row| row.get::<Vec<u8>, _>(0) == body),
            "{} bytes",
            body.len()
        );
    }
    for row in &rows {
        assert_eq!(row.get::<String, _>(1), "foreign_message");
        assert_eq!(row.get::<String, _>(2), "dead");
    }
    let job = "SELECT count(*) FROM dead_letters WHERE routing_key = 'job.confirm' AND session_id = 'LNS-9'";
    assert_eq!(count(&stage, job).await, 1);
}

#[tokio::test]
async fn a_letter_of_the_worker_says_all_it_knows() {
    let stage = Stage::new().await;
    lunas_tests::harness::OrderRow::pending("LNS-2026-1", 150_000)
        .insert(stage.pool())
        .await;
    let payment = Payment::new(Method::Gopay, "LNS-2026-1-2", 150_000);
    bury(
        &stage,
        &payment.settlement(),
        "attempts_exhausted",
        "applying failed: no 77",
    )
    .await;
    keep_waiting(&stage, 1).await;
    let row = sqlx::query_as::<_, (String, String, i32, String, String, i64, String, String)>(
        "SELECT reason, error_chain, attempts, order_code, session_id, amount, queue,
                first_failed_at::text FROM dead_letters",
    );
    let row = row.fetch_one(stage.pool()).await.unwrap();
    assert_eq!(
        (row.0.as_str(), row.1.as_str(), row.2),
        ("attempts_exhausted", "applying failed: no 77", 8)
    );
    assert_eq!(
        (row.3.as_str(), row.4.as_str(), row.5),
        ("LNS-2026-1", "LNS-2026-1-2", 150_000)
    );
    assert_eq!(row.6, WEBHOOKS);
    assert!(row.7.starts_with("2026-11-14"), "{}", row.7);
}

#[tokio::test]
async fn the_same_death_delivered_again_is_one_row() {
    let stage = Stage::new().await;
    stage
        .broker()
        .publish(DEAD, "k", &[], b"without any header")
        .await;
    bury_bytes(&stage, b"{}", "undecodable_body", "e").await;
    for expected in [2, 0, 0] {
        let mut consumer = consumer(&stage);
        let taken = take(&mut consumer, 2).await;
        let kept = keep(&stage.database().store(), &taken).await.unwrap();
        assert_eq!(kept.new, expected);
        // Not acknowledged: the broker hands both out again, with a higher count.
        consumer.close().await;
    }
    assert_eq!(count(&stage, "SELECT count(*) FROM dead_letters").await, 2);
    wait_for_depth(&stage, 2).await;
}

#[tokio::test]
async fn a_message_that_the_broker_gave_up_says_so() {
    let stage = Stage::new().await;
    put_bytes_in_queue(stage.broker(), b"{\"kills\":\"workers\"}").await;
    let channel = stage
        .broker()
        .connection()
        .await
        .create_channel()
        .await
        .unwrap();
    loop {
        let got = channel
            .basic_get(WEBHOOKS.into(), BasicGetOptions::default())
            .await
            .unwrap();
        let Some(message) = got else { break };
        message
            .acker
            .reject(BasicRejectOptions { requeue: true })
            .await
            .unwrap();
    }
    wait_for_depth(&stage, 1).await;
    keep_waiting(&stage, 1).await;
    let row = sqlx::query_as::<_, (String, i32, String, String, Value)>(
        "SELECT reason, attempts, queue, routing_key, headers FROM dead_letters",
    );
    let row = row.fetch_one(stage.pool()).await.unwrap();
    assert_eq!((row.0.as_str(), row.1), ("delivery_limit", 21));
    assert_eq!(
        (row.2.as_str(), row.3.as_str()),
        (WEBHOOKS, "webhook.midtrans")
    );
    assert_eq!(row.4["x-death"][0]["reason"], "delivery_limit");
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_kept_or_lost() {
    let stage = Stage::new().await;
    bury_bytes(&stage, b"{}", "undecodable_body", "e").await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    let options = ConnectOptions {
        application_name: "lunas-tests",
        max_connections: 1,
        by_key: false,
    };
    let url = stage.database().url_by_way_of(proxy.addr());
    let store = Store::connect_lazy(&url, options).unwrap();
    proxy.refuse();
    let mut consumer = consumer(&stage);
    let taken = take(&mut consumer, 1).await;
    let error = tokio::time::timeout(Duration::from_secs(25), keep(&store, &taken)).await;
    assert!(error.unwrap().unwrap_err().is_unavailable());
    proxy.restore();
    assert_eq!(keep(&store, &taken).await.unwrap().new, 1);
    consumer.close().await;
    wait_for_depth(&stage, 1).await;
}

#[tokio::test]
async fn what_the_database_refuses_is_reduced_and_blocks_nobody() {
    let stage = Stage::new().await;
    run(
        &stage,
        "ALTER TABLE dead_letters
             ADD CONSTRAINT no_team CHECK (NOT headers ? 'x-team'),
             ADD CONSTRAINT not_this CHECK (payload <> 'never'::bytea)",
    )
    .await;
    stage.broker().publish(DEAD, "k", &[], b"good").await;
    stage
        .broker()
        .publish(DEAD, "k", &[("x-team", "a")], b"bad headers")
        .await;
    stage.broker().publish(DEAD, "k", &[], b"never").await;
    stage.broker().publish(DEAD, "k", &[], b"good too").await;
    let mut consumer = consumer(&stage);
    let taken = take(&mut consumer, 4).await;
    let kept = keep(&stage.database().store(), &taken).await.unwrap();
    assert_eq!(kept.new, 3);
    let refused: Vec<_> = kept
        .refused
        .iter()
        .map(|refused| &taken[refused.index].body[..])
        .collect();
    assert_eq!(refused, [b"never"]);
    let reduced = "SELECT count(*) FROM dead_letters
                   WHERE payload = 'bad headers' AND headers ? 'x-lunas-headers-refused'";
    assert_eq!(count(&stage, reduced).await, 1);
    consumer.close().await;
}

#[tokio::test]
async fn a_notification_that_died_has_a_verdict_and_one_that_was_applied_keeps_its_own() {
    let stage = Stage::new().await;
    let (new, known) = ("LNS-NEW", "LNS-KNOWN");
    let new = Payment::new(Method::Gopay, new, 10_000).settlement();
    let known = Payment::new(Method::Gopay, known, 10_000).settlement();
    let nul = Payment::new(Method::Gopay, "LNS-NUL", 10_000)
        .settlement()
        .field("note", "a\0b");
    for _ in 0..2 {
        for notification in [&new, &known, &nul] {
            bury(&stage, notification, "attempts_exhausted", "e").await;
        }
    }
    keep_waiting(&stage, 6).await;
    run(
        &stage,
        "UPDATE payment_webhook_events SET verdict = 'applied', processed = true
         WHERE order_id = 'LNS-KNOWN'",
    )
    .await;
    bury(&stage, &known, "constraint_violation", "another death").await;
    keep_waiting(&stage, 1).await;
    let rows = "SELECT order_id, verdict, processed, processing_error
                FROM payment_webhook_events ORDER BY order_id";
    let rows: Vec<(String, String, bool, Option<String>)> =
        sqlx::query_as(rows).fetch_all(stage.pool()).await.unwrap();
    let error = Some("attempts_exhausted".to_owned());
    let expected = [
        (
            "LNS-KNOWN".to_owned(),
            "applied".to_owned(),
            true,
            error.clone(),
        ),
        ("LNS-NEW".to_owned(), "dead".to_owned(), false, error),
    ];
    assert_eq!(rows, expected);
    // jsonb cannot hold a NUL; the letter is kept all the same.
    let kept = "SELECT count(*) FROM dead_letters WHERE session_id = 'LNS-NUL'";
    assert!(count(&stage, kept).await >= 1);
}

#[tokio::test]
async fn a_body_without_our_envelope_makes_no_notification() {
    let stage = Stage::new().await;
    let body = Payment::new(Method::Gopay, "LNS-FORGED", 10_000)
        .settlement()
        .body();
    stage
        .broker()
        .publish(DEAD, "webhook.midtrans", &[], &body)
        .await;
    keep_waiting(&stage, 1).await;
    assert_eq!(
        count(&stage, "SELECT count(*) FROM payment_webhook_events").await,
        0
    );
    assert_eq!(
        count(
            &stage,
            "SELECT count(*) FROM dead_letters WHERE amount = 10000"
        )
        .await,
        1
    );
}

/// Waits until that many letters lie on the dead-letter queue and nobody holds them: the broker
/// takes back what a consumer held a moment after it left.
async fn wait_for_depth(stage: &Stage, letters: u32) {
    wait_for("the letters on the queue", BOUND, async || {
        stage.broker().depth(DEAD).await == letters
    })
    .await;
}
