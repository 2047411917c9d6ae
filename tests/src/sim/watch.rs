//! The control paths under `/sim` that look: log, traffic, books; and those for tricks.
//!
//! Reference: the documentation of the module [`crate::sim`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::control::{Trouble, parse, view};
use super::log::{Attempt, Traffic};
use super::parcel::Parcel;
use super::trick::Trick;
use super::world::World;

type Shared = State<Arc<World>>;
type Outcome = Result<Json<Value>, Trouble>;

/// The routes that look at the simulator or set it up.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/log", get(log).delete(clear_log))
        .route("/sim/idle", get(idle))
        .route("/sim/transactions", get(transactions))
        .route("/sim/snap", get(pages))
        .route("/sim/tricks", get(tricks).post(arm).delete(disarm_all))
        .route("/sim/tricks/{id}", delete(disarm))
        .route("/sim/held", get(held))
        .route("/sim/release", post(release))
        .route("/sim/notify-url", post(notify_url))
        .route("/sim/test-notification", post(test_notification))
        .route("/sim/health", get(health))
}

/// Longest wait a request may ask for.
const LONGEST_WAIT_MS: u64 = 60_000;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LogQuery {
    order_id: Option<String>,
    transaction_status: Option<String>,
    after: u64,
    /// Wait until this many lines match.
    at_least: usize,
    wait_ms: u64,
}

async fn log(State(world): Shared, Query(query): Query<LogQuery>) -> Outcome {
    let log = &world.courier.log;
    let matches = |line: &Attempt| {
        let order = query.order_id.as_ref();
        let status = query.transaction_status.as_ref();
        line.seq > query.after
            && order.is_none_or(|order| *order == line.order_id)
            && status.is_none_or(|status| *status == line.transaction_status)
    };
    if query.wait_ms > 0 {
        let within = Duration::from_millis(query.wait_ms.min(LONGEST_WAIT_MS));
        let enough = |_: &Traffic| log.count_lines(matches) >= query.at_least;
        log.wait(within, enough).await;
    }
    let attempts = log.select(matches);
    Ok(Json(
        json!({"attempts": attempts, "traffic": log.traffic()}),
    ))
}

async fn clear_log(State(world): Shared) -> Outcome {
    world.courier.log.clear();
    Ok(Json(json!({"traffic": world.courier.log.traffic()})))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IdleQuery {
    wait_ms: u64,
}

async fn idle(State(world): Shared, Query(query): Query<IdleQuery>) -> Outcome {
    let log = &world.courier.log;
    let within = Duration::from_millis(query.wait_ms.min(LONGEST_WAIT_MS));
    let idle = log.wait(within, |traffic| traffic.outstanding == 0).await;
    Ok(Json(json!({"idle": idle, "traffic": log.traffic()})))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListQuery {
    order_id: Option<String>,
    transaction_status: Option<String>,
    limit: usize,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            order_id: None,
            transaction_status: None,
            limit: 1_000,
        }
    }
}

async fn transactions(State(world): Shared, Query(query): Query<ListQuery>) -> Outcome {
    let ledger = world.ledger();
    let wanted = query.transaction_status.as_deref();
    let mut found: Vec<_> = match &query.order_id {
        Some(id) => ledger.of_order(id),
        None => ledger.all().collect(),
    };
    found.retain(|txn| wanted.is_none_or(|status| txn.status.as_str() == status));
    let skip = found.len().saturating_sub(query.limit);
    let views: Vec<Value> = found[skip..].iter().map(|txn| view(&world, txn)).collect();
    Ok(Json(json!({"count": found.len(), "transactions": views})))
}

async fn pages(State(world): Shared, Query(query): Query<ListQuery>) -> Outcome {
    let ledger = world.ledger();
    let wanted = query.order_id.as_deref();
    let pages: Vec<Value> = ledger
        .pages()
        .filter(|page| wanted.is_none_or(|order| order == page.order_id))
        .map(|page| {
            json!({"token": page.token, "order_id": page.order_id, "state": page.state.as_str()})
        })
        .collect();
    Ok(Json(json!({"pages": pages})))
}

async fn arm(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let trick: Trick = parse(&body)?;
    let id = world.tricks().arm(trick);
    Ok(Json(json!({"id": id})))
}

async fn tricks(State(world): Shared) -> Outcome {
    let tricks = world.tricks();
    let list: Vec<Value> = tricks
        .list()
        .iter()
        .map(|(id, trick)| json!({"id": id, "trick": trick}))
        .collect();
    Ok(Json(json!({"tricks": list})))
}

async fn disarm_all(State(world): Shared) -> Outcome {
    let removed = world.tricks().disarm(None);
    Ok(Json(json!({"removed": removed})))
}

async fn disarm(State(world): Shared, Path(id): Path<u64>) -> Outcome {
    let removed = world.tricks().disarm(Some(id));
    Ok(Json(json!({"removed": removed})))
}

async fn held(State(world): Shared) -> Outcome {
    let held: Vec<Value> = world
        .courier
        .held()
        .into_iter()
        .map(|(order_id, status)| json!({"order_id": order_id, "transaction_status": status}))
        .collect();
    Ok(Json(json!({"held": held})))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Release {
    order_id: Option<String>,
    reverse: bool,
}

async fn release(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let release: Release = parse(&body)?;
    let count = world
        .courier
        .release(release.order_id.as_deref(), release.reverse);
    Ok(Json(json!({"released": count})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyUrl {
    url: String,
}

async fn notify_url(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let NotifyUrl { url } = parse(&body)?;
    world.set_notify_url(url.clone());
    Ok(Json(json!({"url": url})))
}

/// The dashboard's button: one try, and what came of it.
async fn test_notification(State(world): Shared) -> Outcome {
    let body = body::dashboard_test(&world.merchant);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let parcel = Parcel {
        order_id: text("order_id"),
        transaction_id: text("transaction_id"),
        status: text("transaction_status"),
        url: world.notify_url(),
        body: Arc::new(body),
        copy: 0,
    };
    let reply = world.courier.try_once(&parcel).await;
    Ok(Json(json!({
        "order_id": parcel.order_id,
        "ok": reply.status == Some(200),
        "http_status": reply.status,
        "error": reply.error,
    })))
}

async fn health(State(world): Shared) -> Outcome {
    Ok(Json(
        json!({"status": "ok", "merchant_id": world.merchant.id}),
    ))
}
