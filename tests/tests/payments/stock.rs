//! Orders that were closed open again when they are to be paid, if what they held can be had.

use lunas_tests::sim::Call;
use serde_json::{Value, json};
use time::Duration;

use crate::support::{Till, by, by_bank};

/// An order with two places and one thing, of which there are ten and five.
async fn order_with_goods(till: &Till, code: &str) {
    till.order(code).await;
    till.run(
        "INSERT INTO capacity_slots (id, name, starts_at, price, capacity)
         VALUES ('gig', 'A gig', now() + interval '7 days', 50000, 10)
         ON CONFLICT DO NOTHING",
    )
    .await;
    till.run(
        "INSERT INTO product_variants (sku, name, price, stock)
         VALUES ('shirt', 'A shirt', 50000, 5) ON CONFLICT DO NOTHING",
    )
    .await;
    till.run(
        "INSERT INTO order_items (order_id, kind, slot_id, sku, quantity, unit_price)
         SELECT o.id, l.kind, l.slot_id, l.sku, l.quantity, 50000
         FROM orders o, (VALUES ('ticket', 'gig', NULL, 2), ('product', NULL, 'shirt', 1))
             AS l (kind, slot_id, sku, quantity)
         WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.order_id = o.id)",
    )
    .await;
    till.run("UPDATE capacity_slots SET reserved = reserved + 2")
        .await;
    till.run("UPDATE product_variants SET reserved = reserved + 1")
        .await;
}

async fn counters(till: &Till) -> Value {
    let query = "SELECT jsonb_build_array(s.reserved, s.sold, v.reserved, v.stock)
                 FROM capacity_slots s, product_variants v WHERE s.id = $1";
    till.shop.row(query, "gig").await
}

#[tokio::test]
async fn an_expired_order_opens_again_with_new_time_and_is_paid() {
    let mut till = Till::open().await;
    order_with_goods(&till, "LNS-1").await;
    till.pay(by("LNS-1", "gopay")).await.payment(201);
    till.shop.step("LNS-1", "expire", json!({})).await;
    till.shop
        .until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    assert_eq!(counters(&till).await, json!([0, 0, 0, 5]));
    till.run("UPDATE orders SET expires_at = now() - interval '1 minute'")
        .await;

    let answer = till.pay(by("LNS-1", "gopay")).await;
    assert_eq!(answer.payment(201)["session_id"], "LNS-1-2");
    let order = till
        .shop
        .until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    assert_eq!(order["capacity_released_at"], Value::Null);
    let later = "SELECT to_jsonb(expires_at > now() + interval '23 hours') FROM orders
                 WHERE order_code = $1";
    assert_eq!(till.shop.row(later, "LNS-1").await, json!(true));
    assert_eq!(counters(&till).await, json!([2, 0, 1, 5]));

    till.shop.step("LNS-1-2", "pay", json!({})).await;
    till.shop
        .until_order("LNS-1", json!({"status": "PAID"}))
        .await;
    assert_eq!(counters(&till).await, json!([0, 2, 0, 4]));
    till.shop.close().await;
}

#[tokio::test]
async fn an_order_whose_goods_are_gone_stays_closed_and_says_what_is_left() {
    let mut till = Till::open().await;
    order_with_goods(&till, "LNS-1").await;
    till.pay(by("LNS-1", "gopay")).await.payment(201);
    till.shop.step("LNS-1", "expire", json!({})).await;
    till.shop
        .until_order("LNS-1", json!({"status": "EXPIRED"}))
        .await;
    till.run("UPDATE capacity_slots SET capacity = 1").await;
    let answer = till.pay(by("LNS-1", "gopay")).await;
    let problem = answer.problem(409, "stock_issue");
    assert_eq!(
        (
            &problem["stockIssue"],
            &problem["availableStock"],
            &problem["requestedQuantity"],
            &problem["item"]
        ),
        (
            &json!(true),
            &json!(1),
            &json!(2),
            &json!({"kind": "ticket", "slot_id": "gig"})
        )
    );
    let order = till.shop.order_row("LNS-1").await;
    assert_eq!(
        (&order["status"], &order["session_id"]),
        (&json!("EXPIRED"), &json!("LNS-1"))
    );
    assert_eq!(till.shop.payment_row("LNS-1-2").await, Value::Null);
    assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 0);
    till.shop.close().await;
}

#[tokio::test]
async fn an_order_almost_past_its_time_is_given_new_time() {
    let mut till = Till::open().await;
    till.order_for("LNS-1", Duration::seconds(30)).await;
    till.order_for("LNS-2", Duration::seconds(-30)).await;
    for code in ["LNS-1", "LNS-2"] {
        till.pay(by_bank(code, "bca")).await.payment(201);
        let later = "SELECT to_jsonb(expires_at > now() + interval '23 hours') FROM orders
                     WHERE order_code = $1";
        assert_eq!(till.shop.row(later, code).await, json!(true));
    }
    // What the customer has in hand stays good to the end.
    till.run("UPDATE orders SET expires_at = now() + interval '30 seconds'")
        .await;
    let again = till.pay(by_bank("LNS-1", "bca")).await;
    assert_eq!(again.payment(200)["session_id"], "LNS-1");
    till.shop.close().await;
}

#[tokio::test]
async fn changing_the_method_never_lets_go_of_the_last_place() {
    let mut till = Till::open().await;
    order_with_goods(&till, "LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    let watch = "SELECT to_jsonb(count(*)) FROM payment_sync_logs
                 WHERE order_code = $1 AND to_status IN ('CANCELLED', 'EXPIRED')";
    till.pay(by("LNS-1", "snap")).await.payment(201);
    till.pay(by("LNS-1", "gopay")).await.payment(201);
    assert_eq!(till.shop.row(watch, "LNS-1").await, json!(0));
    assert_eq!(counters(&till).await, json!([2, 0, 1, 5]));
    till.shop.close().await;
}
