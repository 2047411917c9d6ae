//! What went wrong, as callers hear it: an RFC 9457 document with a stable `type` and `code`.
//!
//! A document says what the caller can act on and nothing of how this service works: no SQL, no
//! cause, nothing of the request. The causes go to the log, here, once.

use std::borrow::Cow;
use std::error::Error;

use axum::Json;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::apply::ApplyError;
use shared::store::{StoreError, StoreErrorKind};
use tracing::{error, warn};
use utoipa::ToSchema;

/// Seconds after which a caller may try again when something we depend on is away.
const RETRY_SECONDS: u32 = 60;

/// Where a particular problem says the same.
const RETRY_FIELD: &str = "retryAfter";

/// The media type of a problem document.
pub(crate) const PROBLEM_JSON_NAME: &str = "application/problem+json";

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static(PROBLEM_JSON_NAME);

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A parameter cannot be read; the text says which and why.
    InvalidParameter(&'static str),
    /// The request is not one this service understands.
    BadRequest,
    /// No token, or one that is nobody's.
    Unauthorized,
    /// The token's role may not do this.
    Forbidden,
    /// There is nothing at this path.
    NotFound,
    /// There is no such order.
    OrderNotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is over the limit.
    BodyTooLarge,
    /// The token made too many requests, or the address too many attempts without one; seconds
    /// until the next may be made.
    TooManyRequests(u32),
    /// The token has too many streams open.
    TooManyStreams,
    /// The database is away.
    DatabaseUnavailable,
    /// One of a single part of the API.
    Particular(Box<Particular>),
    /// A bug; the log has it.
    Internal,
}

/// A problem that one part of the API knows, with what the caller can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Particular {
    /// The stable name.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// A sentence for people.
    pub detail: Cow<'static, str>,
    /// More members of the document.
    pub fields: Map<String, Value>,
}

/// What went wrong, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// `urn:lunas:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What the status means.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// A sentence for humans; may change.
    detail: Cow<'static, str>,
    /// The stable name.
    code: &'static str,
    /// Seconds after which it may be tried again.
    #[serde(rename = "retryAfter", skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    /// What else the code brings.
    #[serde(flatten)]
    #[schema(ignore)]
    fields: Map<String, Value>,
}

impl Problem {
    /// One of a single part; `fields` is a JSON object or null.
    pub(crate) fn particular(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
        fields: Value,
    ) -> Self {
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        Self::Particular(Box::new(Particular {
            code,
            status,
            detail: detail.into(),
            fields,
        }))
    }

    /// The stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidParameter(_) => "invalid_parameter",
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::OrderNotFound => "order_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyRequests(_) => "too_many_requests",
            Self::TooManyStreams => "too_many_streams",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::Particular(problem) => problem.code,
            Self::Internal => "internal_error",
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidParameter(_) | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::OrderNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests(_) | Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::DatabaseUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Particular(problem) => problem.status,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Particular(problem) => return problem.detail.clone(),
            Self::InvalidParameter(detail) => detail,
            Self::BadRequest => "The request cannot be understood.",
            Self::Unauthorized => "A bearer token is needed.",
            Self::Forbidden => "The token does not allow this.",
            Self::NotFound => "There is nothing at this path.",
            Self::OrderNotFound => "There is no order of this code.",
            Self::MethodNotAllowed => "The path does not take this method.",
            Self::RequestTimeout => "The request did not arrive in time.",
            Self::BodyTooLarge => "The body is larger than 64 KiB.",
            Self::TooManyRequests(_) => "There were too many requests; try again later.",
            Self::TooManyStreams => "There are too many streams open; close one.",
            Self::DatabaseUnavailable => "The database is not available; try again later.",
            Self::Internal => "Something went wrong here.",
        })
    }

    /// The problem that an answer with this status stands for, when the framework gave it.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::REQUEST_TIMEOUT => Self::RequestTimeout,
            StatusCode::PAYLOAD_TOO_LARGE => Self::BodyTooLarge,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }

    /// What the caller reads.
    pub(crate) fn document(&self) -> Document {
        let status = self.status();
        Document {
            kind: format!("urn:lunas:problem:{}", self.code()),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.detail(),
            code: self.code(),
            retry_after: self.retry_after(),
            fields: self.fields(),
        }
    }

    /// What a particular problem brings; `retryAfter` among it has its place, and its header.
    fn fields(&self) -> Map<String, Value> {
        let Self::Particular(problem) = self else {
            return Map::new();
        };
        let mut fields = problem.fields.clone();
        fields.remove(RETRY_FIELD);
        fields
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::DatabaseUnavailable | Self::TooManyStreams => Some(RETRY_SECONDS),
            Self::TooManyRequests(seconds) => Some(*seconds),
            Self::Particular(problem) => {
                let seconds = problem.fields.get(RETRY_FIELD)?.as_u64()?;
                u32::try_from(seconds).ok()
            }
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, PROBLEM_JSON);
        if self == Self::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(failed: StoreError) -> Self {
        Self::from(&failed)
    }
}

impl From<ApplyError> for Problem {
    fn from(failed: ApplyError) -> Self {
        Self::from(&failed)
    }
}

impl From<&ApplyError> for Problem {
    fn from(failed: &ApplyError) -> Self {
        match failed {
            ApplyError::Store(failed) => Self::from(failed),
            ApplyError::LinkedMeanwhile => {
                warn!(error = chain(failed), "Overtaken too often");
                Self::DatabaseUnavailable
            }
            ApplyError::Contradiction(_) | ApplyError::NotAvailable { .. } => {
                error!(error = chain(failed), "Request failed");
                Self::Internal
            }
        }
    }
}

impl From<&StoreError> for Problem {
    fn from(failed: &StoreError) -> Self {
        match failed.kind() {
            StoreErrorKind::Unavailable | StoreErrorKind::Contention => {
                warn!(error = chain(failed), "Database not available");
                Self::DatabaseUnavailable
            }
            StoreErrorKind::Refused { .. }
            | StoreErrorKind::SchemaMismatch
            | StoreErrorKind::Unclassified => {
                error!(error = chain(failed), "Request failed");
                Self::Internal
            }
        }
    }
}

/// Turns error answers that are not problem documents into such: the framework's own are plain
/// text, and some repeat the request.
pub(crate) async fn everywhere(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(CONTENT_TYPE) == Some(&PROBLEM_JSON) {
        return response;
    }
    let mut answer = Problem::of_status(status).into_response();
    if let Some(methods) = response.headers().get(ALLOW) {
        answer.headers_mut().insert(ALLOW, methods.clone());
    }
    answer
}

/// An error with its causes, for the log.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
