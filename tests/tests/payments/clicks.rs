//! Clicks at the same time: one charge, one answer.

use lunas_tests::sim::Call;
use serde_json::json;

use crate::support::{Answer, Till, by, by_bank};

fn assert_one_answer(answers: &[Answer]) {
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    for answer in answers {
        let status = if answer.status == 201 { 201 } else { 200 };
        assert_eq!(answer.payment(status), &answers[0].body["payment"]);
    }
}

#[tokio::test]
async fn fifty_clicks_at_once_over_two_apis_charge_once() {
    let mut till = Till::open_with(|fleet| fleet.api(2)).await;
    till.order("LNS-1").await;
    let slow = json!({"api": {"call": "charge", "delay_ms": 300}});
    till.shop.trick(slow).await;
    let apis = [till.api(0), till.api(1)];
    let answers = till.click(&apis, &by("LNS-1", "gopay"), 50).await;
    assert_one_answer(&answers);
    assert_eq!(till.calls(Call::Charge, "LNS-1"), 1);
    assert_eq!(till.transactions("LNS-1").await.len(), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn fifty_clicks_at_once_open_one_page() {
    let mut till = Till::open_with(|fleet| fleet.api(2)).await;
    till.order("LNS-1").await;
    let apis = [till.api(0), till.api(1)];
    let answers = till.click(&apis, &by("LNS-1", "snap"), 50).await;
    assert_one_answer(&answers);
    assert_eq!(till.calls(Call::Snap, "LNS-1"), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn clicks_on_two_banks_at_once_leave_one_that_can_be_paid() {
    let mut till = Till::open_with(|fleet| fleet.api(2)).await;
    till.order("LNS-1").await;
    let apis = [till.api(0), till.api(1)];
    let (bca, bni) = (by_bank("LNS-1", "bca"), by_bank("LNS-1", "bni"));
    let (a, b) = tokio::join!(till.click(&apis, &bca, 5), till.click(&apis, &bni, 5));
    for answer in a.iter().chain(&b) {
        let expected = matches!(answer.status, 200 | 201 | 503);
        assert!(expected, "{} {}", answer.status, answer.body);
    }
    let order = till.shop.order_row("LNS-1").await;
    let listed = till
        .shop
        .midtrans
        .get("/sim/transactions?transaction_status=pending");
    let pending = listed.await.unwrap().body["transactions"].clone();
    assert_eq!(pending.as_array().unwrap().len(), 1, "{pending}");
    assert_eq!(pending[0]["order_id"], order["session_id"]);
    till.shop
        .until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    till.shop.close().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_a_payment_behind() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.shop
        .trick(json!({"api": {"call": "charge", "delay_ms": 500}}))
        .await;
    let api = till.api(0);
    let request = by("LNS-1", "gopay");
    let hasty = till.pay_at(api, &request);
    let hung_up = tokio::time::timeout(std::time::Duration::from_millis(200), hasty).await;
    assert!(hung_up.is_err());
    till.shop
        .until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    till.pay(request).await.payment(200);
    assert_eq!(till.calls(Call::Charge, "LNS-1"), 1);
    till.shop.close().await;
}
