//! `POST /admin/orders/{order_code}/sync-payment`: an operator asks Midtrans about one order.

use lunas_tests::harness::{Expect, Shop, Storefront};
use lunas_tests::sim::Call;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{PRICE, log, open_slot, order, paid_in_silence, tickets};

/// A shop with a slot, and its api.
async fn shop() -> (Shop, Storefront) {
    let mut shop =
        Shop::open_with(|fleet| fleet.workers(1).selling().env("MIDTRANS_RPS", "500")).await;
    open_slot(&shop).await;
    let front = Storefront::of(&mut shop.fleet);
    (shop, front)
}

fn path(name: &str) -> String {
    format!("/admin/orders/{name}/sync-payment")
}

async fn sync(front: &Storefront, name: &str) -> Value {
    let said = front.operator(Method::POST, &path(name), None).await;
    said.expect(200)
}

#[tokio::test]
async fn a_payment_nobody_told_of_is_found_and_fulfilled_and_the_second_time_nothing_changes() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    paid_in_silence(&shop, "LNS-1").await;
    let first = sync(&front, "LNS-1").await;
    assert_eq!(first, json!({"updated": true, "status": "PAID"}));
    assert_eq!(tickets(&shop, "LNS-1").await, json!(2));
    let second = sync(&front, "LNS-1").await;
    assert_eq!(second, json!({"updated": false, "status": "PAID"}));
    let rows = log(&shop, "LNS-1").await;
    let rows = rows.as_array().unwrap();
    let asked = [
        json!(["sync_payment", "budi", "PENDING", "PAID"]),
        json!(["sync_payment", "budi", "PAID", "PAID"]),
    ];
    assert!(asked.iter().all(|row| rows.contains(row)), "{rows:?}");
    shop.close().await;
}

#[tokio::test]
async fn a_session_nobody_has_begun_to_pay_is_no_error() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    let answer = sync(&front, "LNS-1").await;
    assert_eq!(answer, json!({"updated": false, "status": "PENDING"}));
    assert_eq!(shop.sim.calls(Call::Status, "LNS-1"), 1);
    shop.close().await;
}

#[tokio::test]
async fn every_session_of_an_order_is_asked_about() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    another_session(&shop, "LNS-1", "LNS-1-2").await;
    shop.trick(json!({"order_id": "LNS-1", "on": ["expire"], "drop": true}))
        .await;
    let gopay = json!({"payment_type": "gopay"});
    shop.charge("LNS-1", PRICE, gopay).await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    shop.step("LNS-1", "expire", json!({})).await;
    paid_in_silence(&shop, "LNS-1-2").await;
    let answer = sync(&front, "LNS-1").await;
    assert_eq!(answer, json!({"updated": true, "status": "PAID"}));
    assert_eq!(shop.payment_row("LNS-1").await["status"], "expire");
    assert_eq!(shop.payment_row("LNS-1-2").await["status"], "settlement");
    assert_eq!(tickets(&shop, "LNS-1").await, json!(2));
    // The order is found by any of its sessions.
    let answer = sync(&front, "LNS-1-2").await;
    assert_eq!(answer, json!({"updated": false, "status": "PAID"}));
    shop.close().await;
}

#[tokio::test]
async fn what_is_missing_of_a_paid_order_is_repaired_in_the_operators_name() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    paid_in_silence(&shop, "LNS-1").await;
    sync(&front, "LNS-1").await;
    sqlx::raw_sql("DELETE FROM tickets WHERE id = (SELECT min(id) FROM tickets)")
        .execute(shop.stage().pool())
        .await
        .unwrap();
    assert_eq!(tickets(&shop, "LNS-1").await, json!(1));
    let answer = sync(&front, "LNS-1").await;
    assert_eq!(answer, json!({"updated": true, "status": "PAID"}));
    assert_eq!(tickets(&shop, "LNS-1").await, json!(2));
    let rows = log(&shop, "LNS-1").await;
    let repair = json!(["reconcile_fix_ticket_issued", "budi", "PAID", "PAID"]);
    assert!(rows.as_array().unwrap().contains(&repair), "{rows}");
    shop.close().await;
}

#[tokio::test]
async fn a_gateway_that_is_away_is_told_and_nothing_is_changed() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    paid_in_silence(&shop, "LNS-1").await;
    let away = json!({"api": {"call": "any", "answer": "unavailable"}});
    shop.trick(away).await;
    let said = front.operator(Method::POST, &path("LNS-1"), None).await;
    let problem = said.problem(503, "gateway_unavailable");
    assert!(problem["retryAfter"].is_u64(), "{problem}");
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    let rows = log(&shop, "LNS-1").await;
    assert_eq!(
        rows,
        json!([["sync_payment", "budi", "PENDING", "PENDING"]])
    );
    shop.close().await;
}

#[tokio::test]
async fn what_was_answered_is_applied_when_the_rest_was_not() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    another_session(&shop, "LNS-1", "LNS-1-2").await;
    paid_in_silence(&shop, "LNS-1-2").await;
    let away = json!({"order_id": "LNS-1", "api": {"answer": "unavailable"}});
    shop.trick(away).await;
    let said = front.operator(Method::POST, &path("LNS-1"), None).await;
    let problem = said.problem(503, "sync_incomplete");
    assert_eq!(problem["updated"], true);
    assert_eq!(problem["order_status"], "PAID");
    assert_eq!(problem["unanswered"], json!(["LNS-1"]));
    assert!(problem["retryAfter"].is_u64(), "{problem}");
    assert_eq!(tickets(&shop, "LNS-1").await, json!(2));
    shop.close().await;
}

#[tokio::test]
async fn a_payment_without_an_order_is_asked_about_by_its_session() {
    let (shop, front) = shop().await;
    shop.trick(json!({"order_id": "STRANGE-1", "on": ["settlement"], "drop": true}))
        .await;
    let gopay = json!({"payment_type": "gopay"});
    shop.charge("STRANGE-1", PRICE, gopay).await;
    shop.until_payment("STRANGE-1", json!({"status": "pending"}))
        .await;
    shop.step("STRANGE-1", "pay", json!({})).await;
    let answer = sync(&front, "STRANGE-1").await;
    assert_eq!(answer, json!({"updated": true, "status": "settlement"}));
    let again = sync(&front, "STRANGE-1").await;
    assert_eq!(again, json!({"updated": false, "status": "settlement"}));
    shop.close_expecting(Expect::clean().delayed_left()).await;
}

#[tokio::test]
async fn only_operators_may_ask_and_only_about_what_there_is() {
    let (shop, front) = shop().await;
    order(&shop, "LNS-1").await;
    let said = front.viewer(Method::POST, &path("LNS-1"), None).await;
    said.problem(403, "forbidden");
    let said = front.operator(Method::POST, &path("LNS-2"), None).await;
    said.problem(404, "order_not_found");
    assert_eq!(log(&shop, "LNS-1").await, json!([]));
    assert_eq!(shop.sim.calls(Call::Status, "LNS-1"), 0);
    shop.close().await;
}

/// A later attempt to pay an order.
async fn another_session(shop: &Shop, code: &str, session: &str) {
    let query = "INSERT INTO payments (session_id, order_id, origin, user_id, gross_amount)
                 SELECT $2, id, 'checkout', user_id, gross_amount FROM orders
                 WHERE order_code = $1";
    let made = sqlx::query(query).bind(code).bind(session);
    made.execute(shop.stage().pool()).await.unwrap();
}
