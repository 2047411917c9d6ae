//! A stand that sells one slot and one variant, and its orders.

use lunas_tests::harness::{Method, OrderRow, Payment, Shop, insert_slot, insert_variant};
use serde_json::{Value, json};

pub(crate) const PRICE: i64 = 150_000;
pub(crate) const SLOT: &str = "slot-1";
pub(crate) const SKU: &str = "sku-1";

/// A shop with ten places and ten pieces.
pub(crate) async fn stand() -> Shop {
    let shop = Shop::open().await;
    stock(&shop, 10, 10).await;
    shop
}

/// So many places and pieces.
pub(crate) async fn stock(shop: &Shop, places: i64, pieces: i64) {
    insert_slot(shop.stage().pool(), SLOT, places).await;
    insert_variant(shop.stage().pool(), SKU, pieces).await;
}

/// An order of two tickets and one piece.
pub(crate) fn order(code: &str) -> OrderRow {
    OrderRow::pending(code, PRICE)
        .tickets(SLOT, 2)
        .products(SKU, 1)
}

/// A payment of the order's first session.
pub(crate) fn gopay(code: &str) -> Payment {
    Payment::new(Method::Gopay, code, PRICE)
}

/// Reserved and sold places, reserved and sold and remaining pieces.
pub(crate) async fn counters(shop: &Shop) -> [i64; 5] {
    let row: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "SELECT s.reserved, s.sold, v.reserved, v.sold, v.stock
         FROM capacity_slots s, product_variants v WHERE s.id = $1 AND v.sku = $2",
    )
    .bind(SLOT)
    .bind(SKU)
    .fetch_one(shop.stage().pool())
    .await
    .unwrap();
    [row.0, row.1, row.2, row.3, row.4]
}

/// The codes of the order's tickets: valid, and void.
pub(crate) async fn tickets(shop: &Shop, code: &str) -> (Vec<String>, Vec<String>) {
    let rows: Vec<(String, bool)> = sqlx::query_as(
        "SELECT t.code, t.voided_at IS NOT NULL FROM tickets t
         JOIN order_items i ON i.id = t.order_item_id JOIN orders o ON o.id = i.order_id
         WHERE o.order_code = $1 ORDER BY t.id",
    )
    .bind(code)
    .fetch_all(shop.stage().pool())
    .await
    .unwrap();
    let (void, valid): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, void)| *void);
    let codes = |rows: Vec<(String, bool)>| rows.into_iter().map(|(code, _)| code).collect();
    (codes(valid), codes(void))
}

/// Waits until the order has this status and these reasons; its row.
pub(crate) async fn until(shop: &Shop, code: &str, status: &str, reasons: &[&str]) -> Value {
    let wanted = json!({"status": status, "review_reasons": reasons});
    shop.until_order(code, wanted).await
}

/// Runs a statement on the database, as something that happened elsewhere.
pub(crate) async fn run(shop: &Shop, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(shop.stage().pool())
        .await
        .unwrap();
}
