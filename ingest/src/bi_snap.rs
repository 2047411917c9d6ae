//! The answers of the BI-SNAP endpoints (`midtrans.md` 2.5, 3.3): an envelope of their own, in which
//! only HTTP 200 counts as success.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use shared::domain::notice::bi_snap::{Echo, Product, TIMESTAMP};
use shared::domain::wib;
use time::OffsetDateTime;

use crate::answer::{Answer, Problem};

/// The whole response; `echo` is what a virtual account's answer repeats.
pub(crate) fn response(
    product: Product,
    answer: Answer,
    echo: Option<&Echo>,
    now: OffsetDateTime,
) -> Response<Full<Bytes>> {
    let (status, case, message) = match answer {
        Answer::Accepted | Answer::Test => (StatusCode::OK, "00", success(product).to_owned()),
        Answer::Rejected(problem) => refusal(problem),
    };
    let mut body = json!({
        "responseCode": format!("{}{}{case}", status.as_u16(), product.service_code()),
        "responseMessage": message,
    });
    if let (StatusCode::OK, Some(echo)) = (status, echo) {
        body["virtualAccountData"] = repeated(echo);
    }
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(stamp) = HeaderValue::from_str(&timestamp(now)) {
        headers.insert(TIMESTAMP_HEADER, stamp);
    }
    match answer {
        Answer::Rejected(Problem::MethodNotAllowed) => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        Answer::Rejected(Problem::Overloaded) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Answer::Accepted | Answer::Test | Answer::Rejected(_) => {}
    }
    if matches!(answer, Answer::Rejected(problem) if problem.is_the_senders_fault()) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Header names in code are lower case; on the wire case does not count.
const TIMESTAMP_HEADER: &str = "x-timestamp";
const _: () = assert!(TIMESTAMP.eq_ignore_ascii_case(TIMESTAMP_HEADER));

const fn success(product: Product) -> &'static str {
    match product {
        Product::VirtualAccount => "Successful",
        Product::Debit | Product::Qr | Product::Account => {
            "Request has been processed successfully"
        }
    }
}

/// HTTP status, the last two digits of the code, and the message.
fn refusal(problem: Problem) -> (StatusCode, &'static str, String) {
    let status = match problem {
        // The family's own error; every status but 200 buys the same five retries here.
        Problem::NotConfirmed => StatusCode::INTERNAL_SERVER_ERROR,
        other => other.status(),
    };
    let (case, message) = match problem {
        Problem::Malformed => ("00", "Bad Request".to_owned()),
        Problem::MissingField(name) => ("02", format!("Invalid Mandatory Field {name}")),
        Problem::FieldNotText(name) | Problem::RepeatedField(name) => {
            ("01", format!("Invalid Field Format {name}"))
        }
        Problem::SignatureMismatch => ("00", "Unauthorized. Signature".to_owned()),
        Problem::NotFound => ("00", "Not Found".to_owned()),
        Problem::NotConfigured => ("00", "Not Configured".to_owned()),
        Problem::MethodNotAllowed => ("00", "Method Not Allowed".to_owned()),
        Problem::BodyTimeout => ("00", "Request Timeout".to_owned()),
        Problem::TooLarge => ("00", "Request Too Large".to_owned()),
        Problem::Overloaded => ("00", "Too Many Requests".to_owned()),
        Problem::NotConfirmed => ("00", "General Error".to_owned()),
    };
    (status, case, message)
}

/// Leading blanks are part of the numbers.
fn repeated(echo: &Echo) -> Value {
    json!({
        "partnerServiceId": echo.partner_service_id,
        "customerNo": echo.customer_no,
        "virtualAccountNo": echo.virtual_account_no,
        "trxId": echo.trx_id,
    })
}

/// ISO 8601 with the offset, to the second.
fn timestamp(now: OffsetDateTime) -> String {
    format!("{}+07:00", wib::format(now).replace(' ', "T"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_told_with_its_offset() {
        let moment = OffsetDateTime::from_unix_timestamp(1_773_458_122).unwrap();
        assert_eq!(timestamp(moment), "2026-03-14T10:15:22+07:00");
    }

    #[test]
    fn every_refusal_has_the_code_of_its_status_and_service() {
        let cases = [
            (
                Problem::SignatureMismatch,
                Product::VirtualAccount,
                401,
                "4012500",
            ),
            (Problem::SignatureMismatch, Product::Qr, 401, "4015200"),
            (
                Problem::MissingField("trxId"),
                Product::VirtualAccount,
                400,
                "4002502",
            ),
            (
                Problem::NotConfirmed,
                Product::VirtualAccount,
                500,
                "5002500",
            ),
            (Problem::Overloaded, Product::Debit, 429, "4295600"),
            (Problem::Malformed, Product::Account, 400, "4008800"),
        ];
        for (problem, product, status, code) in cases {
            let (http, case, _) = refusal(problem);
            assert_eq!(http.as_u16(), status);
            let built = format!("{}{}{case}", http.as_u16(), product.service_code());
            assert_eq!(built, code);
        }
    }
}
