//! Subscriptions: nothing signs them, so nothing happens before the status API has vouched.

use lunas_tests::harness::{Expect, Method, Payment};
use serde_json::{Value, json};

use crate::{open, open_with, recorded, send, status, until_notices};

const ID: &str = "5e9a1c77-30b4-4d2e-8c61-f2079b6ad815";

fn charge(transaction_id: &str, word: &str) -> Value {
    json!({"transaction": {"transaction_id": transaction_id, "transaction_status": word,
                           "status_code": "200"}})
}

#[tokio::test]
async fn a_charge_that_the_status_api_vouches_for_is_applied() {
    let mut shop = open().await;
    // The charge happened, and its ordinary notification was lost.
    shop.trick(json!({"order_id": "LNS-1", "drop": true})).await;
    let card = json!({"payment_type": "credit_card",
                      "credit_card": {"token_id": "481111-1114-demo"}});
    let answer = shop.order_and_charge("LNS-1", 150_000, card).await;
    let id = answer["transaction_id"].as_str().unwrap().to_owned();
    assert_eq!(
        send(&mut shop, "subscription", charge(&id, "capture")).await,
        200
    );
    until_notices(&shop, ID, json!([["capture", "applied", 1]])).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    let row = shop
        .row(
            "SELECT to_jsonb(n) FROM other_notifications n WHERE external_id = $1",
            ID,
        )
        .await;
    assert_eq!(row["is_verified"], false);
    assert!(
        !row.to_string().contains("QwErTyUi"),
        "a card token rests: {row}"
    );
    // Again: one row, and nothing changes.
    assert_eq!(
        send(&mut shop, "subscription", charge(&id, "capture")).await,
        200
    );
    until_notices(&shop, ID, json!([["capture", "applied", 2]])).await;
    shop.close().await;
}

#[tokio::test]
async fn a_charge_that_the_status_api_contradicts_or_does_not_know_changes_nothing() {
    let mut shop = open_with(|fleet| fleet.workers(1).env("CONFIRM_RETRIES", "1")).await;
    shop.order("LNS-9", 1_000).await;
    let invented = charge("no-such-transaction", "capture");
    assert_eq!(send(&mut shop, "subscription", invented).await, 200);
    until_notices(&shop, ID, json!([["capture", "refused", 1]])).await;
    let payment = shop
        .order_and_charge("LNS-1", 48_500, json!({"payment_type": "gopay"}))
        .await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    let id = payment["transaction_id"].as_str().unwrap();
    assert_eq!(
        send(&mut shop, "subscription", charge(id, "settlement")).await,
        200
    );
    let both = json!([["capture", "refused", 1], ["settlement", "refused", 1]]);
    until_notices(&shop, ID, both).await;
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    shop.until_order("LNS-9", json!({"status": "PENDING"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_without_a_transaction_is_recorded_and_asked_about_by_nobody() {
    let mut shop = open().await;
    let made = json!({"event_name": null, "transaction": null, "subscription": null, "id": ID,
                      "status": "active", "schedule": {"interval": 1}});
    assert_eq!(send(&mut shop, "subscription", made).await, 200);
    until_notices(&shop, ID, json!([[null, "unconfirmed", 1]])).await;
    let failed = json!({"transaction": {"status_code": "411", "status_message": "expired"}});
    assert_eq!(send(&mut shop, "subscription", failed).await, 200);
    let two = json!([[null, "unconfirmed", 1], [null, "unconfirmed", 1]]);
    until_notices(&shop, ID, two).await;
    shop.close().await;
}

#[tokio::test]
async fn a_signed_body_at_the_recurring_endpoint_is_a_classic_notification() {
    let mut shop = open().await;
    shop.order("LNS-1", 48_500).await;
    let paid = Payment::new(Method::Gopay, "LNS-1", 48_500).settlement();
    let body: Value = serde_json::from_slice(&paid.body()).unwrap();
    let sent = json!({"kind": "subscription", "raw": body.to_string()});
    assert_eq!(status(&shop.notice(sent).await), 200);
    shop.note(&body, Some(200));
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    let mut forged = body.clone();
    forged["gross_amount"] = json!("1.00");
    let sent = json!({"kind": "subscription", "raw": forged.to_string()});
    assert_eq!(status(&shop.notice(sent).await), 401);
    // A classic body robbed of its signature is no subscription.
    let mut bare = body.clone();
    bare.as_object_mut().unwrap().remove("signature_key");
    let sent = json!({"kind": "subscription", "raw": bare.to_string()});
    assert_eq!(status(&shop.notice(sent).await), 400);
    assert_eq!(recorded(&shop).await, 0);
    shop.close_expecting(Expect::clean()).await;
}

#[tokio::test]
async fn a_flood_of_unsigned_notifications_is_shed() {
    let mut shop = open_with(|fleet| fleet.workers(1).env("INGEST_UNSIGNED_PER_SECOND", "0")).await;
    let shed = shop.notice(json!({"kind": "subscription"})).await;
    assert_eq!(status(&shed), 429);
    assert_eq!(shed["answer"]["code"], "overloaded");
    assert_eq!(send(&mut shop, "payout", json!({})).await, 200);
    until_notices(&shop, "PO8K2M71", json!([["completed", "applied", 1]])).await;
    assert_eq!(recorded(&shop).await, 1);
    shop.close().await;
}
