//! What the shop may ask.

use axum::Json;
use axum::extract::State;
use shared::store::Store;
use shared::store::read::OrderView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::code::OrderCode;
use crate::openapi::problems;
use crate::problem::Problem;
use crate::reading::reading;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(order))
}

problems!(OrderProblems: Problem::OrderNotFound);

/// An order with its payments.
#[utoipa::path(
    get,
    path = "/api/orders/{order_code}",
    tag = "orders",
    params(OrderCode),
    responses(
        (status = 200, description = "The order.", body = OrderView, example = json!({
            "order_code": "LNS-7K2M9QXA",
            "user_id": "customer-17",
            "status": "PAID",
            "gross_amount": 150_000,
            "session_id": "LNS-7K2M9QXA",
            "review_reasons": [],
            "paid_at": "2026-03-14T02:12:41Z",
            "expires_at": "2026-03-15T02:10:00Z",
            "created_at": "2026-03-14T02:10:00Z",
            "updated_at": "2026-03-14T02:12:41Z",
            "pickup_code": "7K2M9QXA",
            "picked_up_at": null,
            "items": [
                {"kind": "ticket", "slot_id": "concert-1", "name": "Concert", "quantity": 1,
                 "unit_price": 60_000},
                {"kind": "product", "sku": "shirt-m", "name": "Shirt, M", "quantity": 1,
                 "unit_price": 90_000}
            ],
            "tickets": [{"code": "7K2M9QXA7K2M9QXA7K2M9QXA", "seq": 1, "slot_id": "concert-1",
                         "used_at": null}],
            "payments": [{
                "session_id": "LNS-7K2M9QXA",
                "status": "settlement",
                "payment_type": "gopay",
                "gross_amount": 150_000,
                "paid_at": "2026-03-14T02:12:41Z"
            }]
        })),
        OrderProblems,
    ),
)]
async fn order(
    State(store): State<Store>,
    OrderCode(code): OrderCode,
) -> Result<Json<OrderView>, Problem> {
    let order = reading(|| store.read_order(&code)).await?;
    order.map(Json).ok_or(Problem::OrderNotFound)
}
