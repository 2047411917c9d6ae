//! The gateway's answers: body code, HTTP status, and the disturbed ones.
//!
//! Which body code comes under which HTTP status follows `midtrans.md` 4.4 and its list of unknown
//! points: 400, 401, 408, 413, 429 and 5xx are real HTTP codes, everything else is HTTP 200.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::charge::Invalid;
use super::moves::Refusal;
use super::trick::{ApiAnswer, Call};

/// What a trick says is wrong with a request.
const WRONG: &str = "canary-5b1d is not allowed here";

/// An answer of the gateway before it becomes HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A JSON body under an HTTP status.
    Json(u16, Value),
    /// A page of a content network in front of the gateway.
    Page(u16),
    /// No answer: the connection is cut.
    Cut,
}

impl Answer {
    /// A good answer under HTTP 200.
    pub(crate) fn ok(body: Map<String, Value>) -> Self {
        Answer::Json(200, Value::Object(body))
    }

    /// An error body of Core.
    pub(crate) fn error(code: u16, message: &str, details: &[String]) -> Self {
        let mut body = json!({
            "status_code": code.to_string(),
            "status_message": message,
            "id": Uuid::new_v4(),
        });
        if !details.is_empty() {
            body["validation_messages"] = json!(details);
        }
        let http = match code {
            400 | 401 | 408 | 413 | 429 | 500.. => code,
            _ => 200,
        };
        Answer::Json(http, body)
    }

    /// An error body of Snap, always with a real HTTP status.
    pub(crate) fn snap_error(code: u16, messages: &[String]) -> Self {
        Answer::Json(code, json!({ "error_messages": messages }))
    }

    /// The failure a trick asks for, if it asks for one.
    pub(crate) fn failure(kind: ApiAnswer, call: Call) -> Option<Self> {
        let snap = call == Call::Snap;
        let answer = match kind {
            ApiAnswer::Running => Answer::Json(202, json!({"status_code": "202"})),
            ApiAnswer::Taken if snap => {
                let text = "transaction_details.order_id has already been taken";
                Answer::snap_error(400, &[text.to_owned()])
            }
            ApiAnswer::Taken => Answer::error(406, "order_id has been utilized previously", &[]),
            ApiAnswer::BadRequest if snap => Answer::snap_error(400, &[WRONG.to_owned()]),
            ApiAnswer::BadRequest => Answer::error(
                400,
                "One or more parameters in the payload is invalid.",
                &[WRONG.to_owned()],
            ),
            ApiAnswer::NotActivated => Answer::error(402, "Payment channel is not activated.", &[]),
            ApiAnswer::Malformed => Answer::error(413, "The body is not valid JSON.", &[]),
            ApiAnswer::NotFound => Answer::from(Refusal::UNKNOWN),
            ApiAnswer::TooManyRequests => Answer::error(429, "Too many requests", &[]),
            ApiAnswer::ServerError => Answer::error(500, "Internal server error", &[]),
            ApiAnswer::Unavailable => Answer::error(503, "Service temporarily unavailable", &[]),
            ApiAnswer::ForbiddenPage => Answer::Page(403),
            ApiAnswer::Down => Answer::Cut,
            ApiAnswer::Normal
            | ApiAnswer::Expired
            | ApiAnswer::UpperCase
            | ApiAnswer::TransactionIdAsOrderId
            | ApiAnswer::Refused => return None,
        };
        Some(answer)
    }

    /// Whether an idempotency key stores it.
    pub(crate) fn is_success(&self) -> bool {
        // 202 says that there is no answer yet.
        let Answer::Json(200 | 201, body) = self else {
            return false;
        };
        let code = body["status_code"].as_str();
        code.is_none_or(|code| code.starts_with('2') || code == "407")
    }

    /// Changes fields of a JSON answer.
    pub(crate) fn edit(self, edit: impl FnOnce(&mut Map<String, Value>)) -> Self {
        match self {
            Answer::Json(http, Value::Object(mut body)) => {
                edit(&mut body);
                Answer::Json(http, Value::Object(body))
            }
            other => other,
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Answer::error(refusal.code, refusal.message, &[])
    }
}

impl From<Invalid> for Answer {
    fn from(invalid: Invalid) -> Self {
        if invalid.code == 400 {
            let message = "One or more parameters in the payload is invalid.";
            return Answer::error(400, message, &invalid.messages);
        }
        let message = invalid.messages.first().map_or("", String::as_str);
        Answer::error(invalid.code, message, &[])
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Json(http, body) => {
                let status = StatusCode::from_u16(http).unwrap_or(StatusCode::OK);
                let kind = [(header::CONTENT_TYPE, "application/json")];
                (status, kind, body.to_string()).into_response()
            }
            Answer::Page(http) => {
                let status = StatusCode::from_u16(http).unwrap_or(StatusCode::FORBIDDEN);
                let page = "<html><body><h1>Request blocked</h1></body></html>";
                (status, Html(page)).into_response()
            }
            Answer::Cut => {
                let cut = std::io::Error::other("connection cut by a trick");
                let body = futures::stream::iter([Err::<bytes::Bytes, _>(cut)]);
                Response::new(Body::from_stream(body))
            }
        }
    }
}
