//! Making and ending payments: what each answer means, and what is never sent twice.

use shared::domain::Rupiah;
use shared::domain::checkout::PayMethod;
use shared::midtrans::{
    ActionAnswer, CallError, Charge, ChargeAnswer, GatewayError, PageClosed, SnapAnswer,
};
use time::{Duration, OffsetDateTime};

use super::scripted::{Answer, Server};
use super::{Limits, SESSION, TRANSACTION, gateway, gateway_with, limits};

fn charge(method: PayMethod) -> Charge<'static> {
    Charge {
        session_id: SESSION,
        gross_amount: Rupiah::new(50_000),
        method,
        order_code: Some("INV"),
        now: OffsetDateTime::UNIX_EPOCH,
        life: Duration::HOUR,
    }
}

fn described(code: &str, status: &str) -> Answer {
    of_session(code, status, SESSION)
}

fn of_session(code: &str, status: &str, session: &str) -> Answer {
    let body = format!(
        r#"{{"transaction_status":"{status}","transaction_id":"{TRANSACTION}",
        "status_code":"{code}","payment_type":"gopay","order_id":"{session}",
        "gross_amount":"50000.00","currency":"IDR","transaction_time":"2026-03-14 11:31:39"}}"#
    );
    Answer::json(200, &body)
}

