//! Snap, the hosted page (`midtrans.md` 4.3): a token now, a transaction once a method is picked.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::answer::Answer;
use super::charge::{self, Invalid};
use super::desk::{Job, acting};
use super::ledger::{Page, PageState};
use super::trick::Call;
use super::wire::parse_span;
use super::world::World;

type Shared = State<Arc<World>>;

/// Snap's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/snap/v1/transactions", post(create))
        .route("/snap/v1/transactions/{token}/cancel", post(cancel))
        .route("/snap/v1/transactions/{token}/expire", post(expire))
        .route("/snap/v4/redirection/{token}", get(show))
}

/// The customer picks a method on the page: the page's request plus `choice` becomes a charge.
pub(crate) fn pick(
    world: &World,
    token: &str,
    choice: &Value,
) -> Result<Map<String, Value>, Invalid> {
    let (mut request, routes) = {
        let mut ledger = world.ledger();
        let page = ledger.page(token, OffsetDateTime::now_utc());
        let page = page.ok_or_else(|| Invalid::new(404, "no such page"))?;
        if page.state != PageState::Open {
            let message = format!("the page is {}", page.state.as_str());
            return Err(Invalid::new(409, &message));
        }
        (page.request.clone(), page.routes.clone())
    };
    let kind = choice["payment_type"].as_str().unwrap_or("gopay");
    request["payment_type"] = json!(kind);
    let part = request.get(kind).filter(|part| part.is_object()).cloned();
    let mut part = part.unwrap_or_else(|| json!({}));
    let chosen = choice.as_object().into_iter().flatten();
    for (name, value) in chosen.filter(|(name, _)| *name != "payment_type") {
        part[name] = value.clone();
    }
    if kind == "credit_card" && part["token_id"].is_null() {
        part["token_id"] = json!("481111-1114-picked");
    }
    request[kind] = part;
    world.charge(&request, routes)
}

async fn create(State(world): Shared, headers: HeaderMap, body: Bytes) -> Answer {
    acting(world, headers, body, Call::Snap, None, |world, job| {
        open(&world, job).unwrap_or_else(|invalid| {
            let code = if invalid.code == 406 {
                400
            } else {
                invalid.code
            };
            Answer::snap_error(code, &invalid.messages)
        })
    })
    .await
}

fn open(world: &World, job: Job) -> Result<Answer, Invalid> {
    let purchase = charge::purchase(&job.request)?;
    let mut ledger = world.ledger();
    if ledger.is_taken(&purchase.order_id) {
        let message = "transaction_details.order_id has already been taken";
        return Err(Invalid::new(400, message));
    }
    let token = Uuid::new_v4().to_string();
    let life = page_life(&job.request);
    let url = format!("{}/snap/v4/redirection/{token}", world.base);
    let closes = world.real_span(life);
    ledger.open_page(Page {
        token: token.clone(),
        order_id: purchase.order_id,
        request: job.request,
        routes: job.routes,
        state: PageState::Open,
        closes: closes.map(|span| OffsetDateTime::now_utc() + span),
    });
    Ok(Answer::Json(
        201,
        json!({"token": token, "redirect_url": url}),
    ))
}

/// `page_expiry`, else a day.
fn page_life(request: &Value) -> Duration {
    let part = &request["page_expiry"];
    let amount = part["duration"].as_i64();
    amount
        .and_then(|amount| parse_span(amount, part["unit"].as_str()))
        .unwrap_or(Duration::hours(24))
}

async fn cancel(State(world): Shared, Path(token): Path<String>, headers: HeaderMap) -> Answer {
    close(world, headers, token, PageState::Cancelled).await
}

async fn expire(State(world): Shared, Path(token): Path<String>, headers: HeaderMap) -> Answer {
    close(world, headers, token, PageState::Expired).await
}

/// Closes a page that nobody used; no notification follows.
async fn close(world: Arc<World>, headers: HeaderMap, token: String, to: PageState) -> Answer {
    acting(
        world,
        headers,
        Bytes::new(),
        Call::Snap,
        None,
        move |world, _| {
            let mut ledger = world.ledger();
            let refuse = |code, why: &str| Answer::snap_error(code, &[why.to_owned()]);
            let order_id = match ledger.page(&token, OffsetDateTime::now_utc()) {
                None => return refuse(404, "transaction token is not found"),
                Some(page) if page.state != PageState::Open => {
                    return refuse(400, "transaction token is not open");
                }
                Some(page) => page.order_id.clone(),
            };
            if ledger.is_taken(&order_id) {
                return refuse(400, "a payment method was chosen already");
            }
            if let Some(page) = ledger.page(&token, OffsetDateTime::now_utc()) {
                page.state = to;
            }
            Answer::Json(200, json!({"token": token, "status": to.as_str()}))
        },
    )
    .await
}

/// A plain page for those who follow the redirect URL.
async fn show(State(world): Shared, Path(token): Path<String>) -> Html<String> {
    let mut ledger = world.ledger();
    let page = ledger.page(&token, OffsetDateTime::now_utc());
    let text = page.map_or_else(
        || "This payment page does not exist.".to_owned(),
        |page| {
            let amount = page.request["transaction_details"]["gross_amount"].as_i64();
            let amount = amount.unwrap_or_default();
            let state = page.state.as_str();
            format!("Order {}: Rp {amount}, page {state}.", page.order_id)
        },
    );
    Html(format!("<html><body><p>{text}</p></body></html>"))
}
