//! Every trap of `midtrans.md` 4.4 and 4.8, without a network.

use super::*;
use reqwest::header::HeaderValue;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-03-14 03:00 UTC);
const SESSION: &str = "INV-20260314-000886";
const TRANSACTION: &str = "9a3f5b4d-a6c7-44e2-8315-f790b2d415ec";

fn by_transaction() -> Question<'static> {
    Question {
        id: TRANSACTION,
        session_id: SESSION,
        source: Source::Reconcile,
    }
}

fn by_order() -> Question<'static> {
    Question {
        id: SESSION,
        ..by_transaction()
    }
}

fn transaction(order_id: &str, transaction_id: &str, code: &str, status: &str) -> String {
    format!(
        r#"{{"status_code":"{code}","transaction_status":"{status}","order_id":"{order_id}",
        "transaction_id":"{transaction_id}","gross_amount":"50000.00","currency":"IDR",
        "payment_type":"qris","transaction_time":"2026-03-14 11:31:39"}}"#
    )
}

fn judged(status: u16, body: &str, question: Question<'_>) -> Result<StatusAnswer, GatewayError> {
    let reply = Reply {
        status,
        retry_after: Some(Duration::from_secs(7)),
        body: body.as_bytes().to_vec(),
    };
    reply.judge(&question, NOW)
}

#[test]
fn found_is_found_whatever_the_codes_say() {
    for (http, code, status) in [
        (200, "200", "settlement"),
        (200, "201", "pending"),
        (200, "200", "PENDING"),
        (200, "407", "expire"),
        (407, "407", "expire"),
        (200, "202", "deny"),
    ] {
        let body = transaction(SESSION, TRANSACTION, code, status);
        let answer = judged(http, &body, by_transaction()).unwrap();
        let StatusAnswer::Found(seen) = answer else {
            panic!("{http} {code} {status} was not found");
        };
        assert_eq!(seen.status.as_str(), status.to_lowercase());
        assert_eq!((seen.session_id.as_str(), seen.received_at), (SESSION, NOW));
    }
}

#[test]
fn no_such_transaction_is_not_an_unknown_address() {
    let none = r#"{"status_code":"404","status_message":"Transaction doesn't exist.","id":"x"}"#;
    for http in [200, 404] {
        let answer = judged(http, none, by_order());
        assert!(matches!(answer, Ok(StatusAnswer::NotFound)), "{http}");
    }
    let router = r#"{"timestamp":"t","status":404,"error":"Not Found","path":"/v2/a"}"#;
    for body in [router, "<html>", ""] {
        let answer = judged(404, body, by_order());
        assert!(matches!(answer, Err(GatewayError::UnknownRoute)), "{body}");
    }
}

#[test]
fn every_refusal_has_its_type() {
    type Expected = fn(&GatewayError) -> bool;
    let code = |code: &str| format!(r#"{{"status_code":"{code}","status_message":"m"}}"#);
    let limited: Expected = |error| error.retry_after() == Some(Duration::from_secs(7));
    let unavailable: Expected = |error| matches!(error, GatewayError::Unavailable { .. });
    let key: Expected = |error| matches!(error, GatewayError::KeyRefused);
    let cases: Vec<(u16, String, Expected)> = vec![
        (401, code("401"), key),
        (200, code("401"), key),
        (401, "<html>".to_owned(), key),
        (429, "slow down".to_owned(), limited),
        (200, code("429"), limited),
        (503, String::new(), unavailable),
        (408, String::new(), unavailable),
        (200, code("505"), unavailable),
        (403, "<html>Access denied".to_owned(), |error| {
            matches!(error, GatewayError::Blocked)
        }),
        (403, code("403"), |error| {
            matches!(error, GatewayError::Refused { code: Some(403) })
        }),
        (400, code("400"), |error| {
            matches!(error, GatewayError::Refused { code: Some(400) })
        }),
        (200, code("x"), |error| {
            matches!(error, GatewayError::Refused { code: None })
        }),
        (302, String::new(), |error| {
            matches!(error, GatewayError::Foreign { status: 302 })
        }),
        (400, "<html>".to_owned(), |error| {
            matches!(error, GatewayError::Foreign { status: 400 })
        }),
        (200, "{}".to_owned(), |error| {
            matches!(error, GatewayError::Foreign { status: 200 })
        }),
        (200, "<html>".to_owned(), |error| {
            matches!(error, GatewayError::Undecodable(_))
        }),
    ];
    for (http, body, expected) in cases {
        let error = judged(http, &body, by_transaction()).unwrap_err();
        assert!(expected(&error), "{http} {body} gave {error:?}");
    }
}

#[test]
fn an_outage_is_not_believed_even_with_a_transaction_in_it() {
    let body = transaction(SESSION, TRANSACTION, "200", "settlement");
    let error = judged(502, &body, by_transaction()).unwrap_err();
    assert!(matches!(error, GatewayError::Unavailable { status: 502 }));
}

#[test]
fn an_answer_about_another_transaction_is_a_contradiction() {
    let other = "a3c55a0e-0f4d-4b38-8f5e-6e0a5b1f7d31";
    let refused = |body: &str, question| {
        matches!(
            judged(200, body, question),
            Err(GatewayError::OtherTransaction)
        )
    };
    let body = transaction(SESSION, other, "200", "settlement");
    assert!(refused(&body, by_transaction()));
    let body = transaction("INV-OTHER", other, "200", "settlement");
    assert!(refused(&body, by_order()));
}

#[test]
fn an_order_id_that_is_the_transaction_id_is_no_contradiction() {
    let body = transaction(TRANSACTION, TRANSACTION, "200", "settlement");
    for question in [by_transaction(), by_order()] {
        let Ok(StatusAnswer::Found(seen)) = judged(200, &body, question) else {
            panic!("not found");
        };
        assert_eq!(seen.session_id, SESSION);
    }
}

#[test]
fn retry_after_is_read_as_seconds_or_date() {
    for (text, expected) in [
        ("7", Some(7)),
        (" 120 ", Some(120)),
        ("Sat, 14 Mar 2026 03:01:00 GMT", Some(60)),
        ("Sat, 14 Mar 2026 02:00:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        let seconds = retry_after(&headers, NOW).map(|pause| pause.as_secs());
        assert_eq!(seconds, expected, "{text}");
    }
}
