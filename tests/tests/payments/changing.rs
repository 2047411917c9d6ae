//! Another method than the open payment's: the old one is cancelled at the gateway, a new session
//! opens, and what the order holds stays held.

use lunas_tests::harness::{BOUND, wait_for};
use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{Till, by, by_bank};

#[tokio::test]
async fn another_method_or_bank_cancels_the_payment_and_opens_the_next_session() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    let second = till.pay(by_bank("LNS-1", "bni")).await;
    assert_eq!(second.payment(201)["session_id"], "LNS-1-2");
    let third = till.pay(by("LNS-1", "gopay")).await;
    assert_eq!(third.payment(201)["session_id"], "LNS-1-3");
    let again = till.pay(by("LNS-1", "gopay")).await;
    assert_eq!(again.payment(200), third.payment(201));
    for session in ["LNS-1", "LNS-1-2"] {
        till.shop
            .until_payment(session, json!({"status": "cancel"}))
            .await;
        assert_eq!(
            till.transactions(session).await[0]["transaction_status"],
            "cancel"
        );
    }
    let order = till
        .shop
        .until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    assert_eq!(order["session_id"], "LNS-1-3");
    let reopened = "SELECT to_jsonb(count(*)) FROM domain_events WHERE order_code = $1";
    assert_eq!(till.shop.row(reopened, "LNS-1").await, json!(0));

    till.shop.step("LNS-1-3", "pay", json!({})).await;
    till.shop
        .until_order("LNS-1", json!({"status": "PAID"}))
        .await;
    till.shop.close().await;
}

#[tokio::test]
async fn a_page_that_nobody_used_is_closed_and_one_in_use_is_cancelled() {
    let mut till = Till::open().await;
    for code in ["LNS-1", "LNS-2", "LNS-3"] {
        till.order(code).await;
        till.pay(by(code, "snap")).await.payment(201);
    }
    let pick = json!({"payment_type": "gopay"});
    let picked = till
        .shop
        .midtrans
        .post("/sim/snap/LNS-2/pick", pick.clone());
    assert_eq!(picked.await.unwrap().status, 200);
    // Of this one the notification never comes.
    till.shop
        .trick(json!({"order_id": "LNS-3", "drop": true}))
        .await;
    let picked = till.shop.midtrans.post("/sim/snap/LNS-3/pick", pick);
    assert_eq!(picked.await.unwrap().status, 200);
    till.shop
        .until_payment("LNS-2", json!({"status": "pending"}))
        .await;
    for code in ["LNS-1", "LNS-2", "LNS-3"] {
        let second = till.pay(by_bank(code, "bri")).await;
        assert_eq!(second.payment(201)["session_id"], format!("{code}-2"));
        till.shop
            .until_payment(code, json!({"status": "cancel"}))
            .await;
        let path = format!("/sim/snap?order_id={code}");
        let pages = till.shop.midtrans.get(&path).await.unwrap();
        assert_eq!(pages.body["pages"][0]["state"], "cancelled", "{code}");
    }
    assert_eq!(till.transactions("LNS-1").await, Vec::<Value>::new());
    for code in ["LNS-2", "LNS-3"] {
        let known = till.transactions(code).await;
        assert_eq!(known[0]["transaction_status"], "cancel", "{code}");
    }
    till.shop.close().await;
}

#[tokio::test]
async fn a_customer_who_paid_while_the_method_was_changed_has_paid() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    // Nobody is told of the settlement before the cancel is refused because of it.
    till.shop
        .trick(json!({"order_id": "LNS-1", "on": ["settlement"], "hold": true}))
        .await;
    till.shop.step("LNS-1", "pay", json!({})).await;
    till.pay(by("LNS-1", "gopay"))
        .await
        .problem(409, "already_paid");
    till.shop
        .until_order("LNS-1", json!({"status": "PAID"}))
        .await;
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 0);
    let given_up = till.shop.payment_row("LNS-1-2").await;
    assert_eq!(given_up["status"], "cancel");
    let path = "/sim/release";
    till.shop.midtrans.post(path, json!({})).await.unwrap();
    till.shop.close().await;
}

#[tokio::test]
async fn a_settlement_after_the_cancel_and_before_the_new_session_wins() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    let slow = json!({"order_id": "LNS-1", "api": {"call": "cancel", "delay_ms": 1_500}});
    till.shop.trick(slow).await;
    let api = till.api(0);
    let request = by("LNS-1", "gopay");
    let changing = till.pay_at(api, &request);
    let paying = async {
        wait_for("the cancel to be under way", BOUND, async || {
            till.calls(Call::Cancel, "LNS-1") == 1
        })
        .await;
        till.shop.step("LNS-1", "pay", json!({})).await;
        till.shop
            .until_order("LNS-1", json!({"status": "PAID"}))
            .await;
    };
    let (changed, ()) = tokio::join!(changing, paying);
    changed.unwrap().problem(409, "already_paid");
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 0);
    till.shop.close().await;
}

#[tokio::test]
async fn when_the_payment_cannot_be_cancelled_no_other_one_begins() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    till.shop
        .trick(json!({"api": {"call": "cancel", "answer": "forbidden_page"}}))
        .await;
    let answer = till.pay(by("LNS-1", "gopay")).await;
    answer.problem(502, "payment_outcome_unknown");
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 0);
    // The customer turns back: the first one is still good.
    let back = till.pay(by_bank("LNS-1", "bca")).await;
    assert_eq!(back.payment(200)["session_id"], "LNS-1");
    till.shop.midtrans.delete("/sim/tricks").await.unwrap();
    let answer = till.pay(by("LNS-1", "gopay")).await;
    assert_eq!(answer.payment(201)["session_id"], "LNS-1-3");
    till.shop
        .until_payment("LNS-1", json!({"status": "cancel"}))
        .await;
    till.shop.close().await;
}
