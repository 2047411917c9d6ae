//! What is taken back when the money goes back.

use serde_json::json;

use crate::stand::{PRICE, counters, gopay, order, run, stand, tickets, until};

#[tokio::test]
async fn a_refunded_order_loses_its_tickets_and_gives_everything_back() {
    let shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    pay(&shop, "LNS-A").await;
    shop.step("LNS-A", "refund", json!({})).await;
    let row = until(&shop, "LNS-A", "REFUNDED", &[]).await;
    let (valid, void) = tickets(&shop, "LNS-A").await;
    assert_eq!((valid.len(), void.len()), (0, 2));
    assert_eq!(counters(&shop).await, [0, 0, 0, 0, 10]);
    assert!(row["pickup_code"].is_null() && !row["pickup_revoked_at"].is_null());
    shop.close().await;
}

#[tokio::test]
async fn a_partly_refunded_order_keeps_what_it_has() {
    let shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    pay(&shop, "LNS-A").await;
    shop.step("LNS-A", "refund", json!({"amount": 1_000})).await;
    let row = until(&shop, "LNS-A", "PARTIALLY_REFUNDED", &[]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    assert_eq!(counters(&shop).await, [0, 2, 0, 1, 9]);
    assert!(row["pickup_code"].is_string());
    shop.close().await;
}

#[tokio::test]
async fn goods_that_were_handed_over_and_tickets_that_were_used_are_for_a_human_to_see() {
    let shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    pay(&shop, "LNS-A").await;
    run(
        &shop,
        "UPDATE orders SET picked_up_at = now();
         UPDATE tickets SET used_at = now() WHERE seq = 1",
    )
    .await;
    shop.step("LNS-A", "refund", json!({})).await;
    let reasons = ["refunded_after_pickup", "refunded_after_use"];
    until(&shop, "LNS-A", "REFUNDED", &reasons).await;
    assert_eq!(tickets(&shop, "LNS-A").await.1.len(), 2);
    assert_eq!(counters(&shop).await, [0, 0, 0, 1, 9]);
    shop.close().await;
}

#[tokio::test]
async fn a_reversal_by_the_payment_network_takes_everything_back() {
    let shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let bill = json!({"payment_type": "echannel",
                      "echannel": {"bill_info1": "Payment:", "bill_info2": "Order"}});
    shop.charge("LNS-A", PRICE, bill).await;
    shop.step("LNS-A", "pay", json!({})).await;
    until(&shop, "LNS-A", "PAID", &[]).await;
    shop.step("LNS-A", "reverse", json!({})).await;
    until(&shop, "LNS-A", "FAILED", &["reversed"]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.1.len(), 2);
    assert_eq!(counters(&shop).await, [0, 0, 0, 0, 10]);
    shop.close().await;
}

#[tokio::test]
async fn a_forged_refund_takes_nothing_back() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let payment = gopay("LNS-A");
    shop.post(&payment.settlement()).await;
    until(&shop, "LNS-A", "PAID", &[]).await;
    // The signature of the settlement covers this body too; the status API knows nothing of it.
    shop.post(&payment.refund("forged")).await;
    shop.until_verdicts("LNS-A", &[("applied", 1), ("refused", 1)])
        .await;
    until(&shop, "LNS-A", "PAID", &[]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn a_second_payment_of_a_fulfilled_order_is_flagged_and_gives_nothing_more() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    shop.post(&gopay("LNS-A").settlement()).await;
    shop.post(&gopay("LNS-A-2").settlement()).await;
    until(&shop, "LNS-A", "PAID", &["duplicate_payment"]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    assert_eq!(counters(&shop).await, [0, 2, 0, 1, 9]);
    shop.close().await;
}

async fn pay(shop: &lunas_tests::harness::Shop, code: &str) {
    let method = json!({"payment_type": "gopay"});
    shop.charge(code, PRICE, method).await;
    shop.step(code, "pay", json!({})).await;
    until(shop, code, "PAID", &[]).await;
}
