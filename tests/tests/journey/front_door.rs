//! Single notifications, posted by the test: what exactly is committed.

use lunas_tests::harness::{Expect, Method, Payment, Shop};
use serde_json::{Value, json};

#[tokio::test]
async fn a_settlement_is_committed_with_every_column_right() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 310_000).await;
    let payment = Payment::new(Method::BniVa, "LNS-1", 310_000);
    assert_eq!(shop.post(&payment.pending()).await, 200);
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    let settled = payment
        .settlement()
        .field("expiry_time", "2026-03-15 10:20:11");
    assert_eq!(shop.post(&settled).await, 200);

    let order = shop
        .until_order(
            "LNS-1",
            json!({"status": "PAID", "session_id": "LNS-1", "review_reasons": [],
                   "resolution": null, "user_id": "user-1", "gross_amount": 310_000}),
        )
        .await;
    assert!(order["paid_at"].is_string(), "{order}");
    let row = shop.payment_row("LNS-1").await;
    has(
        &row,
        &json!({
            "status": "settlement", "payment_type": "bank_transfer", "payment_channel": "bni",
            "order_id": order["id"], "gross_amount": 310_000, "origin": "checkout",
            // 10:41:18 and 10:20:11 in Jakarta.
            "paid_at": "2026-03-14T03:41:18+00:00", "expires_at": "2026-03-15T03:20:11+00:00",
        }),
    );
    let transaction = shop.transaction_row("LNS-1").await;
    has(
        &transaction,
        &json!({
            "payment_id": row["id"], "midtrans_transaction_id": payment.transaction_id(),
            "status": "settlement", "fraud_status": "accept", "gross_amount": 310_000,
            "refunded_amount": 0, "original_amount": null, "payment_type": "bank_transfer",
            "payment_channel": "bni", "transaction_time": "2026-03-14T03:20:11+00:00",
            "settlement_time": "2026-03-14T03:41:18+00:00",
            "expiry_time": "2026-03-15T03:20:11+00:00", "confirmed_at": null,
        }),
    );
    let event = shop
        .row(
            "SELECT to_jsonb(e) FROM payment_webhook_events e
             WHERE order_id = $1 AND raw_body ->> 'transaction_status' = 'settlement'",
            "LNS-1",
        )
        .await;
    let body: Value = serde_json::from_slice(&settled.body()).unwrap();
    has(
        &event,
        &json!({
            "midtrans_transaction_id": payment.transaction_id(), "raw_body": body,
            "signature_key": body["signature_key"], "is_verified": true, "processed": true,
            "verdict": "applied", "processing_error": null, "deliveries": 1,
        }),
    );
    settlement_is_logged(&shop).await;
    shop.close().await;
}

async fn settlement_is_logged(shop: &Shop) {
    let log = shop
        .row(
            "SELECT to_jsonb(l) FROM payment_sync_logs l
             WHERE order_code = $1 AND from_status = 'pending'",
            "LNS-1",
        )
        .await;
    has(
        &log,
        &json!({"session_id": "LNS-1", "sync_type": "webhook", "event_type": "status_changed",
                "to_status": "settlement"}),
    );
}

#[tokio::test]
async fn the_test_notification_is_recorded_and_touches_no_order() {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let sent = shop
            .midtrans
            .post("/sim/test-notification", json!({}))
            .await;
        let sent = sent.unwrap().body;
        assert_eq!(
            (&sent["ok"], &sent["http_status"]),
            (&json!(true), &json!(200))
        );
        ids.push(sent["order_id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        assert_eq!(id.len(), 66, "{id}");
        // The transaction id is the same for every test: the second one is not a duplicate.
        shop.until_verdicts(id, &[("test", 1)]).await;
        assert_eq!(shop.payment_row(id).await, Value::Null);
    }
    shop.close().await;
}

#[tokio::test]
async fn ids_that_are_longer_and_stranger_than_documented_are_applied() {
    let mut shop = Shop::open().await;
    let long = format!("LNS-{}", "x".repeat(62));
    for (session, transaction_id) in [
        (long.as_str(), "A120260314032834Tq7LwZr2NcID"),
        (
            "LNS~77.A_b-9",
            "not a uuid at all, and longer than any that was ever seen",
        ),
    ] {
        shop.order(session, 1).await;
        let paid = Payment::new(Method::Gopay, session, 1).settlement();
        let paid = paid.field("transaction_id", transaction_id);
        assert_eq!(shop.post(&paid).await, 200);
        shop.until_order(session, json!({"status": "PAID"})).await;
        has(
            &shop.transaction_row(session).await,
            &json!({"midtrans_transaction_id": transaction_id, "status": "settlement"}),
        );
    }
    shop.close().await;
}

#[tokio::test]
async fn an_unknown_status_is_recorded_as_stale_and_not_acted_on() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 5_000).await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 5_000);
    for unknown in ["expired", "settled", "PAID!"] {
        assert_eq!(shop.post(&payment.status(unknown, "200")).await, 200);
    }
    shop.until_verdicts("LNS-1", &[("stale", 1), ("stale", 1), ("stale", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    assert_eq!(shop.transaction_row("LNS-1").await, Value::Null);
    // Case does not count.
    assert_eq!(shop.post(&payment.status("Settlement", "200")).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}

#[tokio::test]
async fn fields_may_be_missing_or_unknown_and_what_is_unknown_is_kept() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 5_000).await;
    let paid = Payment::new(Method::Gopay, "LNS-1", 5_000)
        .settlement()
        .without("currency")
        .without("merchant_id")
        .without("fraud_status")
        .without("settlement_time")
        .without("status_message")
        .field("a_new_field", json!({"deep": [1, {"x": null}]}))
        .field("metadata", json!({"basket": {"items": [1, 2]}}));
    assert_eq!(shop.post(&paid).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    let kept = shop
        .row(
            "SELECT raw_body FROM payment_webhook_events WHERE order_id = $1",
            "LNS-1",
        )
        .await;
    assert_eq!(kept, serde_json::from_slice::<Value>(&paid.body()).unwrap());
    shop.close().await;
}

#[tokio::test]
async fn what_is_signed_but_makes_no_sense_is_accepted_and_ends_as_a_dead_letter() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 5_000).await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 5_000);
    let strange = [
        payment.settlement().field("currency", "USD"),
        payment.settlement().field("gross_amount", "5000.50"),
    ];
    for sent in &strange {
        assert_eq!(shop.post(sent).await, 200);
    }
    shop.until_verdicts("LNS-1", &[("dead", 1), ("dead", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    shop.close_expecting(Expect::clean().dead_letters(2)).await;
}

/// Checks that a row has every expected field with the expected value.
pub(crate) fn has(row: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name} of {row}");
    }
}
