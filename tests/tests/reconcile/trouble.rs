//! A gateway that is away, slow, or has had enough, in the middle of a run.

use lunas_tests::harness::{
    Expect, FleetBuilder, Kind, Method, Payment, Shop, insert_slot, insert_variant,
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{PRICE, SKU, SLOT, all_due, charged, open, paid, silence, unfulfilled, until};

/// Messages that are none of ours.
const FOREIGN: i64 = 64;

#[tokio::test]
async fn a_run_outlives_a_gateway_that_is_down_then_slow_then_full() {
    let shop = open("reconcile_status=500ms").await;
    silence(&shop).await;
    paid(&shop, 120).await;
    let pool = shop.stage().pool().clone();
    let down = shop
        .midtrans
        .arm(json!({"api": {"answer": "down"}}))
        .await
        .unwrap();
    all_due(&pool).await;
    // The run is under way and waits; nothing is marked, nothing dies.
    until(
        &pool,
        "SELECT count(*) > 0 FROM job_runs WHERE name = 'reconcile_status'
         AND status = 'running' AND progressed_at > created_at + interval '2 seconds'",
        true,
    )
    .await;
    let settled: i64 =
        sqlx::query_scalar("SELECT count(*) FROM payments WHERE status <> 'created'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(settled, 0);
    shop.midtrans
        .delete(&format!("/sim/tricks/{down}"))
        .await
        .unwrap();
    shop.trick(json!({"times": 20, "api": {"delay_ms": 1_500}}))
        .await;
    shop.trick(json!({"times": 10, "api": {"answer": "too_many_requests"}}))
        .await;
    shop.trick(json!({"times": 2, "api": {"answer": "unavailable"}}))
        .await;
    until(
        &pool,
        "SELECT count(*) FROM orders WHERE status = 'PAID'",
        120_i64,
    )
    .await;
    assert_eq!(unfulfilled(&pool).await, Vec::<Value>::new());
    let failed: i64 = sqlx::query_scalar("SELECT count(*) FROM job_runs WHERE status = 'failed'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(failed, 0);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_cannot_be_asked_about_holds_up_no_other() {
    let shop = open("reconcile_status=300ms").await;
    silence(&shop).await;
    for code in ["LNS-1", "LNS-2"] {
        charged(&shop, code).await;
        shop.step(code, "pay", json!({})).await;
    }
    shop.trick(json!({"order_id": "LNS-1", "api": {"answer": "bad_request"}}))
        .await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    shop.until_order("LNS-2", json!({"status": "PAID"})).await;
    until(&pool, "SELECT sum(given_up) > 0 FROM job_runs", true).await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_takes_its_time_holds_up_no_other_job() {
    let shop = open("reconcile_status=300ms").await;
    silence(&shop).await;
    charged(&shop, "LNS-1").await;
    // As long as the fleet waits for one answer.
    shop.trick(json!({"order_id": "LNS-1", "api": {"delay_ms": 4_500}}))
        .await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    until(
        &pool,
        "SELECT count(*) > 0 FROM job_runs WHERE status = 'running'",
        true,
    )
    .await;
    // So many that every lane has some; what becomes of them is seen at once.
    for _ in 0..FOREIGN {
        let broker = shop.stage().broker();
        broker
            .publish("lunas", "job.confirm", &[], b"foreign")
            .await;
    }
    until(&pool, "SELECT count(*) FROM dead_letters", FOREIGN).await;
    assert_eq!(checked(&pool).await, 0, "they waited for the page");
    shop.close_expecting(Expect::clean().dead_letters(FOREIGN))
        .await;
}

#[tokio::test]
async fn a_worker_that_starts_with_a_page_takes_notifications_meanwhile() {
    let fleet = |fleet: FleetBuilder| fleet.workers(1).jobs("reconcile_status=300ms");
    let mut shop = Shop::open_with(fleet).await;
    insert_slot(shop.stage().pool(), SLOT, 10).await;
    insert_variant(shop.stage().pool(), SKU, 10).await;
    silence(&shop).await;
    charged(&shop, "LNS-1").await;
    shop.trick(json!({"order_id": "LNS-1", "api": {"delay_ms": 4_500}}))
        .await;
    shop.stop_worker().await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    shop.fleet.start(Kind::Scheduler, &[]).await;
    until(
        &pool,
        "SELECT count(*) > 0 FROM job_runs WHERE published_at IS NOT NULL",
        true,
    )
    .await;
    shop.fleet.start(Kind::Worker, &[]).await;
    let running = "SELECT count(*) > 0 FROM job_runs WHERE status = 'running'";
    until(&pool, running, true).await;
    let pending = Payment::new(Method::Gopay, "LNS-2", PRICE).pending();
    assert_eq!(shop.post(&pending).await, 200);
    until(
        &pool,
        "SELECT count(*) FROM payment_webhook_events WHERE processed",
        1_i64,
    )
    .await;
    assert_eq!(checked(&pool).await, 0, "it waited for the page");
    shop.close_expecting(Expect::clean().delayed_left()).await;
}

async fn checked(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT sum(checked)::bigint FROM job_runs")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_worker_that_dies_in_the_middle_of_a_page_is_followed() {
    let mut shop = open("reconcile_status=500ms").await;
    silence(&shop).await;
    paid(&shop, 100).await;
    shop.trick(json!({"api": {"delay_ms": 300}})).await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    until(
        &pool,
        "SELECT count(*) > 0 FROM orders WHERE status = 'PAID'",
        true,
    )
    .await;
    shop.stop_worker().await;
    shop.fleet.start(Kind::Worker, &[]).await;
    until(
        &pool,
        "SELECT count(*) FROM orders WHERE status = 'PAID'",
        100_i64,
    )
    .await;
    assert_eq!(unfulfilled(&pool).await, Vec::<Value>::new());
    shop.close().await;
}
