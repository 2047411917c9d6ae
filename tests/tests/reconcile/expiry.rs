//! Orders whose time is over.

use lunas_tests::harness::Shop;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{PRICE, SLOT, charged, gopay, open, order, silence, until};

/// The time of every order and payment was over five minutes ago.
async fn all_over(pool: &PgPool) {
    for statement in [
        "UPDATE orders SET expires_at = now() - interval '5 minutes'",
        "UPDATE payments SET expires_at = now() - interval '5 minutes', next_check_at = now()",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

async fn reserved(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT reserved FROM capacity_slots WHERE id = $1")
        .bind(SLOT)
        .fetch_one(shop.stage().pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_that_nobody_began_to_pay_is_closed_and_gives_everything_back() {
    let shop = open("expire_orders=300ms").await;
    let pool = shop.stage().pool();
    order("LNS-1").without_session().insert(pool).await;
    order("LNS-2").insert(pool).await;
    // Only now: its row is there before its lines are.
    sqlx::query(
        "UPDATE orders SET expires_at = now() - interval '1 minute' WHERE order_code = 'LNS-1'",
    )
    .execute(pool)
    .await
    .unwrap();
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    assert_eq!(shop.order_row("LNS-2").await["status"], "PENDING");
    assert_eq!(reserved(&shop).await, 2);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_midtrans_still_waits_for_is_expired_there_before_the_order_closes() {
    let shop = open("expire_orders=300ms").await;
    charged(&shop, "LNS-1").await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    all_over(shop.stage().pool()).await;
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    assert_eq!(shop.payment_row("LNS-1").await["status"], "expire");
    let there = shop
        .midtrans
        .get("/sim/transactions?order_id=LNS-1")
        .await
        .unwrap();
    assert_eq!(
        there.body["transactions"][0]["transaction_status"],
        "expire"
    );
    assert_eq!(reserved(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_customer_who_paid_at_the_last_moment_has_his_order() {
    let shop = open("expire_orders=300ms").await;
    silence(&shop).await;
    charged(&shop, "LNS-1").await;
    shop.step("LNS-1", "pay", json!({})).await;
    all_over(shop.stage().pool()).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}

#[tokio::test]
async fn no_order_closes_while_midtrans_cannot_be_asked() {
    let shop = open("expire_orders=300ms").await;
    charged(&shop, "LNS-1").await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    let down = shop
        .midtrans
        .arm(json!({"api": {"call": "any", "answer": "down"}}))
        .await;
    all_over(shop.stage().pool()).await;
    let pool = shop.stage().pool();
    until(
        pool,
        "SELECT count(*) > 0 FROM job_runs WHERE progressed_at > created_at + interval '1 second'",
        true,
    )
    .await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    let trick = format!("/sim/tricks/{}", down.unwrap());
    shop.midtrans.delete(&trick).await.unwrap();
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_ran_out_without_a_notification_ends_its_payment() {
    let shop = open("reconcile_status=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    all_over(shop.stage().pool()).await;
    shop.until_payment("LNS-1", json!({"status": "expire"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    assert_eq!(reserved(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_may_still_be_used_keeps_its_order_open_until_it_is_ended() {
    let shop = open("expire_orders=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    let pool = shop.stage().pool();
    // Over here a moment ago; Midtrans may take a little longer to notice.
    for statement in [
        "UPDATE orders SET expires_at = now() - interval '10 seconds'",
        "UPDATE payments SET expires_at = now() - interval '10 seconds'",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    let looked = "SELECT coalesce(sum(checked), 0) >= 2 FROM job_runs WHERE status = 'done'";
    until(pool, looked, true).await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    assert_eq!(reserved(&shop).await, 2);
    all_over(pool).await;
    shop.until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    assert_eq!(shop.payment_row("LNS-1").await["status"], "expire");
    assert_eq!(reserved(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_lags_behind_its_end_is_ended_by_the_check() {
    let shop = open("reconcile_status=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    shop.charge("LNS-1", PRICE, gopay()).await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    all_over(shop.stage().pool()).await;
    shop.until_payment("LNS-1", json!({"status": "expire"}))
        .await;
    shop.close().await;
}
