//! What cannot be paid, and why; and what the gateway refuses.

use lunas_tests::harness::OrderRow;
use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{AMOUNT, Till, by, by_bank};

#[tokio::test]
async fn a_request_that_is_not_one_is_refused_by_field() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let order = |mut rest: Value| {
        rest["order_code"] = json!("LNS-1");
        rest
    };
    let cases = [
        (json!({"method": "gopay"}), Value::Null),
        (order(json!({})), Value::Null),
        (order(json!({"method": 1})), json!("method")),
        (order(json!({"method": "credit_card"})), json!("method")),
        (order(json!({"method": "bank_transfer"})), json!("bank")),
        (
            order(json!({"method": "bank_transfer", "bank": "bsi"})),
            json!("bank"),
        ),
        (
            order(json!({"method": "gopay", "bank": "bca"})),
            json!("bank"),
        ),
        (order(json!({"method": "cstore"})), json!("store")),
        (
            order(json!({"method": "snap", "store": "alfamart"})),
            json!("store"),
        ),
        (
            json!({"method": "gopay", "order_code": ""}),
            json!("order_code"),
        ),
        (
            json!({"method": "gopay", "order_code": "a\u{0}"}),
            json!("order_code"),
        ),
        (
            order(json!({"method": "gopay", "amount": 1})),
            json!("amount"),
        ),
        (json!([]), Value::Null),
    ];
    for (body, field) in cases {
        let answer = till.pay(body.clone()).await;
        let problem = answer.problem(400, "invalid_body");
        assert!(
            field.is_null() || problem["field"] == field,
            "{body} {problem}"
        );
    }
    till.pay(by("LNS-9", "gopay"))
        .await
        .problem(404, "order_not_found");
    assert_eq!(till.shop.payment_row("LNS-1").await, Value::Null);
    till.shop.close().await;
}

#[tokio::test]
async fn an_order_that_may_not_be_paid_says_why() {
    let mut till = Till::open().await;
    for (code, step, body, status) in [
        ("LNS-1", "", json!({}), "PAID"),
        ("LNS-2", "", json!({}), "REVIEW"),
        ("LNS-3", "refund", json!({}), "REFUNDED"),
        (
            "LNS-4",
            "refund",
            json!({"amount": 1}),
            "PARTIALLY_REFUNDED",
        ),
    ] {
        paid(&till, code).await;
        if !step.is_empty() {
            till.shop.until_order(code, json!({"status": "PAID"})).await;
            till.shop.step(code, step, body).await;
        }
        till.shop.until_order(code, json!({"status": status})).await;
    }
    let free = OrderRow::pending("LNS-5", 0).without_session();
    free.insert(till.shop.stage().pool()).await;
    order_for_yesterday(&till, "LNS-6").await;
    for (code, why) in [
        ("LNS-1", "already_paid"),
        ("LNS-2", "order_in_review"),
        ("LNS-3", "order_ended"),
        ("LNS-4", "already_paid"),
        ("LNS-5", "nothing_to_pay"),
        ("LNS-6", "event_past"),
    ] {
        till.pay(by(code, "snap")).await.problem(409, why);
        assert_eq!(till.calls(Call::Snap, code), 0, "{code}");
    }
    till.shop.close().await;
}

/// An order that was paid; LNS-2 with less than it costs.
async fn paid(till: &Till, code: &str) {
    let gopay = json!({"payment_type": "gopay"});
    till.shop.order_and_charge(code, AMOUNT, gopay).await;
    till.shop
        .trick(json!({"order_id": "LNS-2", "captured_amount": AMOUNT - 1}))
        .await;
    till.shop.step(code, "pay", json!({})).await;
}

async fn order_for_yesterday(till: &Till, code: &str) {
    till.order(code).await;
    till.run(
        "INSERT INTO capacity_slots (id, name, starts_at, price, capacity, reserved)
         VALUES ('past', 'Yesterday', now() - interval '1 day', 150000, 10, 1)",
    )
    .await;
    till.run(
        "INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
         SELECT id, 'ticket', 'past', 1, 150000 FROM orders WHERE order_code = 'LNS-6'",
    )
    .await;
}

#[tokio::test]
async fn what_the_gateway_refuses_ends_the_session_and_keeps_the_order_open() {
    let mut till = Till::open().await;
    for (code, gateway, status, problem) in [
        ("LNS-1", "bad_request", 422, "payment_refused"),
        ("LNS-2", "not_activated", 422, "method_not_available"),
        ("LNS-3", "malformed", 502, "gateway_refused"),
    ] {
        till.order(code).await;
        let trick = json!({"order_id": code, "times": 1,
                           "api": {"call": "charge", "answer": gateway}});
        till.shop.trick(trick).await;
        let answer = till.pay(by_bank(code, "bca")).await;
        let told = answer.problem(status, problem);
        assert!(!told.to_string().contains("canary"), "{told}");
        let row = till.shop.payment_row(code).await;
        assert_eq!(
            (&row["status"], &row["charged_at"]),
            (&json!("deny"), &Value::Null)
        );
        till.shop
            .until_order(code, json!({"status": "PENDING"}))
            .await;

        let second = till.pay(by_bank(code, "bca")).await;
        assert_eq!(second.payment(201)["session_id"], format!("{code}-2"));
        let order = till.shop.order_row(code).await;
        assert_eq!(order["session_id"], format!("{code}-2"));
    }
    till.shop.close().await;
}

#[tokio::test]
async fn everybody_who_waits_for_a_payment_hears_that_it_is_refused() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let trick = json!({"api": {"call": "charge", "answer": "not_activated", "delay_ms": 700}});
    till.shop.trick(trick).await;
    let apis = [till.api(0)];
    let answers = till.click(&apis, &by("LNS-1", "gopay"), 20).await;
    for answer in answers {
        answer.problem(422, "method_not_available");
    }
    assert_eq!(till.calls(Call::Charge, "LNS-1"), 1);
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 0);
    till.shop.close().await;
}
