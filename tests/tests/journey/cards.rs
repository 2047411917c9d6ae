//! Cards: challenge, pre-authorisation, dispute, and the attempts that fail before one succeeds.

use lunas_tests::harness::{Method, Payment, Shop};
use serde_json::{Value, json};

/// The beginning of the token decides what bank and fraud system say.
pub(crate) fn card(token: &str) -> Value {
    json!({"payment_type": "credit_card", "credit_card": {"token_id": token}})
}

const ACCEPTED: &str = "481111-1114-x";
const CHALLENGED: &str = "451111-1117-x";
const DENIED: &str = "491111-1113-x";

#[tokio::test]
async fn a_challenged_card_is_not_paid_until_a_human_approves() {
    let shop = Shop::open().await;
    for (code, step) in [("LNS-1", "approve"), ("LNS-2", "deny")] {
        shop.order_and_charge(code, 2_750_000, card(CHALLENGED))
            .await;
        shop.until_payment(code, json!({"status": "capture", "paid_at": null}))
            .await;
        shop.until_order(code, json!({"status": "PENDING", "paid_at": null}))
            .await;
        shop.step(code, step, json!({})).await;
    }
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.until_payment("LNS-2", json!({"status": "deny", "paid_at": null}))
        .await;
    shop.until_order("LNS-2", json!({"status": "PENDING"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn the_evening_settles_what_was_captured_and_drops_what_nobody_decided() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 99_000, card(ACCEPTED)).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.order_and_charge("LNS-2", 99_000, card(CHALLENGED))
        .await;
    shop.until_payment("LNS-2", json!({"status": "capture"}))
        .await;
    let settled = shop.midtrans.post("/sim/settle-cards", json!({})).await;
    assert_eq!(settled.unwrap().status, 200);
    shop.until_payment("LNS-1", json!({"status": "settlement"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.until_order("LNS-2", json!({"status": "CANCELLED"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn after_a_denied_card_the_order_stays_open_and_the_next_session_pays_it() {
    let shop = Shop::open().await;
    let order = shop.order("LNS-1", 150_000).await;
    shop.charge("LNS-1", 150_000, card(DENIED)).await;
    shop.until_payment("LNS-1", json!({"status": "deny"})).await;
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    // The second session of the order; nobody told the tables about it.
    shop.charge("LNS-1-2", 150_000, json!({"payment_type": "gopay"}))
        .await;
    shop.step("LNS-1-2", "pay", json!({})).await;
    let paid = json!({"status": "PAID", "session_id": "LNS-1"});
    shop.until_order("LNS-1", paid).await;
    let linked = json!({"order_id": order, "status": "settlement", "origin": "webhook"});
    shop.until_payment("LNS-1-2", linked).await;
    shop.close().await;
}

#[tokio::test]
async fn a_late_denial_of_an_earlier_attempt_does_not_touch_a_paid_order() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 150_000).await;
    // Both transactions carry the same order id: a retry inside one Snap page.
    let first = Payment::new(Method::Card, "LNS-1", 150_000);
    let second = Payment::new(Method::Gopay, "LNS-1", 150_000);
    assert_eq!(shop.post(&second.settlement()).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert_eq!(shop.post(&first.deny()).await, 200);
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID", "review_reasons": []}))
        .await;
    shop.until_payment(
        "LNS-1",
        json!({"status": "settlement", "payment_type": "gopay"}),
    )
    .await;
    shop.close().await;
}

#[tokio::test]
async fn a_pre_authorisation_is_confirmed_with_the_gateway_before_it_counts_as_paid() {
    let shop = Shop::open().await;
    for (code, captured) in [("LNS-1", 90_000), ("LNS-2", 80_000)] {
        let mut hold = card(ACCEPTED);
        hold["credit_card"]["type"] = json!("authorize");
        shop.order_and_charge(code, 90_000, hold).await;
        shop.until_payment(code, json!({"status": "authorize", "paid_at": null}))
            .await;
        shop.step(code, "capture", json!({"amount": captured}))
            .await;
    }
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert!(shop.transaction_row("LNS-1").await["confirmed_at"].is_string());
    // Less was captured than the order costs.
    let review = json!({"status": "REVIEW", "review_reasons": ["amount_mismatch"]});
    shop.until_order("LNS-2", review).await;
    shop.close().await;
}

#[tokio::test]
async fn a_dispute_takes_the_money_back() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 99_000, card(ACCEPTED)).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.step("LNS-1", "settle", json!({})).await;
    shop.until_payment("LNS-1", json!({"status": "settlement"}))
        .await;
    shop.step("LNS-1", "chargeback", json!({"amount": 9_000}))
        .await;
    shop.until_order("LNS-1", json!({"status": "PARTIALLY_REFUNDED"}))
        .await;
    shop.step("LNS-1", "chargeback", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "CHARGEBACK"}))
        .await;
    shop.close().await;
}
