//! What operators may look at. What they may do will be routes of their own, behind their role.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use shared::store::Store;
use shared::store::read::{OrphanView, SummaryView};
use shared::store::read_timeline::{Position, TimelineItem};
use time::OffsetDateTime;

use crate::app::App;
use crate::code::OrderCode;
use crate::paging::{Items, Page};
use crate::problem::Problem;
use crate::reading::reading;

pub(crate) fn viewer_routes() -> Router<App> {
    Router::new()
        .route("/admin/summary", get(summary))
        .route("/admin/orders/{order_code}/timeline", get(timeline))
        .route("/admin/payments/orphans", get(orphans))
}

async fn summary(State(store): State<Store>) -> Result<Json<SummaryView>, Problem> {
    reading(|| store.read_summary()).await.map(Json)
}

async fn timeline(
    State(store): State<Store>,
    OrderCode(code): OrderCode,
    page: Page<Position>,
) -> Result<Json<Items<TimelineItem>>, Problem> {
    let items = reading(|| store.timeline_read(&code, &page.after, page.to_read())).await?;
    let items = items.ok_or(Problem::OrderNotFound)?;
    Ok(Json(page.of(items, |item| item.position.clone())))
}

async fn orphans(
    State(store): State<Store>,
    page: Page<(OffsetDateTime, i64)>,
) -> Result<Json<Items<OrphanView>>, Problem> {
    let orphans = reading(|| store.read_orphans(page.after, page.to_read())).await?;
    Ok(Json(
        page.of(orphans, |orphan| (orphan.created_at, orphan.id)),
    ))
}
