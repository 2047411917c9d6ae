//! Payments for the shop: begin one, look at one.
//!
//! `open` decides under the order's lock and writes the session; `close` ends what must not be
//! payable beside it; `make` gets the payment from Midtrans and stores it; `pay` puts the three
//! together; `check` asks what became of one, and `sync` of all of an order. No lock and no connection is held while Midtrans is
//! asked, and a process that dies in between leaves a session that the next call adopts.

mod pay;

mod open;

mod close;

mod make;

mod check;

mod sync;

mod problems;
mod request;
mod view;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use shared::domain::checkout::{MethodError, NotPayable};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::Body;
use crate::openapi::problems;
use crate::problem::Problem;
use pay::Paid;
use problems::{
    RETRY, bad_method, example_shortage, in_progress, no_payment, not_cancelled, not_payable,
    outcome_unknown, refused, too_many_attempts, unavailable,
};
use request::{CreateGopayQris, CreatePayment, PaymentKey};
use view::CheckoutPayment;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(create_gopay_qris))
        .routes(routes!(status))
}

/// What operators may do with the payments of an order.
pub(crate) fn operator_routes() -> OpenApiRouter<App> {
    sync::operator_routes()
}

/// A payment that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentMade {
    /// What the customer pays with.
    payment: CheckoutPayment,
    /// It was there before this request.
    duplicate: bool,
}

/// What a payment is now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentNow {
    /// The payment.
    payment: CheckoutPayment,
    /// What its order is; none for a payment that stands alone.
    order_status: Option<String>,
    /// Midtrans could not be asked: this is what was known before.
    stale: bool,
}

problems!(PayProblems:
    bad_method(MethodError::Bank),
    Problem::BadRequest,
    Problem::OrderNotFound,
    not_payable(NotPayable::AlreadyPaid),
    not_payable(NotPayable::InReview),
    not_payable(NotPayable::Ended),
    not_payable(NotPayable::EventPast),
    not_payable(NotPayable::NothingToPay),
    example_shortage(),
    too_many_attempts(),
    refused(400),
    refused(402),
    refused(413),
    outcome_unknown(),
    not_cancelled(),
    in_progress(),
    unavailable(RETRY),
);

problems!(CheckProblems: no_payment(), in_progress());

/// Begins the payment of an order.
///
/// An open payment with the same method, bank and store is answered again, with 200; with others
/// it is cancelled first.
#[utoipa::path(
    post,
    path = "/api/payments",
    tag = "payments",
    request_body(content = CreatePayment, example = json!({
        "order_code": "LNS-7K2M9QXA", "method": "bank_transfer", "bank": "bca"
    })),
    responses(
        (status = 201, description = "The payment was made.", body = PaymentMade),
        (status = 200, description = "It was there before.", body = PaymentMade),
        PayProblems,
    ),
)]
async fn create(
    State(app): State<App>,
    Body(request): Body<CreatePayment>,
) -> Result<(StatusCode, Json<PaymentMade>), Problem> {
    let wish = request.wish()?;
    answered(pay::pay(app, wish).await?)
}

/// Begins a payment by GoPay QRIS, of an order or on its own.
#[utoipa::path(
    post,
    path = "/api/payments/gopayqris/create",
    tag = "payments",
    request_body(content = CreateGopayQris, example = json!({"gross_amount": 27_500})),
    responses(
        (status = 201, description = "The payment was made.", body = PaymentMade),
        (status = 200, description = "It was there before.", body = PaymentMade),
        PayProblems,
    ),
)]
async fn create_gopay_qris(
    State(app): State<App>,
    Body(request): Body<CreateGopayQris>,
) -> Result<(StatusCode, Json<PaymentMade>), Problem> {
    let wish = request.wish()?;
    answered(pay::pay(app, wish).await?)
}

/// What became of a payment, by its session id or by its order's code.
///
/// While it is open Midtrans is asked, at most once in five seconds.
#[utoipa::path(
    get,
    path = "/api/payments/{order_code}/status",
    tag = "payments",
    params(("order_code" = String, Path, description = "The order's code, or a session id.")),
    responses((status = 200, description = "The payment.", body = PaymentNow), CheckProblems),
)]
async fn status(
    State(app): State<App>,
    PaymentKey(key): PaymentKey,
) -> Result<Json<PaymentNow>, Problem> {
    let checked = check::check(app, key).await?;
    Ok(Json(PaymentNow {
        order_status: checked.payment.order_status.clone(),
        payment: CheckoutPayment::of(checked.payment),
        stale: checked.stale,
    }))
}

fn answered(paid: Paid) -> Result<(StatusCode, Json<PaymentMade>), Problem> {
    let status = if paid.duplicate {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let made = PaymentMade {
        payment: CheckoutPayment::of(paid.payment),
        duplicate: paid.duplicate,
    };
    Ok((status, Json(made)))
}
