//! What the stories of the reconciler share.

use futures::stream::{self, StreamExt as _};
use lunas_tests::harness::{OrderRow, Shop, insert_slot, insert_variant, wait_for};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;

pub(crate) const PRICE: i64 = 150_000;
pub(crate) const SLOT: &str = "slot-1";
pub(crate) const SKU: &str = "sku-1";

/// A story may take so long on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(90);

/// A shop with one scheduler that runs the given jobs, and checks payments after a second.
pub(crate) async fn open(jobs: &str) -> Shop {
    let shop = Shop::open_with(|fleet| {
        fleet
            .workers(1)
            .schedulers(1)
            .jobs(jobs)
            .env("RECONCILE_AFTER", "1s")
    });
    let shop = shop.await;
    insert_slot(shop.stage().pool(), SLOT, 100_000).await;
    insert_variant(shop.stage().pool(), SKU, 100_000).await;
    shop
}

/// An order of two tickets and one piece, charged at the gateway.
pub(crate) async fn charged(shop: &Shop, code: &str) {
    order(code).insert(shop.stage().pool()).await;
    shop.charge(code, PRICE, gopay()).await;
}

/// So many orders, charged and paid at the gateway.
pub(crate) async fn paid(shop: &Shop, count: usize) {
    let codes: Vec<String> = (0..count).map(|n| format!("LNS-{n:04}")).collect();
    stream::iter(&codes)
        .for_each_concurrent(16, |code| async {
            charged(shop, code).await;
            shop.step(code, "pay", json!({})).await;
        })
        .await;
}

/// The wallet.
pub(crate) fn gopay() -> Value {
    json!({"payment_type": "gopay"})
}

/// An order of two tickets and one piece.
pub(crate) fn order(code: &str) -> OrderRow {
    OrderRow::pending(code, PRICE)
        .tickets(SLOT, 2)
        .products(SKU, 1)
}

/// No notification reaches the fleet any more.
pub(crate) async fn silence(shop: &Shop) {
    shop.trick(json!({"drop": true})).await;
}

/// Time passes: every payment that is checked again is due now.
pub(crate) async fn all_due(pool: &PgPool) {
    sqlx::query("UPDATE payments SET next_check_at = now() WHERE next_check_at IS NOT NULL")
        .execute(pool)
        .await
        .unwrap();
}

/// Waits until a query answers as wanted.
pub(crate) async fn until<T>(pool: &PgPool, query: &'static str, wanted: T)
where
    T: PartialEq
        + std::fmt::Debug
        + Send
        + Unpin
        + for<'r> sqlx::Decode<'r, sqlx::Postgres>
        + sqlx::Type<sqlx::Postgres>,
{
    let what = format!("{query} to be {wanted:?}");
    wait_for(&what, LONG, async || {
        let found: T = sqlx::query_scalar(query)
            .fetch_one(pool)
            .await
            .map_err(|error| error.to_string())?;
        match found == wanted {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    })
    .await;
}

/// What the log says of an order: kinds of repairs, oldest first.
pub(crate) async fn repairs(pool: &PgPool, code: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT event_type FROM payment_sync_logs
         WHERE order_code = $1 AND event_type LIKE 'reconcile%' ORDER BY id",
    )
    .bind(code)
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What is wrong with an order that should be paid and have everything: nothing.
pub(crate) async fn unfulfilled(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT jsonb_build_object('order', o.order_code, 'status', o.status,
                    'tickets', (SELECT count(*) FROM tickets t
                                JOIN order_items i ON i.id = t.order_item_id
                                WHERE i.order_id = o.id AND t.voided_at IS NULL))
         FROM orders o
         WHERE o.status <> 'PAID' OR o.pickup_code IS NULL OR o.stock_confirmed_at IS NULL
            OR (SELECT count(*) FROM tickets t JOIN order_items i ON i.id = t.order_item_id
                WHERE i.order_id = o.id AND t.voided_at IS NULL) <> 2
         LIMIT 5",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}
