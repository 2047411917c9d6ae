//! How a session finds its order.

use lunas_tests::harness::{Expect, Method, OrderRow, Payment, Shop};
use serde_json::{Value, json};

#[tokio::test]
async fn a_webhook_before_its_order_is_linked_when_the_order_comes() {
    let mut shop = Shop::open().await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 150_000);
    assert_eq!(shop.post(&payment.settlement()).await, 200);
    let orphan = json!({"status": "settlement", "order_id": null, "origin": "webhook"});
    shop.until_payment("LNS-1", orphan).await;
    let order = OrderRow::pending("LNS-1", 150_000).without_session();
    let id = order.insert(shop.stage().pool()).await;
    shop.until_payment("LNS-1", json!({"order_id": id})).await;
    shop.until_order("LNS-1", json!({"status": "PAID", "session_id": "LNS-1"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn the_merchants_own_fields_name_the_order() {
    let mut shop = Shop::open().await;
    let by_code = order(&shop, "SHOP-A").await;
    let by_custom = order(&shop, "SHOP-B").await;
    let by_id = order(&shop, "SHOP-C").await;
    let named = [
        ("x-1", "SHOP-A", by_code, metadata("SHOP-A")),
        (
            "x-2",
            "SHOP-B",
            by_custom,
            ("custom_field1", json!("SHOP-B")),
        ),
        ("x-3", "SHOP-C", by_id, metadata(&by_id.to_string())),
    ];
    for (session, code, id, (field, value)) in named {
        let payment = Payment::new(Method::Gopay, session, 150_000);
        let sent = payment.settlement().field(field, value);
        assert_eq!(shop.post(&sent).await, 200);
        shop.until_payment(session, json!({"order_id": id})).await;
        shop.until_order(code, json!({"status": "PAID", "session_id": session}))
            .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn the_merchants_own_fields_name_an_order_that_comes_later() {
    let mut shop = Shop::open().await;
    let sent = [
        ("y-1", "SHOP-A", metadata("SHOP-A")),
        ("y-2", "SHOP-B", ("custom_field1", json!("SHOP-B"))),
    ];
    for (session, _, (field, value)) in &sent {
        let payment = Payment::new(Method::Gopay, session, 150_000);
        let sent = payment.settlement().field(field, value.clone());
        assert_eq!(shop.post(&sent).await, 200);
        shop.until_payment(session, json!({"status": "settlement", "order_id": null}))
            .await;
    }
    for (session, code, _) in &sent {
        let id = order(&shop, code).await;
        shop.until_payment(session, json!({"order_id": id})).await;
        shop.until_order(code, json!({"status": "PAID", "session_id": session}))
            .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_payment_of_checkout_without_an_order_is_never_linked_by_unsigned_fields() {
    let mut shop = Shop::open().await;
    shop.order("SHOP-A", 150_000).await;
    sqlx::query(
        "INSERT INTO payments (session_id, origin, user_id, gross_amount)
         VALUES ('alone', 'checkout', 'user-2', 150000)",
    )
    .execute(shop.stage().pool())
    .await
    .unwrap();
    let payment = Payment::new(Method::Gopay, "alone", 150_000);
    let (field, value) = metadata("SHOP-A");
    let sent = payment.settlement().field(field, value);
    assert_eq!(shop.post(&sent).await, 200);
    shop.until_payment("alone", json!({"status": "settlement", "order_id": null}))
        .await;
    shop.until_order("SHOP-A", json!({"status": "PENDING"}))
        .await;
    shop.close().await;
}

#[tokio::test]
async fn an_orphan_blocks_nothing_behind_it() {
    let mut shop = Shop::open().await;
    let stray = Payment::new(Method::Gopay, "nobody-knows", 1_000);
    assert_eq!(shop.post(&stray.settlement()).await, 200);
    shop.order("LNS-1", 150_000).await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 150_000);
    assert_eq!(shop.post(&payment.settlement()).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.until_payment(
        "nobody-knows",
        json!({"order_id": null, "status": "settlement"}),
    )
    .await;
    shop.close_expecting(Expect::clean().delayed_left()).await;
}

async fn order(shop: &Shop, code: &str) -> i64 {
    let order = OrderRow::pending(code, 150_000).without_session();
    order.insert(shop.stage().pool()).await
}

fn metadata(order: &str) -> (&'static str, Value) {
    ("metadata", json!({"order_id": order, "basket": "b-1"}))
}
