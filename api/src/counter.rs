//! What operators do with an order: hand its goods over, and decide when it is in review.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::apply::{self, ApplyError, Input, Item, OrderAsk};
use shared::domain::Source;
use shared::domain::outcome::Settled;
use shared::domain::projection::ResolutionAction;
use shared::orders::Pickup;
use shared::store::Store;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::{Body, invalid_body};
use crate::code::OrderCode;
use crate::openapi::problems;
use crate::problem::Problem;
use crate::reading::{reading, writing};
use crate::tokens::Caller;

/// Longer than any pickup code.
const LONGEST: usize = 100;

/// The longest reason, in characters.
const LONGEST_WHY: usize = 1_000;

pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pickup))
        .routes(routes!(resolve))
}

problems!(PickupProblems:
    invalid_body("pickup_code", "must be 1 to 100 characters"),
    Problem::OrderNotFound,
    not_fulfilled("PENDING"),
    nothing_to_pick_up(),
    wrong_code(),
);
problems!(ResolveProblems:
    invalid_body("why", "must be 1 to 1000 characters"),
    Problem::OrderNotFound,
    not_in_review("PAID"),
    not_available(),
);

/// What the customer says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PickupBody {
    /// The order's pickup code; small letters count as capital ones.
    #[schema(min_length = 1, max_length = 100)]
    pickup_code: String,
}

/// The goods are the customer's.
#[derive(Debug, Serialize, ToSchema)]
struct PickupAnswer {
    /// When they were handed over.
    #[serde(with = "time::serde::rfc3339")]
    picked_up_at: OffsetDateTime,
    /// Whether that was an earlier request.
    duplicate: bool,
}

/// Hand the goods of an order over, once
#[utoipa::path(post, path = "/admin/orders/{order_code}/pickup", tag = "counter",
    params(OrderCode),
    request_body = PickupBody,
    responses((status = 200, description = "Handed over", body = PickupAnswer), PickupProblems))]
async fn pickup(
    State(store): State<Store>,
    Extension(caller): Extension<Caller>,
    OrderCode(code): OrderCode,
    Body(body): Body<PickupBody>,
) -> Result<Json<PickupAnswer>, Problem> {
    let said = body.pickup_code;
    if said.trim().is_empty() || said.len() > LONGEST {
        return Err(invalid_body("pickup_code", "must be 1 to 100 characters"));
    }
    match writing(shared::orders::hand_over(
        &store,
        &code,
        &said,
        &caller.name,
    ))
    .await??
    {
        Pickup::HandedOver { at, duplicate } => Ok(Json(PickupAnswer {
            picked_up_at: at,
            duplicate,
        })),
        Pickup::WrongCode => Err(wrong_code()),
        Pickup::NotFulfilled { status } => Err(not_fulfilled(&status)),
        Pickup::NothingToPickUp => Err(nothing_to_pick_up()),
        Pickup::Unknown => Err(Problem::OrderNotFound),
    }
}

fn wrong_code() -> Problem {
    let detail = "The pickup code is another one.";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::particular(status, "wrong_pickup_code", detail, Value::Null)
}

fn not_fulfilled(status: &str) -> Problem {
    let detail = "The order is not fulfilled.";
    let fields = json!({ "order_status": status });
    Problem::particular(StatusCode::CONFLICT, "order_not_fulfilled", detail, fields)
}

fn nothing_to_pick_up() -> Problem {
    let detail = "The order has no goods to be picked up.";
    Problem::particular(
        StatusCode::CONFLICT,
        "nothing_to_pick_up",
        detail,
        Value::Null,
    )
}

/// What is decided about an order in review.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolveBody {
    action: ResolveAction,
    /// Why; goes into the log.
    #[schema(min_length = 1, max_length = 1000)]
    why: String,
}

/// `fulfil` gives the customer what was ordered, `close` cancels the order.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ResolveAction {
    Fulfil,
    Close,
}

/// What the order is now.
#[derive(Debug, Serialize, ToSchema)]
struct ResolveAnswer {
    /// The order's code.
    order_code: String,
    /// Its status.
    status: String,
}

/// Decide about an order in review
///
/// The decision holds until the set of its paid transactions changes.
#[utoipa::path(post, path = "/admin/orders/{order_code}/resolve", tag = "counter",
    params(OrderCode),
    request_body = ResolveBody,
    responses((status = 200, description = "Decided", body = ResolveAnswer), ResolveProblems))]
async fn resolve(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    OrderCode(code): OrderCode,
    Body(body): Body<ResolveBody>,
) -> Result<Json<ResolveAnswer>, Problem> {
    let why = body.why.trim();
    let is_right = !why.is_empty() && why.chars().count() <= LONGEST_WHY && !why.contains('\0');
    if !is_right {
        return Err(invalid_body("why", "must be 1 to 1000 characters"));
    }
    let before = reading(|| app.store.read_order(&code)).await?;
    before.ok_or(Problem::OrderNotFound)?;
    let ask = OrderAsk::Resolve {
        action: match body.action {
            ResolveAction::Fulfil => ResolutionAction::Fulfil,
            ResolveAction::Close => ResolutionAction::Close,
        },
        why: why.to_owned(),
    };
    let asked = Item::new(Input::Order {
        order_code: code.clone(),
        ask,
        source: Source::Admin,
        actor: Some(caller.name.to_string()),
    });
    let batch = [asked];
    let applied = apply::apply(&app.store, app.rules.confirm_policy, &batch);
    let applied = match writing(applied).await? {
        Err(ApplyError::NotAvailable { .. }) => return Err(not_available()),
        applied => applied?,
    };
    let order = reading(|| app.store.read_order(&code)).await?;
    let order = order.ok_or(Problem::OrderNotFound)?;
    match applied
        .iter()
        .all(|outcome| outcome.settled == Settled::Applied)
    {
        true => Ok(Json(ResolveAnswer {
            order_code: code,
            status: order.status,
        })),
        false => Err(not_in_review(&order.status)),
    }
}

fn not_in_review(status: &str) -> Problem {
    let detail = "The order is not in review.";
    let fields = json!({ "order_status": status });
    Problem::particular(StatusCode::CONFLICT, "order_not_in_review", detail, fields)
}

fn not_available() -> Problem {
    let detail = "What the order had reserved is gone: raise the capacity or stock, or close it.";
    let fields = json!({ "stockIssue": true });
    Problem::particular(StatusCode::CONFLICT, "insufficient_stock", detail, fields)
}
