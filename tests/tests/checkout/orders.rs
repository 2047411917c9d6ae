//! Placing an order: what it holds, what is said when it cannot be held, what the shop reads.

use lunas_tests::harness::{products, tickets};
use reqwest::Method;
use serde_json::json;

use crate::support::{count, slot, storefront, text, variant};

#[tokio::test]
async fn an_order_holds_what_it_names_and_costs_what_was_asked() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("concert-1", 10, 150_000).await;
    front.put_slot("concert-2", 10, 50_000).await;
    front.put_variant("shirt-m", 5, 90_000).await;
    let items = json!([
        products("shirt-m", 1),
        tickets("concert-1", 2),
        tickets("concert-2", 1),
        tickets("concert-1", 1)
    ]);
    let answer = front.place("user-42", "cart-7", items).await.expect(201);
    assert_eq!(answer["duplicate"], false);
    let order = &answer["order"];
    assert_eq!(order["status"], "PENDING");
    assert_eq!(order["user_id"], "user-42");
    assert_eq!(order["gross_amount"], 3 * 150_000 + 50_000 + 90_000);
    // Lines that name the same ware are one.
    assert_eq!(
        order["items"],
        json!([
            {"kind": "ticket", "slot_id": "concert-1", "name": "Slot concert-1", "quantity": 3,
             "unit_price": 150_000},
            {"kind": "ticket", "slot_id": "concert-2", "name": "Slot concert-2", "quantity": 1,
             "unit_price": 50_000},
            {"kind": "product", "sku": "shirt-m", "name": "Variant shirt-m", "quantity": 1,
             "unit_price": 90_000},
        ])
    );
    assert_eq!(
        (&order["tickets"], &order["payments"]),
        (&json!([]), &json!([]))
    );
    assert!(order["pickup_code"].is_null() && order["picked_up_at"].is_null());
    let code = text(&order["order_code"]);
    let (prefix, rest) = code.split_once('-').unwrap();
    assert_eq!((prefix, rest.len()), ("LNS", 16));
    assert_eq!(front.order(&code).await, *order);

    assert_eq!(slot(stage.pool(), "concert-1").await, (10, 3, 0));
    assert_eq!(slot(stage.pool(), "concert-2").await, (10, 1, 0));
    assert_eq!(variant(stage.pool(), "shirt-m").await, (5, 1, 0));
    let day = "SELECT count(*) FROM orders WHERE expires_at = created_at + interval '24 hours'";
    assert_eq!(count(stage.pool(), day).await, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn the_settings_decide_how_codes_begin_and_when_orders_close() {
    let stage = lunas_tests::harness::Stage::new().await;
    let builder = lunas_tests::harness::Fleet::builder(&stage).selling();
    let builder = builder
        .env("ORDER_CODE_PREFIX", "KONSER26")
        .env("ORDER_TTL", "15m");
    let mut fleet = builder.start().await;
    let front = lunas_tests::harness::Storefront::of(&mut fleet);
    front.put_slot("s", 10, 100).await;
    let answer = front
        .place("u", "k", json!([tickets("s", 1)]))
        .await
        .expect(201);
    assert!(text(&answer["order"]["order_code"]).starts_with("KONSER26-"));
    let quarter =
        "SELECT count(*) FROM orders WHERE expires_at = created_at + interval '15 minutes'";
    assert_eq!(count(stage.pool(), quarter).await, 1);
    fleet.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_and_nothing_is_held() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("full", 3, 100).await;
    front.put_slot("open", 3, 100).await;
    front.put_variant("rare", 2, 100).await;
    front
        .place("u", "first", json!([tickets("full", 1)]))
        .await
        .expect(201);

    let said = front
        .place("u", "a", json!([tickets("open", 1), tickets("full", 3)]))
        .await;
    let problem = said.problem(409, "insufficient_stock");
    assert_eq!(problem["stockIssue"], true);
    assert_eq!(
        (&problem["availableStock"], &problem["requestedQuantity"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(
        problem["item"],
        json!({"kind": "ticket", "slot_id": "full"})
    );

    let said = front
        .place("u", "b", json!([tickets("open", 1), products("rare", 3)]))
        .await;
    let problem = said.problem(409, "insufficient_stock");
    assert_eq!(
        (&problem["availableStock"], &problem["requestedQuantity"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(problem["item"], json!({"kind": "product", "sku": "rare"}));

    // The lines count together.
    let twice = json!([products("rare", 1), products("rare", 2)]);
    let problem = front
        .place("u", "c", twice)
        .await
        .problem(409, "insufficient_stock");
    assert_eq!(problem["requestedQuantity"], 3);

    assert_eq!(slot(stage.pool(), "full").await, (3, 1, 0));
    assert_eq!(slot(stage.pool(), "open").await, (3, 0, 0));
    assert_eq!(variant(stage.pool(), "rare").await, (2, 0, 0));
    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 1);
    assert_eq!(
        count(stage.pool(), "SELECT count(*) FROM idempotency_keys").await,
        1
    );
    // A key that came to nothing is free.
    front
        .place("u", "a", json!([tickets("full", 2)]))
        .await
        .expect(201);
    fleet.finish().await;
}

#[tokio::test]
async fn an_event_that_has_begun_sells_nothing() {
    let (stage, fleet, front) = storefront().await;
    front
        .put_slot_at("over", "2020-01-01T00:00:00Z", 10, 100)
        .await;
    let problem = front.place("u", "k", json!([tickets("over", 1)])).await;
    let problem = problem.problem(409, "event_begun");
    assert_eq!(
        problem["item"],
        json!({"kind": "ticket", "slot_id": "over"})
    );
    assert_eq!(slot(stage.pool(), "over").await, (10, 0, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn an_order_keeps_its_price_when_the_catalog_changes() {
    let (_stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    let answer = front
        .place("u", "k", json!([tickets("s", 2)]))
        .await
        .expect(201);
    front.put_slot("s", 10, 999).await;
    let order = front.order(&text(&answer["order"]["order_code"])).await;
    assert_eq!(
        (&order["gross_amount"], &order["items"][0]["unit_price"]),
        (&json!(200), &json!(100))
    );
    let said = front
        .shop(Method::GET, "/api/orders/LNS-NOBODYHASTHIS", None)
        .await;
    said.problem(404, "order_not_found");
    fleet.finish().await;
}
