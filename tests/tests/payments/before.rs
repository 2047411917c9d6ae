//! Notifications that come before their payment's row, or while it is written.

use lunas_tests::harness::{BOUND, Expect, Kind, Method, Payment, wait_for};
use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{AMOUNT, Till, by, by_bank};

#[tokio::test]
async fn an_order_whose_payment_came_first_is_paid_and_charged_nothing() {
    let mut till = Till::open().await;
    let paid = Payment::new(Method::Gopay, "LNS-1", AMOUNT).settlement();
    assert_eq!(till.shop.post(&paid).await, 200);
    till.shop
        .until_payment("LNS-1", json!({"order_id": null, "status": "settlement"}))
        .await;
    till.order("LNS-1").await;
    till.pay(by("LNS-1", "gopay"))
        .await
        .problem(409, "already_paid");
    till.shop
        .until_order("LNS-1", json!({"status": "PAID", "session_id": "LNS-1"}))
        .await;
    assert_eq!(till.calls(Call::Charge, "LNS-1"), 0);
    till.shop
        .close_expecting(Expect::clean().delayed_left())
        .await;
}

#[tokio::test]
async fn an_open_payment_that_came_first_is_taken_over_or_replaced() {
    let mut till = Till::open().await;
    for code in ["LNS-1", "LNS-2"] {
        let charge = json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": "bca"}});
        till.shop.charge(code, AMOUNT, charge).await;
        till.shop
            .until_payment(code, json!({"order_id": null, "status": "pending"}))
            .await;
        till.order(code).await;
    }
    let answer = till.pay(by_bank("LNS-1", "bca")).await;
    let payment = answer.payment(200);
    assert_eq!(payment["session_id"], "LNS-1");
    assert!(
        payment["va_numbers"][0]["va_number"].is_string(),
        "{payment}"
    );

    let answer = till.pay(by_bank("LNS-2", "bni")).await;
    assert_eq!(answer.payment(201)["session_id"], "LNS-2-2");
    till.shop
        .until_payment("LNS-2", json!({"status": "cancel"}))
        .await;
    till.shop
        .close_expecting(Expect::clean().delayed_left())
        .await;
}

#[tokio::test]
async fn a_notification_during_the_transaction_waits_for_it_or_makes_the_row_itself() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let env = [("LUNAS_FAULT", "checkout.before_commit=hang")];
    let hanging = till.shop.fleet.start(Kind::Api, &env).await;
    let api = hanging.addr("API_ADDR");
    let request = by("LNS-1", "gopay");
    let hung = till.pay_at(api, &request);
    let hung = tokio::time::timeout(std::time::Duration::from_millis(1_500), hung).await;
    assert!(hung.is_err());
    let locked = "SELECT to_jsonb(count(*)) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = $1
                    AND state = 'idle in transaction'";
    wait_for("the transaction to be open", BOUND, async || {
        till.shop.row(locked, "lunas-api").await == json!(1)
    })
    .await;
    let paid = Payment::new(Method::Gopay, "LNS-1", AMOUNT).settlement();
    assert_eq!(till.shop.post(&paid).await, 200);
    let processes = till.shop.fleet.processes();
    processes.last_mut().unwrap().kill9().await;
    till.shop
        .until_order("LNS-1", json!({"status": "PAID"}))
        .await;
    till.pay(request).await.problem(409, "already_paid");
    assert_ne!(till.shop.payment_row("LNS-1").await, Value::Null);
    assert_eq!(till.calls(Call::Charge, "LNS-1"), 0);
    till.shop.close().await;
}
