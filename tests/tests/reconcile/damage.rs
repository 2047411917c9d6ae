//! Rows that somebody damaged by hand: found, repaired, logged.

use lunas_tests::harness::Shop;
use serde_json::json;

use crate::support::{charged, open, repairs, until};

/// A fulfilled order, and one that was closed.
async fn two_orders(shop: &Shop) {
    charged(shop, "LNS-1").await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    charged(shop, "LNS-2").await;
    shop.step("LNS-2", "expire", json!({})).await;
    shop.until_order("LNS-2", json!({"status": "EXPIRED"}))
        .await;
}

async fn damage(shop: &Shop, statement: &'static str) {
    let done = sqlx::raw_sql(statement).execute(shop.stage().pool()).await;
    done.unwrap();
}

/// Runs the job once, and again: the second run finds nothing.
async fn repaired_once(shop: &Shop, name: &'static str) {
    let pool = shop.stage().pool();
    let mut found = Vec::new();
    for run in 1..=2_i64 {
        let store = shop.stage().database().store();
        store.job_run_request(name, "budi").await.unwrap();
        until(
            pool,
            "SELECT count(*) FROM job_runs WHERE status = 'done'",
            run,
        )
        .await;
        let totals: (i64, i64) =
            sqlx::query_as("SELECT repaired, given_up FROM job_runs ORDER BY id DESC LIMIT 1")
                .fetch_one(pool)
                .await
                .unwrap();
        found.push(totals);
    }
    assert!(found[0].0 >= 1, "{found:?}");
    assert_eq!((found[0].1, found[1]), (0, (0, 0)), "{found:?}");
}

#[tokio::test]
async fn tickets_that_were_deleted_are_issued_again() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(
        &shop,
        "DELETE FROM tickets WHERE id = (SELECT min(id) FROM tickets)",
    )
    .await;
    repaired_once(&shop, "reconcile_effects").await;
    assert_eq!(
        repairs(shop.stage().pool(), "LNS-1").await,
        ["reconcile_fix_ticket_issued"]
    );
    shop.close().await;
}

#[tokio::test]
async fn counters_that_are_off_become_the_sums_of_the_orders() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(
        &shop,
        "UPDATE capacity_slots SET sold = sold + 3, reserved = reserved + 1",
    )
    .await;
    damage(&shop, "UPDATE product_variants SET reserved = reserved + 2").await;
    repaired_once(&shop, "reconcile_effects").await;
    let logged: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM payment_sync_logs WHERE event_type = 'reconcile_fix_counter'",
    )
    .fetch_one(shop.stage().pool())
    .await
    .unwrap();
    assert_eq!(logged, 2);
    shop.close().await;
}

#[tokio::test]
async fn markers_that_are_missing_are_set_and_nothing_is_counted_twice() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    let before = counters(&shop).await;
    damage(
        &shop,
        "UPDATE orders SET tickets_issued_at = NULL, stock_confirmed_at = NULL
         WHERE order_code = 'LNS-1'",
    )
    .await;
    damage(
        &shop,
        "UPDATE orders SET capacity_released_at = NULL, stock_released_at = NULL
         WHERE order_code = 'LNS-2'",
    )
    .await;
    repaired_once(&shop, "reconcile_effects").await;
    assert_eq!(counters(&shop).await, before);
    let paid = repairs(shop.stage().pool(), "LNS-1").await;
    assert_eq!(
        paid,
        ["reconcile_finalize_capacity", "reconcile_confirm_stock"]
    );
    let closed = repairs(shop.stage().pool(), "LNS-2").await;
    assert_eq!(
        closed,
        ["reconcile_release_capacity", "reconcile_release_stock"]
    );
    shop.close().await;
}

#[tokio::test]
async fn a_pickup_code_that_is_gone_is_made_again() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(
        &shop,
        "UPDATE orders SET pickup_code = NULL WHERE order_code = 'LNS-1'",
    )
    .await;
    repaired_once(&shop, "reconcile_effects").await;
    assert_eq!(
        repairs(shop.stage().pool(), "LNS-1").await,
        ["reconcile_fix_pickup_code"]
    );
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_says_something_else_than_its_payments_is_projected_again() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(
        &shop,
        "UPDATE orders SET status = 'PENDING' WHERE order_code = 'LNS-1'",
    )
    .await;
    repaired_once(&shop, "reconcile_effects").await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PAID");
    shop.close().await;
}

#[tokio::test]
async fn links_that_were_cut_are_tied_again() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(
        &shop,
        "UPDATE orders SET session_id = NULL WHERE order_code = 'LNS-1'",
    )
    .await;
    damage(
        &shop,
        "UPDATE payments SET order_id = NULL WHERE session_id = 'LNS-2'",
    )
    .await;
    repaired_once(&shop, "reconcile_links").await;
    assert_eq!(shop.order_row("LNS-1").await["session_id"], "LNS-1");
    assert_ne!(shop.payment_row("LNS-2").await["order_id"], json!(null));
    for code in ["LNS-1", "LNS-2"] {
        assert_eq!(
            repairs(shop.stage().pool(), code).await,
            ["reconcile_link_payment"]
        );
    }
    shop.close().await;
}

#[tokio::test]
async fn more_sold_than_there_is_is_left_to_a_human() {
    let shop = open("alerts=off").await;
    two_orders(&shop).await;
    damage(&shop, "UPDATE capacity_slots SET sold = 0, capacity = 1").await;
    let store = shop.stage().database().store();
    store
        .job_run_request("reconcile_effects", "budi")
        .await
        .unwrap();
    until(
        shop.stage().pool(),
        "SELECT sum(given_up)::bigint FROM job_runs WHERE status = 'done'",
        1_i64,
    )
    .await;
    damage(&shop, "UPDATE capacity_slots SET sold = 2, capacity = 100").await;
    shop.close().await;
}

async fn counters(shop: &Shop) -> (i64, i64, i64, i64, i64) {
    sqlx::query_as(
        "SELECT s.reserved, s.sold, v.reserved, v.sold, v.stock
         FROM capacity_slots s, product_variants v",
    )
    .fetch_one(shop.stage().pool())
    .await
    .unwrap()
}
