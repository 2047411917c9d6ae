//! The gateway's calls that change nothing: GET status and card tokens (`midtrans.md` 4.4).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::routing::get;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::auth;
use super::body;
use super::desk::looking;
use super::moves::Refusal;
use super::world::World;

type Shared = State<Arc<World>>;

/// The routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v2/token", get(card_token))
        .route("/v2/{id}/status", get(status))
        .route("/v2/{id}/status/b2b", get(status_b2b))
}

async fn status(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    looking(&world, &headers, &id, || {
        let read = world.read(&id, |txn| {
            // Methods on BI-SNAP rails are known by transaction id only.
            let known = !txn.details.bi_snap || txn.id == id;
            known.then(|| body::status(txn, &world.merchant))
        });
        let found = read.flatten();
        found.map_or_else(|| Answer::from(Refusal::UNKNOWN), Answer::ok)
    })
    .await
}

async fn status_b2b(State(world): Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    looking(&world, &headers, &id, || {
        let ledger = world.ledger();
        let found: Vec<Value> = ledger
            .of_order(&id)
            .into_iter()
            .rev()
            .map(|txn| Value::Object(body::status(txn, &world.merchant)))
            .collect();
        if found.is_empty() {
            return Answer::from(Refusal::UNKNOWN);
        }
        let body = json!({
            "status_code": "200",
            "status_message": "Success, transactions are found",
            "transactions": found,
        });
        Answer::Json(200, body)
    })
    .await
}

/// A card token; its beginning is the card's number, which later decides the charge.
async fn card_token(Query(query): Query<HashMap<String, String>>) -> Answer {
    let known = query.get("client_key").is_some_and(|key| !key.is_empty());
    if !known {
        return Answer::error(401, auth::UNKNOWN_KEY, &[]);
    }
    let number = query.get("card_number").map_or("", String::as_str);
    if number.len() < 12 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let messages = ["card_number is invalid".to_owned()];
        return Answer::error(
            400,
            "One or more parameters in the payload is invalid.",
            &messages,
        );
    }
    let token = format!(
        "{}-{}-{}",
        &number[..6],
        &number[number.len() - 4..],
        Uuid::new_v4()
    );
    Answer::Json(
        200,
        json!({
            "status_code": "200",
            "status_message": "Success, card token is created",
            "token_id": token,
            "hash": Uuid::new_v4(),
        }),
    )
}
