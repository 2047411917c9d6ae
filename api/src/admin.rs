//! What operators may look at. What they may do will be routes of their own, behind their role.

use axum::Json;
use axum::extract::State;
use shared::store::Store;
use shared::store::read::OrphanView;
use shared::store::read_timeline::{Position, TimelineItem};
use shared::store::summary::SummaryView;
use time::OffsetDateTime;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::code::OrderCode;
use crate::openapi::problems;
use crate::paging::{self, Asked, Items, Page};
use crate::problem::Problem;
use crate::reading::reading;

pub(crate) fn viewer_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(timeline))
        .routes(routes!(orphans))
}

problems!(ListProblems: Problem::BadRequest, paging::NO_CURSOR);
problems!(TimelineProblems: Problem::BadRequest, paging::NO_CURSOR, Problem::OrderNotFound);

/// How many there are of what.
///
/// What is open or wrong is counted whole, however old it is; what is finished is counted from
/// `since` on: 24 hours, or from the beginning while there are fewer than 100,000 of it.
#[utoipa::path(
    get,
    path = "/admin/summary",
    tag = "operators",
    responses(
        (status = 200, description = "The counts, all of one moment.", body = SummaryView,
         example = json!({
            "orders": {"PAID": 812, "PENDING": 31, "REVIEW": 1},
            "payments": {"settlement": 812, "pending": 29, "expire": 12},
            "notifications": {"applied": 1_665, "stale": 4},
            "orphans": 2,
            "dead_letters": {"dead": 1},
            "since": "2026-03-13T02:12:41Z",
            "at": "2026-03-14T02:12:41Z"
        })),
    ),
)]
async fn summary(State(store): State<Store>) -> Result<Json<SummaryView>, Problem> {
    reading(|| store.summary_read()).await.map(Json)
}

/// What happened to an order, or to a payment without one, in the order of time.
#[utoipa::path(
    get,
    path = "/admin/orders/{order_code}/timeline",
    tag = "operators",
    params(OrderCode, Asked),
    responses(
        (status = 200, description = "A page of it.", body = Items<TimelineItem>,
         example = json!({
            "items": [{
                "at": "2026-03-14T02:12:41Z",
                "kind": "notification",
                "session_id": "LNS-7K2M9QXA",
                "transaction_id": "9aed5972-5b6a-401e-894b-a32c91ed1a3a",
                "status": "settlement",
                "fraud_status": "accept",
                "verdict": "applied",
                "reason": null,
                "deliveries": 1
            }],
            "next_cursor": null
        })),
        TimelineProblems,
    ),
)]
async fn timeline(
    State(store): State<Store>,
    OrderCode(code): OrderCode,
    page: Page<Position>,
) -> Result<Json<Items<TimelineItem>>, Problem> {
    let items = reading(|| store.timeline_read(&code, &page.after, page.to_read())).await?;
    let items = items.ok_or(Problem::OrderNotFound)?;
    Ok(Json(page.of(items, |item| item.position.clone())))
}

/// Payments that came by webhook and belong to no order, oldest first.
#[utoipa::path(
    get,
    path = "/admin/payments/orphans",
    tag = "operators",
    params(Asked),
    responses(
        (status = 200, description = "A page of them.", body = Items<OrphanView>,
         example = json!({
            "items": [{
                "session_id": "LNS-7K2M9QXA",
                "status": "settlement",
                "payment_type": "bank_transfer",
                "payment_channel": "bca",
                "gross_amount": 150_000,
                "paid_at": "2026-03-14T02:12:41Z",
                "created_at": "2026-03-14T02:12:41Z",
                "updated_at": "2026-03-14T02:12:41Z"
            }],
            "next_cursor": null
        })),
        ListProblems,
    ),
)]
async fn orphans(
    State(store): State<Store>,
    page: Page<(OffsetDateTime, i64)>,
) -> Result<Json<Items<OrphanView>>, Problem> {
    let orphans = reading(|| store.read_orphans(page.after, page.to_read())).await?;
    Ok(Json(
        page.of(orphans, |orphan| (orphan.created_at, orphan.id)),
    ))
}
