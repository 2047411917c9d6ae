//! Notices among the dead letters: they keep their kind, and a replay gives them their due.

use lunas_tests::harness::{BOUND, Expect, Shop, program, wait_for};
use serde_json::{Value, json};

use crate::{open, open_with, until_notices};

const PAYOUT: &[u8] = br#"{"reference_no":"PO8K2M71","amount":"1250000.00","status":"completed","updated_at":"2026-03-14T04:21:09Z"}"#;
const DEBIT: &[u8] = br#"{"originalReferenceNo":"t-1","originalPartnerReferenceNo":"LNS-1","latestTransactionStatus":"00","amount":{"value":"150000.00","currency":"IDR"}}"#;

/// Puts a notice into the dead-letter queue as a worker that knows no kinds does.
async fn bury(shop: &Shop, kind: &str, body: &[u8]) {
    let headers = [
        ("x-lunas-version", "2"),
        ("x-lunas-kind", kind),
        ("x-lunas-received-at", "2026-11-14T02:12:41Z"),
        ("x-lunas-source", "webhook"),
        ("x-lunas-attempt", "1"),
        ("x-lunas-reason", "unknown_version"),
        (
            "x-lunas-error",
            "the envelope has version 2, which is not known",
        ),
        ("x-lunas-queue", "lunas.webhooks"),
        ("x-lunas-routing-key", "webhook.midtrans"),
    ];
    let broker = shop.stage().broker();
    broker
        .publish("lunas.dead", "webhook.midtrans", &headers, body)
        .await;
}

async fn replay_all(shop: &Shop) {
    let output = tokio::process::Command::new(program("lunas"))
        .args([
            "dlq",
            "replay",
            "--all",
            "--why",
            "workers upgraded",
            "--yes",
            "--json",
        ])
        .env("DATABASE_URL", shop.stage().database().url())
        .env("AMQP_URL", shop.stage().broker().url())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

async fn until_kept(shop: &Shop, reason: &str, count: i64) {
    let query = "SELECT to_jsonb(count(*)) FROM dead_letters WHERE reason = $1";
    wait_for("the dead letters", BOUND, async || {
        let kept = shop.row(query, reason).await;
        if kept == json!(count) {
            Ok(())
        } else {
            Err(kept.to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn what_an_older_worker_gave_up_is_recorded_as_dead_and_applied_by_a_replay() {
    let mut shop = open().await;
    shop.order("LNS-1", 150_000).await;
    bury(&shop, "payout", PAYOUT).await;
    bury(&shop, "bi_snap_debit", DEBIT).await;
    shop.note(&serde_json::from_slice::<Value>(DEBIT).unwrap(), Some(200));
    until_kept(&shop, "unknown_version", 2).await;
    until_notices(&shop, "PO8K2M71", json!([["completed", "dead", 1]])).await;
    shop.until_verdicts("LNS-1", &[("dead", 1)]).await;
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;

    replay_all(&shop).await;
    until_notices(&shop, "PO8K2M71", json!([["completed", "applied", 2]])).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.until_verdicts("LNS-1", &[("applied", 2)]).await;
    shop.close().await;
}

#[tokio::test]
async fn a_kind_that_nobody_knows_yet_is_tried_again_and_never_lost() {
    let shop = open_with(|fleet| fleet.workers(1).env("MAX_ATTEMPTS", "2")).await;
    let headers = [
        ("x-lunas-version", "2"),
        ("x-lunas-kind", "of_tomorrow"),
        ("x-lunas-received-at", "2026-11-14T02:12:41Z"),
        ("x-lunas-source", "webhook"),
        ("x-lunas-attempt", "1"),
    ];
    let broker = shop.stage().broker();
    // In the shape of a paid order: nobody may take it for one.
    let body = br#"{"order_id":"LNS-1","transaction_id":"t","transaction_status":"settlement","status_code":"200","gross_amount":"1.00"}"#;
    broker
        .publish("lunas", "webhook.midtrans", &headers, body)
        .await;
    until_kept(&shop, "attempts_exhausted", 1).await;
    let kind = "SELECT headers -> 'x-lunas-kind' FROM dead_letters WHERE reason = $1";
    assert_eq!(shop.row(kind, "attempts_exhausted").await, "of_tomorrow");
    assert_eq!(shop.payment_row("LNS-1").await, Value::Null);
    shop.close_expecting(Expect::clean().dead_letters(1)).await;
}
