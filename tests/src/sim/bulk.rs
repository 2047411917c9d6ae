//! The control paths that concern many transactions, or one that no charge made.
//!
//! Reference: the documentation of the module [`crate::sim`].

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::charge;
use super::control::{Outcome, parse};
use super::methods::letters;
use super::model::{Routes, Status, Transaction};
use super::moves::{self, Refusal};
use super::world::World;

type Shared = State<Arc<World>>;

/// The routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/settle-cards", post(settle_cards))
        .route("/sim/pay-all", post(pay_all))
        .route("/sim/static-qris", post(static_qris))
        .route("/sim/burst", post(burst))
}

/// The 16:00 burst: every captured card is booked at once.
async fn settle_cards(State(world): Shared) -> Outcome {
    let count = for_each_in(&world, Status::Capture, moves::settle);
    Ok(Json(json!({"settled": count})))
}

/// Everything pending is paid at once.
async fn pay_all(State(world): Shared) -> Outcome {
    let count = for_each_in(&world, Status::Pending, moves::pay);
    Ok(Json(json!({"paid": count})))
}

fn for_each_in(
    world: &World,
    status: Status,
    step: fn(&mut Transaction, OffsetDateTime) -> Result<(), Refusal>,
) -> usize {
    let ids: Vec<String> = {
        let ledger = world.ledger();
        let there = ledger.all().filter(|txn| txn.status == status);
        there.map(|txn| txn.id.clone()).collect()
    };
    ids.iter()
        .filter(|id| world.change(id, step, |_| ()).is_ok())
        .count()
}

/// The body of a payment on a static QR code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticQris {
    amount: i64,
}

/// Somebody pays a static QR code: no charge, no pending, an order id of Midtrans' making.
async fn static_qris(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let StaticQris { amount } = parse(&body)?;
    let request = json!({
        "payment_type": "qris",
        "transaction_details": {
            "order_id": format!("QRIS-{}", Uuid::new_v4()),
            "gross_amount": amount,
        },
    });
    let now = OffsetDateTime::now_utc();
    let created = charge::create(&request, None, Routes::default(), &world.base, now)?;
    let mut txn = created.transaction;
    moves::pay(&mut txn, now)?;
    Ok(Json(Value::Object(world.adopt(txn))))
}

/// The body of a burst.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    orders: u32,
    #[serde(default = "burst_prefix")]
    prefix: String,
    #[serde(default = "burst_amount")]
    amount: i64,
    #[serde(default)]
    pay: bool,
}

fn burst_prefix() -> String {
    format!("BURST-{}", letters(6))
}

fn burst_amount() -> i64 {
    50_000
}

/// Charges many GoPay orders at once, and pays them if asked.
async fn burst(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let burst: Burst = parse(&body)?;
    for number in 1..=burst.orders.min(100_000) {
        let order_id = format!("{}-{number}", burst.prefix);
        let request = json!({
            "payment_type": "gopay",
            "transaction_details": {"order_id": order_id, "gross_amount": burst.amount},
        });
        world.charge(&request, Routes::default())?;
        if burst.pay {
            world.change(&order_id, moves::pay, |_| ())?;
        }
        // Others get their turn: a burst may take seconds.
        tokio::task::yield_now().await;
    }
    Ok(Json(
        json!({"orders": burst.orders, "prefix": burst.prefix}),
    ))
}
