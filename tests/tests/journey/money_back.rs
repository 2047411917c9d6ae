//! Money that goes back or never comes: refunds, reversals, voids, expiry.

use lunas_tests::harness::{BOUND, Shop, wait_for};
use serde_json::{Value, json};

use crate::cards::card;

#[tokio::test]
async fn a_refund_and_its_confirmation_are_two_notifications_of_one_refund() {
    let shop = Shop::open().await;
    paid_by_gopay(&shop, "LNS-1", 48_500).await;
    shop.step(
        "LNS-1",
        "refund",
        json!({"refund_key": "rf-1", "confirm": "later"}),
    )
    .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    // Pending, settlement, refund, the same with the bank's confirmation.
    shop.until_verdicts("LNS-1", &[("applied", 1); 4]).await;
    let transaction = shop.transaction_row("LNS-1").await;
    assert_eq!(transaction["refunded_amount"], 48_500);
    assert!(transaction["confirmed_at"].is_string(), "{transaction}");
    assert_eq!(told(&shop, "payment.refunded").await, 1);
    assert_eq!(told(&shop, "order.refunded").await, 1);
    shop.close().await;
}

#[tokio::test]
async fn partial_refunds_add_up_to_a_refund() {
    let shop = Shop::open().await;
    paid_by_gopay(&shop, "LNS-1", 50_000).await;
    let parts = [
        (12_000, 12_000, "PARTIALLY_REFUNDED"),
        (8_000, 20_000, "PARTIALLY_REFUNDED"),
        (30_000, 50_000, "REFUNDED"),
    ];
    for (number, (part, so_far, status)) in parts.into_iter().enumerate() {
        let key = format!("rf-{number}");
        let refund = json!({"amount": part, "refund_key": key, "confirm": "now"});
        shop.step("LNS-1", "refund", refund).await;
        shop.until_order("LNS-1", json!({"status": status})).await;
        // The bank's confirmation of a part must not be overtaken by the next part either.
        let settled = 2 + 2 * (number + 1);
        shop.until_verdicts("LNS-1", &vec![("applied", 1); settled])
            .await;
        // An answer about the part before may have vouched for this one; its own answer follows.
        wait_for("the part to be counted", BOUND, async || {
            let refunded = shop.transaction_row("LNS-1").await["refunded_amount"].clone();
            (refunded == so_far)
                .then_some(())
                .ok_or(format!("{refunded}"))
        })
        .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn partial_refunds_that_do_not_say_how_much_add_up_all_the_same() {
    let shop = Shop::open().await;
    // Such bodies are all alike: the second refund looks like a repetition of the first.
    shop.trick(json!({"on": ["partial_refund"], "omit": ["refunds", "refund_amount"]}))
        .await;
    paid_by_gopay(&shop, "LNS-1", 50_000).await;
    for (deliveries, so_far) in [(1, 12_000), (2, 24_000)] {
        let refund = json!({"amount": 12_000, "confirm": "never"});
        shop.step("LNS-1", "refund", refund).await;
        shop.until_verdicts(
            "LNS-1",
            &[("applied", 1), ("applied", 1), ("applied", deliveries)],
        )
        .await;
        let transaction = shop.transaction_row("LNS-1").await;
        assert_eq!(transaction["refunded_amount"], so_far);
    }
    shop.close().await;
}

#[tokio::test]
async fn a_reversal_takes_a_paid_order_down_after_the_gateway_confirms_it() {
    let shop = Shop::open().await;
    let methods = [
        json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": "permata"}}),
        json!({"payment_type": "echannel"}),
        json!({"payment_type": "cstore", "cstore": {"store": "indomaret"}}),
    ];
    for (number, method) in methods.into_iter().enumerate() {
        let code = format!("LNS-R{number}");
        shop.order_and_charge(&code, 185_000, method).await;
        shop.until_payment(&code, json!({"status": "pending"}))
            .await;
        shop.step(&code, "pay", json!({})).await;
        shop.until_order(&code, json!({"status": "PAID"})).await;
        shop.step(&code, "reverse", json!({})).await;
        let failed = json!({"status": "FAILED", "review_reasons": ["reversed"]});
        shop.until_order(&code, failed).await;
        shop.until_verdicts(&code, &[("applied", 1); 3]).await;
    }
    assert_eq!(told(&shop, "order.failed").await, 3);
    shop.close().await;
}

#[tokio::test]
async fn a_void_after_the_capture_cancels_the_order() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 75_000, card("481111-1114-x"))
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.step("LNS-1", "cancel", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "CANCELLED"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn what_is_not_paid_in_time_expires_but_a_card_may_be_tried_again() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 50_000, json!({"payment_type": "qris"}))
        .await;
    let mut three_ds = card("481111-1114-x");
    three_ds["credit_card"]["authentication"] = json!(true);
    shop.order_and_charge("LNS-2", 50_000, three_ds).await;
    for code in ["LNS-1", "LNS-2"] {
        shop.until_payment(code, json!({"status": "pending"})).await;
        shop.step(code, "expire", json!({})).await;
        shop.until_payment(code, json!({"status": "expire", "paid_at": null}))
            .await;
    }
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    shop.until_order("LNS-2", json!({"status": "PENDING"}))
        .await;
    assert_eq!(told(&shop, "order.expired").await, 1);
    shop.close().await;
}

#[tokio::test]
async fn a_settlement_after_the_expiry_counts_once_the_gateway_confirms_it() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 50_000, json!({"payment_type": "gopay"}))
        .await;
    shop.step("LNS-1", "expire", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    shop.step(
        "LNS-1",
        "force",
        json!({"transaction_status": "settlement"}),
    )
    .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert!(shop.transaction_row("LNS-1").await["confirmed_at"].is_string());
    shop.close().await;
}

pub(crate) async fn paid_by_gopay(shop: &Shop, code: &str, amount: i64) {
    shop.order_and_charge(code, amount, json!({"payment_type": "gopay"}))
        .await;
    // Two notifications of one session may overtake each other on their way through the worker.
    shop.until_payment(code, json!({"status": "pending"})).await;
    shop.step(code, "pay", json!({})).await;
    shop.until_order(code, json!({"status": "PAID"})).await;
}

async fn told(shop: &Shop, event_type: &str) -> Value {
    let query = "SELECT to_jsonb(count(*)) FROM domain_events WHERE event_type = $1";
    shop.row(query, event_type).await
}
