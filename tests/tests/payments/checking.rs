//! Looking at a payment: Midtrans is asked while it is open, seldom, and its answer is applied.

use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{Till, by, by_bank};

#[tokio::test]
async fn an_open_payment_is_asked_about_and_the_answer_applied() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    till.shop
        .trick(json!({"on": ["settlement"], "drop": true}))
        .await;
    till.shop.step("LNS-1", "pay", json!({})).await;
    let soon = till.check("LNS-1").await;
    assert_eq!(soon.body["payment"]["status"], "pending");
    assert_eq!(till.calls(Call::Status, "LNS-1"), 0);

    till.let_time_pass("LNS-1").await;
    let answer = till.check("LNS-1").await;
    assert_eq!(
        (
            &answer.body["payment"]["status"],
            &answer.body["order_status"]
        ),
        (&json!("settlement"), &json!("PAID"))
    );
    assert_eq!(answer.body["stale"], false);
    assert!(answer.body["payment"]["va_numbers"][0].is_object());
    let log = "SELECT to_jsonb(l) FROM payment_sync_logs l
               WHERE session_id = $1 AND to_status = 'settlement'";
    assert_eq!(till.shop.row(log, "LNS-1").await["sync_type"], "poll");
    till.let_time_pass("LNS-1").await;
    till.check("LNS-1").await;
    assert_eq!(till.calls(Call::Status, "LNS-1"), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn fifty_looks_at_once_over_two_apis_ask_once() {
    let mut till = Till::open_with(|fleet| fleet.api(1)).await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    till.let_time_pass("LNS-1").await;
    let url = format!("http://{}/api/payments/LNS-1/status", till.api(0));
    let client = reqwest::Client::new();
    let looks = (0..50).map(|_| client.get(&url).bearer_auth("token-of-the-shop").send());
    for look in futures::future::join_all(looks).await {
        assert_eq!(look.unwrap().status(), 200);
    }
    assert_eq!(till.calls(Call::Status, "LNS-1"), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn a_page_that_nobody_used_has_not_begun() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let page = till.pay(by("LNS-1", "snap")).await.payment(201).clone();
    till.let_time_pass("LNS-1").await;
    let answer = till.check("LNS-1").await;
    assert_eq!(
        (
            answer.status,
            &answer.body["payment"],
            &answer.body["stale"]
        ),
        (200, &page, &json!(false))
    );
    assert_eq!(till.calls(Call::Status, "LNS-1"), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn without_the_gateway_what_is_stored_is_told_as_stale() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    for trick in [
        json!({"api": {"answer": "unavailable"}}),
        json!({"api": {"answer": "forbidden_page"}}),
        json!({"api": {"answer": "too_many_requests"}}),
        json!({"api": {"delay_ms": 20_000}}),
    ] {
        till.shop.trick(trick.clone()).await;
        till.let_time_pass("LNS-1").await;
        let answer = till.check("LNS-1").await;
        assert_eq!(
            (
                answer.status,
                &answer.body["stale"],
                &answer.body["payment"]["status"]
            ),
            (200, &json!(true), &json!("pending")),
            "{trick}"
        );
        till.shop.midtrans.delete("/sim/tricks").await.unwrap();
    }
    till.shop.close().await;
}

#[tokio::test]
async fn sessions_of_the_past_and_those_that_stand_alone_are_answered_too() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    till.pay(by_bank("LNS-1", "bni")).await.payment(201);
    till.pay(by("LNS-1", "gopay")).await.payment(201);
    for (key, session, status) in [
        ("LNS-1", "LNS-1-3", "pending"),
        ("LNS-1-2", "LNS-1-2", "cancel"),
        ("LNS-1-3", "LNS-1-3", "pending"),
    ] {
        let answer = till.check(key).await;
        let payment = &answer.body["payment"];
        assert_eq!(
            (&payment["session_id"], &payment["status"]),
            (&json!(session), &json!(status))
        );
        assert_eq!(payment["order_code"], "LNS-1");
    }
    let alone = json!({"gross_amount": 1_000});
    let alone = till.post("/api/payments/gopayqris/create", &alone).await;
    let session = alone.payment(201)["session_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = till.check(&session).await;
    assert_eq!(
        (answer.status, &answer.body["order_status"]),
        (200, &Value::Null)
    );
    for nobody in ["LNS-9", "%00", "x".repeat(101).as_str()] {
        let answer = till.check(nobody).await;
        answer.problem(404, "payment_not_found");
    }
    till.order("LNS-2").await;
    till.check("LNS-2").await.problem(404, "payment_not_found");
    till.shop.close().await;
}

#[tokio::test]
async fn what_is_known_by_its_transaction_id_only_is_found_by_it() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by("LNS-1", "snap")).await.payment(201);
    let pick = json!({"payment_type": "dana"});
    let picked = till.shop.midtrans.post("/sim/snap/LNS-1/pick", pick).await;
    assert_eq!(picked.unwrap().status, 200);
    till.shop
        .until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    till.shop
        .trick(json!({"on": ["settlement"], "drop": true}))
        .await;
    till.shop.step("LNS-1", "pay", json!({})).await;
    till.let_time_pass("LNS-1").await;
    let answer = till.check("LNS-1").await;
    assert_eq!(
        answer.body["payment"]["status"], "settlement",
        "{}",
        answer.body
    );
    assert_eq!(answer.body["order_status"], "PAID");
    till.shop.close().await;
}