fn told(http: u16, code: &str) -> Answer {
    Answer::json(
        http,
        &format!(r#"{{"status_code":"{code}","status_message":"m"}}"#),
    )
}

fn snap_error(http: u16, text: &str) -> Answer {
    Answer::json(http, &format!(r#"{{"error_messages":["{text}"]}}"#))
}

fn blocked() -> Answer {
    Answer::Http {
        status: 403,
        headers: "Content-Type: text/html\r\n".to_owned(),
        body: b"<html>Access denied</html>".to_vec(),
    }
}

#[tokio::test]
async fn each_answer_to_a_charge_has_its_meaning() {
    type Expected = fn(&Result<ChargeAnswer, CallError>) -> bool;
    let cases: [(Answer, Expected); 12] = [
        (
            described("201", "pending"),
            |a| matches!(a, Ok(ChargeAnswer::Made(seen)) if seen.status.as_str() == "pending"),
        ),
        (
            described("202", "deny"),
            |a| matches!(a, Ok(ChargeAnswer::Made(seen)) if seen.status.as_str() == "deny"),
        ),
        (told(202, "202"), |a| matches!(a, Ok(ChargeAnswer::Running))),
        (Answer::json(202, ""), |a| {
            matches!(a, Ok(ChargeAnswer::Running))
        }),
        (told(200, "406"), |a| matches!(a, Ok(ChargeAnswer::Taken))),
        (told(406, "406"), |a| matches!(a, Ok(ChargeAnswer::Taken))),
        (told(400, "400"), |a| {
            matches!(a, Ok(ChargeAnswer::Refused { code: 400 }))
        }),
        (told(200, "402"), |a| {
            matches!(a, Ok(ChargeAnswer::Refused { code: 402 }))
        }),
        (told(200, "404"), |a| {
            matches!(a, Ok(ChargeAnswer::Refused { code: 404 }))
        }),
        (told(401, "401"), |a| {
            matches!(a, Err(CallError::NotDone(GatewayError::KeyRefused)))
        }),
        (of_session("201", "pending", "ANOTHER"), |a| {
            matches!(a, Err(CallError::Unknown(GatewayError::OtherTransaction)))
        }),
        (blocked(), |a| {
            matches!(a, Err(CallError::Unknown(GatewayError::Blocked)))
        }),
    ];
    for (answer, expected) in cases {
        let what = format!("{answer:?}");
        let server = Server::start([answer]).await;
        let answer = gateway(&server)
            .await
            .charge(&charge(PayMethod::Gopay))
            .await;
        assert!(expected(&answer), "{what}: {answer:?}");
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_charge_that_may_have_been_made_is_not_sent_again() {
    for lost in [
        told(500, "500"),
        told(503, "503"),
        told(200, "505"),
        Answer::json(502, "<html>"),
        Answer::json(200, "<html>"),
        Answer::Reset,
        Answer::Close,
        Answer::Truncated,
        Answer::Silence,
    ] {
        let what = format!("{lost:?}");
        let server = Server::start([lost]).await;
        let limits = Limits {
            request: std::time::Duration::from_millis(500),
            ..limits()
        };
        let gateway = gateway_with(&server, limits).await;
        let answer = gateway.charge(&charge(PayMethod::Gopay)).await;
        assert!(matches!(answer, Err(CallError::Unknown(_))), "{what}");
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_charge_that_was_certainly_not_made_is_sent_again_with_the_same_key() {
    let server = Server::start([Answer::limited("0"), described("201", "pending")]).await;
    let answer = gateway(&server)
        .await
        .charge(&charge(PayMethod::Gopay))
        .await;
    assert!(matches!(answer, Ok(ChargeAnswer::Made(_))), "{answer:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert!(request.starts_with("POST /v2/charge "), "{request}");
        let head = request.to_lowercase();
        let key = format!("idempotency-key: {}-charge\r\n", SESSION.to_lowercase());
        assert!(head.contains(&key), "{request}");
        assert!(request.contains(r#""payment_type":"gopay""#), "{request}");
    }
    let server = Server::start([]).await;
    let gateway = gateway(&server).await;
    server.stop().await;
    let answer = gateway.charge(&charge(PayMethod::Gopay)).await;
    assert!(matches!(answer, Err(CallError::NotDone(_))), "{answer:?}");
}

#[tokio::test]
async fn each_answer_to_a_page_has_its_meaning() {
    type Expected = fn(&Result<SnapAnswer, CallError>) -> bool;
    let page = r#"{"token":"t-1","redirect_url":"https://x/t-1"}"#;
    let cases: [(Answer, Expected); 9] = [
        (
            Answer::json(201, page),
            |a| matches!(a, Ok(SnapAnswer::Open { token, .. }) if token == "t-1"),
        ),
        (Answer::json(202, "{}"), |a| {
            matches!(a, Ok(SnapAnswer::Running))
        }),
        (
            snap_error(400, "transaction_details.order_id has already been taken"),
            |a| matches!(a, Ok(SnapAnswer::Taken)),
        ),
        (
            snap_error(
                400,
                "transaction_details.order_id has been paid and utilized",
            ),
            |a| matches!(a, Ok(SnapAnswer::Taken)),
        ),
        (snap_error(400, "order_id sudah digunakan"), |a| {
            matches!(a, Ok(SnapAnswer::Taken))
        }),
        (snap_error(400, "gross_amount is required"), |a| {
            matches!(a, Ok(SnapAnswer::Refused { code: 400 }))
        }),
        (snap_error(401, "unknown merchant"), |a| {
            matches!(a, Err(CallError::NotDone(GatewayError::KeyRefused)))
        }),
        (snap_error(500, "sorry"), |a| {
            matches!(a, Err(CallError::Unknown(_)))
        }),
        (blocked(), |a| matches!(a, Err(CallError::Unknown(_)))),
    ];
    for (answer, expected) in cases {
        let what = format!("{answer:?}");
        let server = Server::start([answer]).await;
        let answer = gateway(&server).await.snap(&charge(PayMethod::Snap)).await;
        assert!(expected(&answer), "{what}: {answer:?}");
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{what}");
        assert!(requests[0].starts_with("POST /snap/v1/transactions "));
    }
}

#[tokio::test]
async fn a_transaction_is_ended_by_200_and_by_407() {
    for (what, answer) in [
        ("cancel", described("200", "cancel")),
        ("expire", described("407", "expire")),
    ] {
        // Ending it twice does no harm, so a lost answer is asked for again.
        let server = Server::start([Answer::Close, answer]).await;
        let gateway = gateway(&server).await;
        let ended = match what {
            "cancel" => gateway.cancel(TRANSACTION, SESSION).await,
            _ => gateway.expire(TRANSACTION, SESSION).await,
        };
        let Ok(ActionAnswer::Done(seen)) = ended else {
            panic!("{what}: {ended:?}");
        };
        assert_eq!((seen.status.as_str(), &*seen.session_id), (what, SESSION));
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[1].starts_with(&format!("POST /v2/{TRANSACTION}/{what} ")));
    }
}

#[tokio::test]
async fn a_state_that_allows_no_end_and_an_unknown_transaction_are_told_apart() {
    type Expected = fn(&Result<ActionAnswer, CallError>) -> bool;
    let cases: [(Answer, Expected); 4] = [
        (told(200, "412"), |a| {
            matches!(a, Ok(ActionAnswer::NotAllowed))
        }),
        (described("202", "settlement"), |a| {
            matches!(a, Ok(ActionAnswer::NotAllowed))
        }),
        (told(200, "404"), |a| {
            matches!(a, Ok(ActionAnswer::NotFound))
        }),
        (blocked(), |a| matches!(a, Err(CallError::Unknown(_)))),
    ];
    for (answer, expected) in cases {
        let what = format!("{answer:?}");
        let server = Server::start([answer]).await;
        let answer = gateway(&server).await.cancel(SESSION, SESSION).await;
        assert!(expected(&answer), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_is_closed_or_says_why_not() {
    for (answer, expected) in [
        (Answer::json(200, "{}"), PageClosed::Closed),
        (snap_error(400, "not open"), PageClosed::NotOpen),
        (snap_error(404, "not found"), PageClosed::NotFound),
    ] {
        let server = Server::start([answer]).await;
        let closed = gateway(&server).await.cancel_page("t-1").await;
        assert_eq!(closed.unwrap(), expected);
        let path = "POST /snap/v1/transactions/t-1/cancel ";
        assert!(server.requests()[0].starts_with(path));
    }
    let server = Server::start([blocked()]).await;
    let closed = gateway(&server).await.cancel_page("t-1").await;
    assert!(matches!(closed, Err(CallError::Unknown(_))), "{closed:?}");
}
