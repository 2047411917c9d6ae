//! Notification and reconciler at the same payment at the same instant.

use serde_json::{Value, json};

use crate::support::{open, paid, silence, unfulfilled, until};

#[tokio::test]
async fn five_hundred_meetings_change_every_order_once() {
    let shop = open("reconcile_status=200ms").await;
    let held = shop.midtrans.arm(json!({"hold": true})).await.unwrap();
    paid(&shop, 500).await;
    shop.midtrans
        .delete(&format!("/sim/tricks/{held}"))
        .await
        .unwrap();
    let pool = shop.stage().pool().clone();
    // Everything is due, and everything is sent.
    let released = shop.midtrans.post("/sim/release", json!({"reverse": true}));
    let due = sqlx::query("UPDATE payments SET next_check_at = now()").execute(&pool);
    let (released, due) = tokio::join!(released, due);
    released.unwrap();
    due.unwrap();
    until(
        &pool,
        "SELECT count(*) FROM orders WHERE status = 'PAID'",
        500_i64,
    )
    .await;
    assert!(shop.sim.wait_idle(crate::support::LONG).await);
    assert_eq!(unfulfilled(&pool).await, Vec::<Value>::new());
    let events: i64 =
        sqlx::query_scalar("SELECT count(*) FROM domain_events WHERE event_type = 'order.paid'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(events, 500);
    silence(&shop).await;
    shop.close().await;
}
