//! Misbehaviour on demand (`midtrans.md` 6.3) as it is described in a request.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One armed trick. It applies to one order (also by transaction id) or, without `order_id`, to
/// all; `times` bounds how often.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trick {
    /// Order (or transaction) it is meant for; absent: every one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Notification statuses it applies to; empty: every one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// How often it applies before it disarms itself; absent: until removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Send more copies of the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
    /// Never send it.
    pub drop: bool,
    /// Keep it until `/sim/release`.
    pub hold: bool,
    /// Send it this much later (real milliseconds), without holding up its successors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Do not wait for the first attempt of the order's previous notification.
    pub parallel: bool,
    /// Fields taken out after signing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub omit: Vec<String>,
    /// Fields put in after signing; objects are merged into objects.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub add: Map<String, Value>,
    /// Rupiah of fee imposed on the customer, from the next notification on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<i64>,
    /// Amount which the next capture or settlement comes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_amount: Option<i64>,
    /// Transaction id of the next charge; `bi-snap` makes one that is no UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// How the gateway's API answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiTrick>,
}

/// Copies of one notification.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicate {
    /// How many besides the original.
    pub copies: u32,
    /// All at the same time instead of one after the other.
    #[serde(default)]
    pub concurrent: bool,
}

/// A disturbed API answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiTrick {
    /// Which call; default `status`.
    pub call: Call,
    /// What it answers; default: what it would anyway (useful with `delay_ms` or `set`).
    pub answer: ApiAnswer,
    /// Real milliseconds before the call is looked at.
    pub delay_ms: u64,
    /// Whether the call takes effect although its answer is a failure.
    pub processed: bool,
    /// Fields replaced in the answer.
    pub set: Map<String, Value>,
}

/// A call of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `GET /v2/{id}/status`.
    #[default]
    Status,
    /// `POST /v2/charge`.
    Charge,
    /// `POST /snap/v1/transactions`.
    Snap,
    /// `POST /v2/{id}/cancel`.
    Cancel,
    /// `POST /v2/{id}/expire`.
    Expire,
    /// Both refund calls.
    Refund,
    /// `POST /v2/capture`.
    Capture,
    /// `POST /v2/{id}/approve` and `/deny`.
    Challenge,
    /// Every call.
    Any,
}

/// What a call answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiAnswer {
    /// The ordinary answer.
    #[default]
    Normal,
    /// HTTP 200 with body code 404.
    NotFound,
    /// 400, with what is wrong.
    BadRequest,
    /// 402: the payment type is not enabled.
    NotActivated,
    /// 413: the body cannot be read.
    Malformed,
    /// 202: the first request with this key is still running.
    Running,
    /// 406, Snap's 400: the order id is in use.
    Taken,
    /// The full body, but with code 407 and status `expire`.
    Expired,
    /// The full body with its `transaction_status` in capitals.
    UpperCase,
    /// The full body with the transaction id in `order_id`.
    TransactionIdAsOrderId,
    /// 429.
    TooManyRequests,
    /// 500.
    ServerError,
    /// 503.
    Unavailable,
    /// 403 with an HTML page.
    ForbiddenPage,
    /// The connection is cut without an answer.
    Down,
    /// The bank refuses: 202, and the transaction stays as it was (refund, capture).
    Refused,
}

impl Trick {
    /// Whether it is meant for something known by one of these ids.
    pub(crate) fn is_for(&self, ids: &[&str]) -> bool {
        let wanted = self.order_id.as_deref();
        wanted.is_none_or(|wanted| ids.contains(&wanted))
    }

    /// Whether it applies to notifications of this status.
    pub(crate) fn is_on(&self, status: &str) -> bool {
        self.on.is_empty() || self.on.iter().any(|word| word == status)
    }

    /// Whether it concerns the sending of notifications.
    pub(crate) fn shapes_notifications(&self) -> bool {
        self.duplicate.is_some()
            || self.drop
            || self.hold
            || self.delay_ms.is_some()
            || self.parallel
            || !self.omit.is_empty()
            || !self.add.is_empty()
    }
}
