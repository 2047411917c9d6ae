//! What the shop may ask.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use shared::store::Store;
use shared::store::read::OrderView;

use crate::app::App;
use crate::code::OrderCode;
use crate::problem::Problem;
use crate::reading::reading;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/orders/{order_code}", get(order))
}

async fn order(
    State(store): State<Store>,
    OrderCode(code): OrderCode,
) -> Result<Json<OrderView>, Problem> {
    let order = reading(|| store.read_order(&code)).await?;
    order.map(Json).ok_or(Problem::OrderNotFound)
}
