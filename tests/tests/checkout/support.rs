//! A storefront on a stage of its own.

use lunas_tests::harness::{Fleet, Shop, Stage, Storefront};
use serde_json::Value;
use sqlx::PgPool;

/// An api without anything else.
pub(crate) async fn storefront() -> (Stage, Fleet, Storefront) {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let front = Storefront::of(&mut fleet);
    (stage, fleet, front)
}

/// A whole fleet with its gateway.
pub(crate) async fn shop() -> (Shop, Storefront) {
    let mut shop = Shop::open_with(|fleet| fleet.workers(1).selling()).await;
    let front = Storefront::of(&mut shop.fleet);
    (shop, front)
}

/// Capacity or stock, reserved, sold.
pub(crate) async fn slot(pool: &PgPool, id: &str) -> (i64, i64, i64) {
    let row = sqlx::query_as("SELECT capacity, reserved, sold FROM capacity_slots WHERE id = $1");
    row.bind(id).fetch_one(pool).await.unwrap()
}

pub(crate) async fn variant(pool: &PgPool, sku: &str) -> (i64, i64, i64) {
    let row = sqlx::query_as("SELECT stock, reserved, sold FROM product_variants WHERE sku = $1");
    row.bind(sku).fetch_one(pool).await.unwrap()
}

pub(crate) async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
