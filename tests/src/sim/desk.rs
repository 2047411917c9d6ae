//! What happens to every gateway request before and after its own work: authentication,
//! idempotency, disturbance by tricks.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::Answer;
use super::auth;
use super::charge::Invalid;
use super::idempotency::{Claim, Keys};
use super::model::Routes;
use super::trick::{ApiAnswer, ApiTrick, Call};
use super::world::World;

/// A POST as its handler sees it.
pub(crate) struct Job {
    pub(crate) request: Value,
    pub(crate) routes: Routes,
    /// A trick lets the bank refuse.
    pub(crate) refused: bool,
}

/// The way of every POST: key, body, idempotency, disturbance, work. The work goes on when the
/// client hangs up, as it would at the gateway.
pub(crate) async fn acting(
    world: Arc<World>,
    headers: HeaderMap,
    body: Bytes,
    call: Call,
    id: Option<String>,
    work: impl FnOnce(Arc<World>, Job) -> Answer + Send + 'static,
) -> Answer {
    if let Err(answer) = auth::check(&headers, &world.merchant.server_key, call) {
        return answer;
    }
    let request = match parse(&body) {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    world.calls.note(call, ids_of(&world, id.clone(), &request));
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok());
    let key = Keys::usable(key).filter(|_| has_idempotency(&request));
    if let Some(key) = &key {
        match world.keys.claim(key) {
            Claim::Work => {}
            Claim::Running => return still_running(),
            Claim::Repeat(answer) => return answer,
        }
    }
    let job = Job {
        routes: routes_of(&headers),
        request,
        refused: false,
    };
    let task = tokio::spawn(async move {
        let answer = disturbed(&world, call, id, job, work).await;
        if let Some(key) = key {
            world.keys.finish(&key, Some(&answer));
        }
        answer
    });
    task.await
        .unwrap_or_else(|_| Answer::error(500, "Internal server error", &[]))
}

async fn disturbed(
    world: &Arc<World>,
    call: Call,
    id: Option<String>,
    mut job: Job,
    work: impl FnOnce(Arc<World>, Job) -> Answer,
) -> Answer {
    let ids = ids_of(world, id, &job.request);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let trick = world.tricks().api(call, &ids).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(trick.delay_ms)).await;
    let failure = Answer::failure(trick.answer, call);
    if let Some(failure) = failure.clone().filter(|_| !trick.processed) {
        return failure;
    }
    job.refused = trick.answer == ApiAnswer::Refused;
    let answer = reshape(work(Arc::clone(world), job), &trick);
    failure.unwrap_or(answer)
}

/// The way of every status request.
pub(crate) async fn looking(
    world: &Arc<World>,
    headers: &HeaderMap,
    id: &str,
    look: impl FnOnce() -> Answer,
) -> Answer {
    if let Err(answer) = auth::check(headers, &world.merchant.server_key, Call::Status) {
        return answer;
    }
    let ids = ids_of(world, Some(id.to_owned()), &Value::Null);
    world.calls.note(Call::Status, ids.clone());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let trick = world.tricks().api(Call::Status, &ids).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(trick.delay_ms)).await;
    Answer::failure(trick.answer, Call::Status).unwrap_or_else(|| reshape(look(), &trick))
}

/// The ids by which tricks may name what a request is about.
fn ids_of(world: &World, id: Option<String>, request: &Value) -> Vec<String> {
    let named = request["transaction_details"]["order_id"]
        .as_str()
        .or_else(|| request["transaction_id"].as_str());
    let mut ids: Vec<String> = id.into_iter().chain(named.map(str::to_owned)).collect();
    if let Some(first) = ids.first() {
        let known = world.read(first, |txn| [txn.order_id.clone(), txn.id.clone()]);
        ids.extend(known.into_iter().flatten());
    }
    ids
}

fn reshape(answer: Answer, trick: &ApiTrick) -> Answer {
    answer.edit(|body| {
        match trick.answer {
            ApiAnswer::Expired => {
                body.insert("status_code".into(), json!("407"));
                body.insert("transaction_status".into(), json!("expire"));
            }
            ApiAnswer::UpperCase => {
                let word = body.get("transaction_status").and_then(Value::as_str);
                if let Some(word) = word.map(str::to_uppercase) {
                    body.insert("transaction_status".into(), json!(word));
                    body.insert("status_code".into(), json!("200"));
                }
            }
            ApiAnswer::TransactionIdAsOrderId => {
                if let Some(id) = body.get("transaction_id").cloned() {
                    body.insert("order_id".into(), id);
                }
            }
            _ => {}
        }
        for (name, value) in &trick.set {
            body.insert(name.clone(), value.clone());
        }
    })
}

fn parse(body: &Bytes) -> Result<Value, Answer> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|_| Answer::from(Invalid::new(413, "The body is not valid JSON.")))
}

fn still_running() -> Answer {
    let body = json!({
        "status_code": "202",
        "status_message": "A request with this idempotency key is being processed",
    });
    Answer::Json(202, body)
}

/// For these only the duplicate order id protects.
fn has_idempotency(request: &Value) -> bool {
    let permata = request["bank_transfer"]["bank"] == "permata";
    let indomaret = request["cstore"]["store"] == "indomaret";
    !permata && !indomaret
}

fn routes_of(headers: &HeaderMap) -> Routes {
    let list = |name: &str| -> Vec<String> {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        let urls = value.unwrap_or_default().split(',').map(str::trim);
        urls.filter(|url| !url.is_empty())
            .take(3)
            .map(str::to_owned)
            .collect()
    };
    Routes {
        append: list("x-append-notification"),
        replace: list("x-override-notification"),
    }
}
