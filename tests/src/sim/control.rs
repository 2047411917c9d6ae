//! The control paths under `/sim` that play the customer, the bank and the fraud desk.
//!
//! Reference: the documentation of the module [`crate::sim`].

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body;
use super::bulk;
use super::charge::Invalid;
use super::methods::letters;
use super::model::{Fraud, Status, Transaction};
use super::moves::{self, RefundOrder, Refusal};
use super::parcel::Parcel;
use super::snap;
use super::tricks::Plan;
use super::world::{Confirm, World};

type Shared = State<Arc<World>>;
/// What a control request answers.
pub(crate) type Outcome = Result<Json<Value>, Trouble>;

/// A control request that could not be done.
pub(crate) struct Trouble(pub(crate) u16, pub(crate) String);

/// The routes that change transactions.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/orders/{id}/refund", post(refund))
        .route("/sim/orders/{id}/resend", post(resend))
        .route("/sim/orders/{id}/{step}", post(step))
        .route("/sim/snap/{token}/pick", post(pick))
        .merge(bulk::routes())
}

/// The optional body of a step.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Step {
    amount: Option<i64>,
    fraud_status: Option<String>,
    transaction_status: Option<String>,
}

async fn step(
    State(world): Shared,
    Path((id, name)): Path<(String, String)>,
    body: axum::body::Bytes,
) -> Outcome {
    let step: Step = parse(&body)?;
    let fraud = step.fraud_status.as_deref().map(fraud).transpose()?;
    let forced = step.transaction_status.as_deref().map(status).transpose()?;
    if !STEPS.contains(&name.as_str()) {
        return Err(Trouble(404, format!("no step called {name}")));
    }
    if name == "force" && forced.is_none() {
        return Err(Trouble(400, "force needs transaction_status".into()));
    }
    let changed = world.change(
        &id,
        |txn, now| match name.as_str() {
            "pay" => moves::pay(txn, now),
            "expire" => moves::expire(txn),
            "cancel" => moves::cancel(txn),
            "deny" if txn.status == Status::Capture => moves::deny_challenge(txn),
            "deny" => moves::deny(txn, fraud),
            "approve" => moves::approve_challenge(txn),
            "capture" => moves::capture(txn, step.amount),
            "settle" => moves::settle(txn, now),
            "reverse" => moves::reverse(txn),
            "chargeback" => moves::charge_back(txn, step.amount),
            "confirm-refund" => moves::confirm_refund(txn, now),
            _ => {
                moves::force(txn, forced.unwrap_or(txn.status), fraud, now);
                Ok(())
            }
        },
        |txn| view(&world, txn),
    );
    Ok(Json(changed?))
}

const STEPS: [&str; 11] = [
    "pay",
    "expire",
    "cancel",
    "deny",
    "approve",
    "capture",
    "settle",
    "reverse",
    "chargeback",
    "confirm-refund",
    "force",
];

/// The optional body of a refund.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RefundBody {
    amount: Option<i64>,
    refund_key: Option<String>,
    reason: String,
    confirm: Confirm,
}

async fn refund(State(world): Shared, Path(id): Path<String>, body: axum::body::Bytes) -> Outcome {
    let body: RefundBody = parse(&body)?;
    let order = RefundOrder {
        key: body
            .refund_key
            .unwrap_or_else(|| format!("sim-{}", letters(12))),
        amount: body.amount,
        reason: body.reason,
    };
    let done = world.refund(&id, order, body.confirm, |txn| view(&world, txn));
    Ok(Json(done?))
}

/// The optional body of a re-sending.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Resend {
    transaction_status: Option<String>,
    times: Option<u32>,
    concurrent: bool,
}

/// Sends the newest notification (of a status) again, byte for byte.
async fn resend(State(world): Shared, Path(id): Path<String>, body: axum::body::Bytes) -> Outcome {
    let resend: Resend = parse(&body)?;
    let wanted = resend.transaction_status.as_deref();
    let wanted = wanted.map(status).transpose()?;
    let times = resend.times.unwrap_or(1).clamp(1, 1_000);
    let found = world.read(&id, |txn| {
        let sent = txn.sent.iter().rev();
        let mut sent = sent.filter(|(status, _)| wanted.is_none_or(|wanted| wanted == *status));
        let (status, body) = sent.next()?;
        let body = serde_json::from_slice(body).ok()?;
        Some((
            Parcel {
                order_id: txn.order_id.clone(),
                transaction_id: txn.id.clone(),
                status: status.as_str().to_owned(),
                url: String::new(),
                body: Arc::new(body),
                copy: 1,
            },
            world.targets(&txn.routes),
        ))
    });
    let (parcel, urls) = found
        .ok_or_else(|| Trouble::from(Refusal::UNKNOWN))?
        .ok_or_else(|| Trouble(409, "nothing of that status was sent".into()))?;
    let plan = Plan {
        copies: times - 1,
        concurrent: resend.concurrent,
        ..Plan::default()
    };
    for url in urls {
        let parcel = Parcel {
            url,
            ..parcel.clone()
        };
        world.courier.dispatch(parcel, &plan);
    }
    Ok(Json(json!({"order_id": parcel.order_id, "times": times})))
}

async fn pick(State(world): Shared, Path(token): Path<String>, body: axum::body::Bytes) -> Outcome {
    let choice: Value = parse(&body)?;
    let charged = snap::pick(&world, &token, &choice)?;
    Ok(Json(Value::Object(charged)))
}

/// A transaction as control answers show it: the status answer, with the session's own order id.
pub(crate) fn view(world: &World, txn: &Transaction) -> Value {
    let mut body: Map<String, Value> = body::status(txn, &world.merchant);
    body.insert("order_id".into(), json!(txn.order_id));
    Value::Object(body)
}

/// Reads an optional JSON body; an empty one is an empty object.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Trouble> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Trouble(400, error.to_string()))
}

fn status(word: &str) -> Result<Status, Trouble> {
    Status::parse(word).ok_or_else(|| Trouble(400, format!("{word} is no transaction_status")))
}

fn fraud(word: &str) -> Result<Fraud, Trouble> {
    Fraud::parse(word).ok_or_else(|| Trouble(400, format!("{word} is no fraud_status")))
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let code = if refusal.code == 404 { 404 } else { 409 };
        Trouble(code, refusal.message.to_owned())
    }
}

impl From<Invalid> for Trouble {
    fn from(invalid: Invalid) -> Self {
        let code = match invalid.code {
            404 => 404,
            406 | 409 => 409,
            _ => 400,
        };
        Trouble(code, invalid.messages.join("; "))
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        Answer::Json(self.0, json!({"error": self.1})).into_response()
    }
}
