//! The signature does not cover `transaction_status`: whoever has one genuine body can replay it
//! with any other status. Nothing of that may stick, and nothing genuine may be refused for it.

use lunas_tests::harness::{Method, Payment, Shop};
use serde_json::{Value, json};

use crate::money_back::paid_by_gopay;

#[tokio::test]
async fn a_settlement_replayed_as_a_refund_is_refused_and_the_order_stays_paid() {
    let mut shop = Shop::open().await;
    paid_by_gopay(&shop, "LNS-1", 48_500).await;
    for forged in [
        "refund",
        "partial_refund",
        "chargeback",
        "deny",
        "cancel",
        "expire",
    ] {
        let body = settled_as(&shop, "LNS-1", forged).await;
        assert_eq!(shop.post_json(&body).await, 200);
    }
    let mut verdicts = vec![("applied", 1); 2];
    verdicts.extend([("refused", 1); 6]);
    shop.until_verdicts("LNS-1", &verdicts).await;
    let order = shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert_eq!(order["review_reasons"], json!([]));
    assert_eq!(shop.transaction_row("LNS-1").await["refunded_amount"], 0);
    let refusals = "SELECT to_jsonb(count(*)) FROM payment_sync_logs
                    WHERE session_id = $1 AND event_type = 'notification_refused'";
    assert_eq!(shop.row(refusals, "LNS-1").await, 6);
    shop.close().await;
}

#[tokio::test]
async fn a_genuine_refund_after_a_forged_one_of_the_same_words_takes_effect() {
    let mut shop = Shop::open().await;
    // Some refund notifications carry neither the list nor the amount: then nothing tells the
    // genuine one from the forged one, also not their event key.
    shop.trick(json!({"on": ["refund"], "omit": ["refunds", "refund_amount"]}))
        .await;
    paid_by_gopay(&shop, "LNS-1", 48_500).await;
    let forged = settled_as(&shop, "LNS-1", "refund").await;
    assert_eq!(shop.post_json(&forged).await, 200);
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1), ("refused", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.step("LNS-1", "refund", json!({"confirm": "never"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1), ("applied", 2)])
        .await;
    assert_eq!(
        shop.transaction_row("LNS-1").await["refunded_amount"],
        48_500
    );
    shop.close().await;
}

#[tokio::test]
async fn a_transaction_that_the_gateway_does_not_know_is_asked_for_again_and_then_refused() {
    let mut shop = Shop::open_with(|fleet| fleet.workers(1).env("CONFIRM_RETRIES", "2")).await;
    shop.order("LNS-1", 48_500).await;
    // Paid by a notification that the gateway never sent.
    let payment = Payment::new(Method::Gopay, "LNS-1", 48_500);
    assert_eq!(shop.post(&payment.settlement()).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert_eq!(shop.post(&payment.refund("rf-1")).await, 200);
    shop.until_verdicts("LNS-1", &[("applied", 1), ("refused", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    let not_found = ["outcome=\"not_found\""];
    let asked = shop
        .fleet
        .worker(0)
        .metric("lunas_gateway_requests_total", &not_found)
        .await;
    assert!((asked - 3.0).abs() < f64::EPSILON, "asked {asked} times");
    let why = "SELECT to_jsonb(processing_error) FROM payment_webhook_events
               WHERE order_id = $1 AND verdict = 'refused'";
    assert_eq!(
        shop.row(why, "LNS-1").await,
        "the status API does not know the transaction"
    );
    let gave_up = "SELECT to_jsonb(count(*)) FROM payment_sync_logs
                   WHERE session_id = $1 AND event_type = 'confirm_gave_up'";
    assert_eq!(shop.row(gave_up, "LNS-1").await, 1);
    shop.close().await;
}

#[tokio::test]
async fn under_the_strict_policy_the_first_payment_is_confirmed_too() {
    let mut shop = Shop::open_with(|fleet| fleet.workers(1).env("CONFIRM_POLICY", "always")).await;
    paid_by_gopay(&shop, "LNS-1", 48_500).await;
    assert!(shop.transaction_row("LNS-1").await["confirmed_at"].is_string());
    // Signed with the right key, but the gateway says the customer has not paid.
    shop.order_and_charge("LNS-2", 48_500, json!({"payment_type": "gopay"}))
        .await;
    shop.until_payment("LNS-2", json!({"status": "pending"}))
        .await;
    let mut stolen = settled_as(&shop, "LNS-1", "settlement").await;
    let pending = shop.transaction_row("LNS-2").await;
    let forged = Payment::new(Method::Gopay, "LNS-2", 48_500).settlement();
    let forged: Value = serde_json::from_slice(&forged.body()).unwrap();
    for (name, value) in forged.as_object().unwrap() {
        stolen[name] = value.clone();
    }
    stolen["transaction_id"] = pending["midtrans_transaction_id"].clone();
    assert_eq!(shop.post_json(&stolen).await, 200);
    shop.until_verdicts("LNS-2", &[("applied", 1), ("refused", 1)])
        .await;
    shop.until_order("LNS-2", json!({"status": "PENDING"}))
        .await;
    shop.close().await;
}

/// The genuine settlement of a session with another status: its signature is valid.
async fn settled_as(shop: &Shop, session: &str, status: &str) -> Value {
    let query = "SELECT raw_body FROM payment_webhook_events
                 WHERE order_id = $1 AND raw_body ->> 'transaction_status' = 'settlement'";
    let mut body = shop.row(query, session).await;
    body["transaction_status"] = json!(status);
    body
}
