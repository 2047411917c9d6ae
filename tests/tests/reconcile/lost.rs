//! Notifications that never come.

use serde_json::{Value, json};

use crate::support::{
    PRICE, all_due, charged, gopay, open, order, paid, repairs, silence, unfulfilled, until,
};

#[tokio::test]
async fn a_thousand_orders_without_a_notification_are_fulfilled_once() {
    let shop = open("reconcile_status=500ms").await;
    silence(&shop).await;
    paid(&shop, 1_000).await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    until(
        &pool,
        "SELECT count(*) FROM orders WHERE status = 'PAID'",
        1_000_i64,
    )
    .await;
    assert_eq!(unfulfilled(&pool).await, Vec::<Value>::new());
    let logged = repairs(&pool, "LNS-0007").await;
    assert!(
        logged.contains(&"reconcile_status_changed".to_owned()),
        "{logged:?}"
    );
    assert!(
        logged.contains(&"reconcile_fix_ticket_issued".to_owned()),
        "{logged:?}"
    );
    // What is final and agrees with its order is not looked at again.
    until(
        &pool,
        "SELECT count(*) FROM payments WHERE next_check_at IS NOT NULL",
        0_i64,
    )
    .await;
    let repaired: i64 = sqlx::query_scalar(
        "SELECT sum(repaired)::bigint FROM job_runs WHERE name = 'reconcile_status'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(repaired, 1_000);
    shop.close().await;
}

#[tokio::test]
async fn a_payment_that_the_fleet_never_heard_of_is_found_by_its_session() {
    let shop = open("reconcile_status=300ms").await;
    silence(&shop).await;
    charged(&shop, "LNS-1").await;
    let pool = shop.stage().pool().clone();
    // Not paid yet: nothing changes but the transaction, and it is looked at again.
    all_due(&pool).await;
    shop.until_payment("LNS-1", json!({"status": "pending", "checks": 0}))
        .await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    shop.step("LNS-1", "pay", json!({})).await;
    all_due(&pool).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}

#[tokio::test]
async fn a_refund_that_nobody_told_about_is_found_while_the_payment_is_watched() {
    let shop = open("reconcile_status=300ms").await;
    charged(&shop, "LNS-1").await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    silence(&shop).await;
    shop.midtrans
        .post("/sim/orders/LNS-1/refund", json!({"confirm": "now"}))
        .await
        .unwrap();
    let pool = shop.stage().pool().clone();
    sqlx::query("UPDATE payments SET status = 'pending', next_check_at = now()")
        .execute(&pool)
        .await
        .unwrap();
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn a_page_that_nobody_used_has_not_started_and_is_no_error() {
    let shop = open("reconcile_status=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    let pool = shop.stage().pool().clone();
    all_due(&pool).await;
    until(
        &pool,
        "SELECT checks FROM payments WHERE session_id = 'LNS-1'",
        1_i32,
    )
    .await;
    assert_eq!(shop.order_row("LNS-1").await["status"], "PENDING");
    assert_eq!(shop.payment_row("LNS-1").await["status"], "created");
    let given_up: i64 =
        sqlx::query_scalar("SELECT coalesce(sum(given_up), 0)::bigint FROM job_runs")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(given_up, 0);
    shop.close().await;
}

#[tokio::test]
async fn what_midtrans_knows_by_its_own_id_only_is_asked_for_by_it() {
    let shop = open("reconcile_status=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    let body = json!({"payment_type": "dana"});
    let charged = shop.midtrans.charge("LNS-1", PRICE, body).await.unwrap();
    let code = charged["status_code"].as_str().unwrap_or_default();
    assert!(code.starts_with("20"), "{charged}");
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    silence(&shop).await;
    shop.step("LNS-1", "pay", json!({})).await;
    all_due(shop.stage().pool()).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}

#[tokio::test]
async fn a_second_payment_in_the_same_page_is_found_after_a_deny() {
    let shop = open("reconcile_status=300ms").await;
    order("LNS-1").insert(shop.stage().pool()).await;
    // Born of a notification or of a page: another transaction may follow in the same session.
    sqlx::query("UPDATE payments SET snap_token = 'page'")
        .execute(shop.stage().pool())
        .await
        .unwrap();
    let card = json!({"payment_type": "credit_card",
        "credit_card": {"token_id": "481111-1114", "authentication": true}});
    shop.charge("LNS-1", PRICE, card).await;
    shop.step("LNS-1", "deny", json!({})).await;
    shop.until_payment("LNS-1", json!({"status": "deny"})).await;
    silence(&shop).await;
    shop.charge("LNS-1", PRICE, gopay()).await;
    shop.step("LNS-1", "pay", json!({})).await;
    sqlx::query(
        "UPDATE payments SET next_check_at = now(), expires_at = now() + interval '1 hour'",
    )
    .execute(shop.stage().pool())
    .await
    .unwrap();
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}
