//! An api that dies between two steps: whoever comes next goes on, and nothing is charged twice.

use std::net::SocketAddr;

use lunas_tests::harness::{BOUND, Kind};
use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{Till, by, by_bank};

/// Starts an api that dies at a point, and lets it die of a request.
async fn dies(till: &mut Till, fault: &str, request: &Value) {
    let env = [("LUNAS_FAULT", fault)];
    let api: SocketAddr = till
        .shop
        .fleet
        .start(Kind::Api, &env)
        .await
        .addr("API_ADDR");
    till.pay_at(api, request).await.unwrap_err();
    let processes = till.shop.fleet.processes();
    processes.last_mut().unwrap().wait_exit(BOUND).await;
}

#[tokio::test]
async fn after_the_charge_the_next_click_adopts_it_with_everything_it_told() {
    let mut till = Till::open().await;
    for (code, request) in [
        ("LNS-1", by("LNS-1", "gopay")),
        ("LNS-2", by_bank("LNS-2", "permata")),
    ] {
        till.order(code).await;
        dies(&mut till, "checkout.charged=abort", &request).await;
        till.shop
            .until_payment(code, json!({"status": "pending", "charged_at": null}))
            .await;
        let answer = till.pay(request).await;
        let payment = answer.payment(200);
        assert_eq!(payment["status"], "pending");
        let means = [&payment["actions"][0], &payment["va_numbers"][0]];
        assert!(means.iter().any(|means| means.is_object()), "{payment}");
        let known = till.transactions(code).await;
        assert_eq!(known.len(), 1);
        assert_eq!(payment["transaction_id"], known[0]["transaction_id"]);
        till.shop.step(code, "pay", json!({})).await;
        till.shop.until_order(code, json!({"status": "PAID"})).await;
    }
    till.shop.close().await;
}

#[tokio::test]
async fn after_the_charge_the_next_status_check_adopts_it() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    // No notification helps.
    till.shop
        .trick(json!({"on": ["pending"], "drop": true}))
        .await;
    let request = by("LNS-1", "gopay");
    dies(&mut till, "checkout.charged=abort", &request).await;
    let row = till.shop.payment_row("LNS-1").await;
    assert_eq!(
        (&row["status"], &row["charged_at"]),
        (&json!("created"), &Value::Null)
    );
    till.let_time_pass("LNS-1").await;
    let answer = till.check("LNS-1").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let payment = answer.body["payment"].clone();
    assert_eq!(payment["status"], "pending");
    assert!(payment["actions"][0].is_object(), "{payment}");
    assert_eq!(till.pay(request).await.payment(200), &payment);
    assert_eq!(till.transactions("LNS-1").await.len(), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn before_the_charge_the_next_click_charges_with_the_same_id() {
    let mut till = Till::open().await;
    for (code, request) in [
        ("LNS-1", by_bank("LNS-1", "bca")),
        ("LNS-2", by("LNS-2", "snap")),
    ] {
        till.order(code).await;
        dies(&mut till, "checkout.opened=abort", &request).await;
        let answer = till.pay(request).await;
        assert_eq!(answer.payment(200)["session_id"], code);
        let charged = till.calls(Call::Charge, code) + till.calls(Call::Snap, code);
        assert_eq!(charged, 1);
    }
    till.shop.close().await;
}

#[tokio::test]
async fn before_the_commit_nothing_has_happened() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let request = by_bank("LNS-1", "bca");
    dies(&mut till, "checkout.before_commit=abort", &request).await;
    assert_eq!(till.shop.payment_row("LNS-1").await, Value::Null);
    assert_eq!(
        till.shop.order_row("LNS-1").await["session_id"],
        Value::Null
    );
    till.pay(request).await.payment(201);
    till.shop.close().await;
}

#[tokio::test]
async fn a_page_whose_token_was_lost_is_had_again() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let request = by("LNS-1", "snap");
    dies(&mut till, "checkout.charged=abort", &request).await;
    let answer = till.pay(request).await;
    let token = answer.payment(200)["token"].clone();
    let pages = till
        .shop
        .midtrans
        .get("/sim/snap?order_id=LNS-1")
        .await
        .unwrap();
    let open: Vec<_> = pages.body["pages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|page| page["state"] == "open")
        .collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["token"], token);
    till.shop.close().await;
}

#[tokio::test]
async fn after_the_cancel_the_next_click_ends_what_was_begun() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    let request = by("LNS-1", "gopay");
    dies(&mut till, "checkout.cancelled=abort", &request).await;
    let answer = till.pay(request).await;
    assert_eq!(answer.payment(200)["session_id"], "LNS-1-2");
    till.shop
        .until_payment("LNS-1", json!({"status": "cancel"}))
        .await;
    till.shop
        .until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 1);
    till.shop.close().await;
}
