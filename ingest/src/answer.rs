//! The answers of the public listener and nothing about how they are reached.
//!
//! The status decides how often Midtrans tries again: 200 never, 400 twice, everything else here
//! five times in 5 h 42 min. There is no 3xx: Midtrans would drop the notification. A problem
//! document never repeats anything of the request.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use shared::domain::VerifyError;

/// What a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Verified and confirmed by the broker.
    Accepted,
    /// The dashboard's test notification, verified and confirmed.
    Test,
    /// Not accepted.
    Rejected(Problem),
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The body is not a JSON object that can be read.
    Malformed,
    /// A field that the signature needs is not there.
    MissingField(&'static str),
    /// A field that the signature needs is not a string.
    FieldNotText(&'static str),
    /// A field that the signature needs is there twice.
    RepeatedField(&'static str),
    /// The signature does not match any of our keys.
    SignatureMismatch,
    /// There is nothing at this path.
    NotFound,
    /// The key that would vouch for what comes here is not configured.
    NotConfigured,
    /// The method is not POST.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is over the limit.
    TooLarge,
    /// Too many notifications wait for the broker's confirm.
    Overloaded,
    /// The broker did not confirm: away, blocked, refused, unroutable or too slow.
    NotConfirmed,
}

impl Answer {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Accepted | Self::Test => StatusCode::OK,
            Self::Rejected(problem) => problem.status(),
        }
    }

    /// The whole response.
    pub fn response(self) -> Response<Full<Bytes>> {
        let problem = match self {
            Self::Accepted => return plain(br#"{"status":"accepted"}"#),
            Self::Test => return plain(br#"{"status":"test"}"#),
            Self::Rejected(problem) => problem,
        };
        let mut response = Response::new(Full::from(problem.document()));
        *response.status_mut() = problem.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match problem {
            Problem::MethodNotAllowed => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            Problem::Overloaded => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if problem.is_the_senders_fault() {
            // Whoever sends what cannot be accepted does not keep one of our connections.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn plain(body: &'static [u8]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(Bytes::from_static(body)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Problem {
    /// Every code, for metrics that exist before the first problem.
    pub const CODES: [&'static str; 12] = [
        "malformed_body",
        "missing_field",
        "field_not_text",
        "repeated_field",
        "signature_mismatch",
        "not_found",
        "method_not_allowed",
        "body_timeout",
        "body_too_large",
        "overloaded",
        "not_confirmed",
        "not_configured",
    ];

    /// The stable name, in the document, the metrics and the logs.
    pub const fn code(self) -> &'static str {
        Self::CODES[self.index()]
    }

    /// Position of the code in [`Problem::CODES`].
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::MissingField(_) => 1,
            Self::FieldNotText(_) => 2,
            Self::RepeatedField(_) => 3,
            Self::SignatureMismatch => 4,
            Self::NotFound => 5,
            Self::MethodNotAllowed => 6,
            Self::BodyTimeout => 7,
            Self::TooLarge => 8,
            Self::Overloaded => 9,
            Self::NotConfirmed => 10,
            Self::NotConfigured => 11,
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed
            | Self::MissingField(_)
            | Self::FieldNotText(_)
            | Self::RepeatedField(_) => StatusCode::BAD_REQUEST,
            // Not 400 or 404: if it is our key that is wrong, Midtrans must go on trying.
            Self::SignatureMismatch => StatusCode::UNAUTHORIZED,
            Self::NotFound | Self::NotConfigured => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            // Not 503 or 500: 502 buys five retries, they buy four and one.
            Self::NotConfirmed => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the sender, not this service or its broker, has to change something.
    pub const fn is_the_senders_fault(self) -> bool {
        !matches!(self, Self::Overloaded | Self::NotConfirmed)
    }

    /// What is wrong, for people.
    pub fn detail(self) -> String {
        match self {
            Self::Malformed => "The body is not a JSON object.".to_owned(),
            Self::MissingField(name) => format!("The field {name} is missing."),
            Self::FieldNotText(name) => format!("The field {name} is not a string."),
            Self::RepeatedField(name) => format!("The field {name} is there twice."),
            Self::SignatureMismatch => "The signature does not match.".to_owned(),
            Self::NotFound => "There is nothing at this path.".to_owned(),
            Self::NotConfigured => {
                "The key for notifications of this kind is not configured.".to_owned()
            }
            Self::MethodNotAllowed => "Only POST is allowed here.".to_owned(),
            Self::BodyTimeout => "The body did not arrive in time.".to_owned(),
            Self::TooLarge => "The body is larger than 64 KiB.".to_owned(),
            Self::Overloaded => "Too many notifications are in hand; try again.".to_owned(),
            Self::NotConfirmed => "The notification could not be stored; try again.".to_owned(),
        }
    }

    /// The RFC 9457 document. Nothing in it needs escaping: every part is a text of this file or
    /// the name of a field that we look for.
    fn document(self) -> String {
        let status = self.status();
        format!(
            r#"{{"type":"urn:lunas:problem:{code}","title":"{title}","status":{number},"detail":"{detail}","code":"{code}"}}"#,
            code = self.code(),
            title = status.canonical_reason().unwrap_or("Error"),
            number = status.as_u16(),
            detail = self.detail(),
        )
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::MissingField { name } => Self::MissingField(name),
            VerifyError::FieldNotText { name } => Self::FieldNotText(name),
            VerifyError::RepeatedField { name } => Self::RepeatedField(name),
            VerifyError::SignatureMismatch => Self::SignatureMismatch,
            VerifyError::NotJson => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEMS: [Problem; Problem::CODES.len()] = [
        Problem::Malformed,
        Problem::MissingField("order_id"),
        Problem::FieldNotText("order_id"),
        Problem::RepeatedField("order_id"),
        Problem::SignatureMismatch,
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::BodyTimeout,
        Problem::TooLarge,
        Problem::Overloaded,
        Problem::NotConfirmed,
        Problem::NotConfigured,
    ];

    #[test]
    fn every_problem_is_a_document_with_its_own_code_and_never_a_redirect() {
        for (index, problem) in PROBLEMS.into_iter().enumerate() {
            assert_eq!(problem.index(), index);
            assert!(problem.status().is_client_error() || problem.status().is_server_error());
            let document: serde_json::Value = serde_json::from_str(&problem.document()).unwrap();
            assert_eq!(document["code"], problem.code());
            assert_eq!(document["status"], problem.status().as_u16());
        }
    }
}
