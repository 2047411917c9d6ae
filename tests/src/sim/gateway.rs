//! The paths of Core (`/v2/…`, `midtrans.md` 4): authentication, disturbance, then the world.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body;
use super::desk::acting;
use super::lookup;
use super::methods::letters;
use super::model::{Status, Transaction};
use super::moves::{self, RefundOrder, Refusal};
use super::snap;
use super::trick::Call;
use super::world::{Confirm, World};

type Shared = State<Arc<World>>;

/// The gateway's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v2/charge", post(charge))
        .route("/v2/capture", post(capture))
        .route("/v2/{id}/cancel", post(cancel))
        .route("/v2/{id}/expire", post(expire))
        .route("/v2/{id}/approve", post(approve))
        .route("/v2/{id}/deny", post(deny))
        .route("/v2/{id}/refund", post(refund))
        .route("/v2/{id}/refund/online/direct", post(refund))
        .merge(lookup::routes())
        .merge(snap::routes())
        .layer(DefaultBodyLimit::max(16 * 1024))
}

/// A path the router does not know: a real 404 with another kind of JSON.
pub(crate) async fn unknown_path(OriginalUri(uri): OriginalUri) -> Response {
    let body = json!({
        "timestamp": time::OffsetDateTime::now_utc().unix_timestamp().to_string(),
        "status": 404,
        "error": "Not Found",
        "message": "Not Found",
        "path": uri.path(),
    });
    Answer::Json(404, body).into_response()
}

async fn charge(State(world): Shared, headers: HeaderMap, body: Bytes) -> Answer {
    acting(world, headers, body, Call::Charge, None, |world, job| {
        let charged = world.charge(&job.request, job.routes);
        charged.map_or_else(Answer::from, Answer::ok)
    })
    .await
}

async fn capture(State(world): Shared, headers: HeaderMap, body: Bytes) -> Answer {
    acting(world, headers, body, Call::Capture, None, |world, job| {
        let id = job.request["transaction_id"].as_str().unwrap_or_default();
        let amount = job.request["gross_amount"].as_i64();
        if job.refused {
            return bank_refuses(&world, id, "deny");
        }
        let done = world.change(
            id,
            |txn, _| moves::capture(txn, amount),
            |txn| {
                acted(
                    &world,
                    txn,
                    "200",
                    "Success, Credit Card capture transaction is successful",
                )
            },
        );
        done.unwrap_or_else(Answer::from)
    })
    .await
}

async fn cancel(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    change(
        world,
        headers,
        Call::Cancel,
        id,
        "Success, transaction is canceled",
        moves::cancel,
    )
    .await
}

async fn expire(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let message = "Success, transaction has expired";
    change(world, headers, Call::Expire, id, message, |txn| {
        if txn.status == Status::Pending {
            moves::expire(txn)
        } else {
            Err(moves::STATE)
        }
    })
    .await
}

async fn approve(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    change(
        world,
        headers,
        Call::Challenge,
        id,
        "Success, transaction is approved",
        moves::approve_challenge,
    )
    .await
}

async fn deny(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    change(
        world,
        headers,
        Call::Challenge,
        id,
        "Success, transaction is denied",
        moves::deny_challenge,
    )
    .await
}

async fn refund(
    State(world): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    acting(
        world,
        headers,
        body,
        Call::Refund,
        Some(id.clone()),
        move |world, job| {
            if job.refused {
                return bank_refuses(&world, &id, "settlement");
            }
            let key = job.request["refund_key"].as_str();
            let order = RefundOrder {
                key: key.map_or_else(|| format!("auto-{}", letters(12)), str::to_owned),
                amount: job.request["amount"].as_i64(),
                reason: job.request["reason"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            };
            let message = "Success, refund request is approved";
            let done = world.refund(&id, order, Confirm::Later, |txn| {
                acted(&world, txn, "200", message)
            });
            done.unwrap_or_else(Answer::from)
        },
    )
    .await
}

/// An action without a body worth reading.
async fn change(
    world: Arc<World>,
    headers: HeaderMap,
    call: Call,
    id: String,
    message: &'static str,
    step: impl FnOnce(&mut Transaction) -> Result<(), Refusal> + Send + 'static,
) -> Answer {
    let code = if call == Call::Expire { "407" } else { "200" };
    acting(
        world,
        headers,
        Bytes::new(),
        call,
        Some(id.clone()),
        move |world, _| {
            let done = world.change(
                &id,
                |txn, _| step(txn),
                |txn| acted(&world, txn, code, message),
            );
            done.unwrap_or_else(Answer::from)
        },
    )
    .await
}

fn acted(world: &World, txn: &Transaction, code: &str, message: &str) -> Answer {
    Answer::ok(body::acted(txn, &world.merchant, code, message))
}

/// The bank refuses: 202 in the answer, and the transaction stays what it is.
fn bank_refuses(world: &World, id: &str, status: &str) -> Answer {
    let read = world.read(id, |txn| acted(world, txn, "202", "Denied by the provider"));
    let answer = read.unwrap_or_else(|| Answer::from(Refusal::UNKNOWN));
    answer.edit(|body: &mut Map<String, Value>| {
        body.insert("transaction_status".into(), json!(status));
        if status == "settlement" {
            body.insert("refund_amount".into(), json!("0.00"));
        }
    })
}
