//! What keeps a customer from paying, as callers hear it.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use shared::domain::checkout::{MethodError, NotPayable};
use shared::midtrans::{CallError, GatewayError};
use shared::store::checkout_read::Shortage;
use tracing::warn;

use crate::body::invalid_body;
use crate::problem::{Problem, chain};

/// Seconds after which a caller may try again when Midtrans does not say.
pub(super) const RETRY: Duration = Duration::from_secs(5);

pub(super) fn not_payable(why: NotPayable) -> Problem {
    let (code, detail) = match why {
        NotPayable::AlreadyPaid => ("already_paid", "The order is paid."),
        NotPayable::InReview => (
            "order_in_review",
            "Money arrived for the order and somebody looks at it.",
        ),
        NotPayable::Ended => (
            "order_ended",
            "The order is closed for good; place a new one.",
        ),
        NotPayable::EventPast => ("event_past", "The event has begun."),
        NotPayable::NothingToPay => ("nothing_to_pay", "The order costs nothing."),
    };
    Problem::particular(StatusCode::CONFLICT, code, detail, Value::Null)
}

/// What the order held is sold by now.
pub(super) fn short_of(lacks: &Shortage) -> Problem {
    let name = if lacks.kind == "ticket" {
        "slot_id"
    } else {
        "sku"
    };
    let item = json!({"kind": lacks.kind, name: lacks.item});
    let fields = json!({
        "stockIssue": true,
        "availableStock": lacks.available,
        "requestedQuantity": lacks.requested,
        "item": item,
    });
    let detail = "Not enough is left of what the order asks for.";
    Problem::particular(StatusCode::CONFLICT, "stock_issue", detail, fields)
}

pub(super) fn no_payment() -> Problem {
    let detail = "There is no payment of this order code or session id.";
    Problem::particular(
        StatusCode::NOT_FOUND,
        "payment_not_found",
        detail,
        Value::Null,
    )
}

pub(super) fn too_many_attempts() -> Problem {
    let detail = "The order was begun to be paid too often; place a new one.";
    Problem::particular(
        StatusCode::CONFLICT,
        "too_many_attempts",
        detail,
        Value::Null,
    )
}

pub(super) fn bad_method(error: MethodError) -> Problem {
    match error {
        MethodError::Method => invalid_body(
            "method",
            "must be snap, gopay, qris, shopeepay, bank_transfer, echannel or cstore",
        ),
        MethodError::Bank => invalid_body(
            "bank",
            "must be bca, bni, bri, cimb or permata for bank_transfer",
        ),
        MethodError::Store => invalid_body("store", "must be indomaret or alfamart for cstore"),
        MethodError::NoBank => invalid_body("bank", "belongs to bank_transfer only"),
        MethodError::NoStore => invalid_body("store", "belongs to cstore only"),
    }
}

/// Somebody else is making the payment and takes long.
pub(super) fn in_progress() -> Problem {
    let detail = "The payment is still being made; ask again.";
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "payment_in_progress",
        detail,
        RETRY,
    )
}

/// Midtrans may have made the payment or not; the next call finds out.
pub(super) fn outcome_unknown() -> Problem {
    let detail = "It is not known yet whether the payment was made; ask again.";
    later(
        StatusCode::BAD_GATEWAY,
        "payment_outcome_unknown",
        detail,
        RETRY,
    )
}

/// Midtrans does not let an open payment end, so that no other may begin.
pub(super) fn not_cancelled() -> Problem {
    let detail = "The open payment cannot be cancelled now; ask again.";
    later(
        StatusCode::BAD_GATEWAY,
        "payment_not_cancelled",
        detail,
        RETRY,
    )
}

/// Midtrans will not make the payment. Its words stay here: they speak of our request.
pub(super) fn refused(code: u16) -> Problem {
    let (status, word, detail) = match code {
        402 => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "method_not_available",
            "This method of payment is not available; choose another.",
        ),
        400 => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "payment_refused",
            "Midtrans does not take this payment; choose another method.",
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "gateway_refused",
            "Midtrans refused to make the payment.",
        ),
    };
    let fields = json!({ "gatewayCode": code });
    Problem::particular(status, word, detail, fields)
}

/// A call to Midtrans that came to nothing.
pub(super) fn of_call(failed: &CallError) -> Problem {
    match failed {
        CallError::NotDone(error) => of_gateway(error),
        CallError::Unknown(error) => {
            warn!(error = chain(error), "Midtrans may have done it or not");
            outcome_unknown()
        }
    }
}

/// A question to Midtrans that got no answer.
pub(super) fn of_gateway(failed: &GatewayError) -> Problem {
    warn!(error = chain(failed), "Midtrans is not available");
    unavailable(failed.retry_after().unwrap_or(RETRY))
}

pub(super) fn unavailable(pause: Duration) -> Problem {
    let detail = "Midtrans is not available; try again later.";
    later(
        StatusCode::SERVICE_UNAVAILABLE,
        "gateway_unavailable",
        detail,
        pause,
    )
}

/// As the description of the api shows it.
pub(super) fn example_shortage() -> Problem {
    short_of(&Shortage {
        kind: "ticket".to_owned(),
        item: "jakarta-2026-05-01".to_owned(),
        requested: 2,
        available: 1,
    })
}

pub(super) fn later(
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    pause: Duration,
) -> Problem {
    let seconds = pause.as_secs().max(1);
    Problem::particular(status, code, detail, json!({ "retryAfter": seconds }))
}
