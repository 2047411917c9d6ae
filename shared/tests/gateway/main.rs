//! The gateway client against a server on loopback that answers from a script, byte by byte, also
//! in ways no proper HTTP server would.
//!
//! Needs `LUNAS_TEST_DATABASE_URL`, where the budget of each client is.

#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod calls;
mod database;
mod pacing;
mod scripted;

use std::time::{Duration, Instant};

use clap::Parser;
use shared::config::GatewaySettings;
use shared::domain::outcome::{Class, Classify};
use shared::domain::{Authority, Source, StatusAnswer};
use shared::midtrans::{Gateway, GatewayError, Limits};

use scripted::{Answer, Server};

const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";
const OTHER_KEY: &str = "SB-Mid-server-Zz81WmPaY6uHs0BvnKq4ReTz";
const SESSION: &str = "INV-20260314-000886";
const TRANSACTION: &str = "9a3f5b4d-a6c7-44e2-8315-f790b2d415ec";

#[derive(Debug, Parser)]
struct Settings {
    #[command(flatten)]
    gateway: GatewaySettings,
}

fn settings(server: &Server, keys: &str, rps: u32) -> GatewaySettings {
    let url = format!("--midtrans-api-url={}", server.url());
    let snap = format!("--midtrans-snap-url={}/snap/v1", server.url());
    let keys = format!("--midtrans-server-key={keys}");
    let rps = format!("--midtrans-rps={rps}");
    Settings::parse_from(["test", &url, &snap, &keys, &rps]).gateway
}

/// Pauses are short, and what a busy machine may exceed is long.
fn limits() -> Limits {
    Limits {
        request: Duration::from_secs(5),
        question: Duration::from_secs(30),
        retry_window: Duration::from_secs(20),
        first_pause: Duration::from_millis(5),
        cool_down: Duration::from_secs(3_600),
        ..Limits::default()
    }
}

async fn gateway(server: &Server) -> Gateway {
    gateway_with(server, limits()).await
}

async fn gateway_with(server: &Server, limits: Limits) -> Gateway {
    gateway_at(&settings(server, KEY, 1_000), limits).await
}

async fn gateway_at(settings: &GatewaySettings, limits: Limits) -> Gateway {
    Gateway::with_limits(settings, database::store().await, limits).unwrap()
}

async fn ask(gateway: &Gateway, id: &str) -> Result<StatusAnswer, GatewayError> {
    gateway.status(id, SESSION, None, Source::Reconcile).await
}

fn transaction(transaction_id: &str, code: &str, status: &str) -> Answer {
    Answer::json(
        200,
        &format!(
            r#"{{"transaction_time":"2026-03-14 11:31:39","transaction_status":"{status}",
            "transaction_id":"{transaction_id}","status_code":"{code}","payment_type":"qris",
            "order_id":"{transaction_id}","merchant_id":"G812900451",
            "gross_amount":"50000.00","currency":"IDR"}}"#
        ),
    )
}

fn expired() -> Answer {
    transaction(TRANSACTION, "407", "expire")
}

#[tokio::test]
async fn an_expired_transaction_is_found_and_keeps_our_session() {
    let server = Server::start([expired()]).await;
    let answer = ask(&gateway(&server).await, TRANSACTION).await.unwrap();
    let StatusAnswer::Found(seen) = answer else {
        panic!("not found");
    };
    assert_eq!(seen.status.as_str(), "expire");
    assert_eq!(seen.session_id, SESSION);
    assert_eq!(seen.transaction_id, TRANSACTION);
    assert_eq!(seen.authority, Authority::Confirmed);

    let request = &server.requests()[0];
    assert!(
        request.starts_with(&format!("GET /v2/{TRANSACTION}/status HTTP/1.1\r\n")),
        "{request}"
    );
    for header in [
        "authorization: Basic U0ItTWlkLXNlcnZlci05ZlF4MkxyN1R6S2UwNFdiSGRZc1VtVmE6",
        "accept: application/json",
        "user-agent: lunas/",
    ] {
        assert!(request.contains(header), "{header} is not in {request}");
    }
}

#[tokio::test]
async fn not_found_arrives_under_http_200() {
    let none = r#"{"status_code":"404","status_message":"Transaction doesn't exist.","id":"x"}"#;
    let server = Server::start([Answer::json(200, none)]).await;
    let answer = ask(&gateway(&server).await, SESSION).await;
    assert!(matches!(answer, Ok(StatusAnswer::NotFound)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_id_with_a_slash_is_one_segment_and_the_routers_404_is_not_not_found() {
    let router = r#"{"timestamp":"t","status":404,"error":"Not Found","path":"/v2/A"}"#;
    let server = Server::start([Answer::json(404, router)]).await;
    let error = ask(&gateway(&server).await, "A/B;C").await.unwrap_err();
    assert!(matches!(error, GatewayError::UnknownRoute), "{error:?}");
    assert!(server.requests()[0].starts_with("GET /v2/A%2FB%3BC/status "));
}

#[tokio::test]
async fn transient_trouble_is_tried_again_until_it_passes() {
    for trouble in [
        Answer::json(503, "{}"),
        Answer::json(200, r#"{"status_code":"500"}"#),
        Answer::Reset,
        Answer::Close,
        Answer::Truncated,
    ] {
        let what = format!("{trouble:?}");
        let server = Server::start([trouble.clone(), trouble, expired()]).await;
        let answer = ask(&gateway(&server).await, TRANSACTION).await;
        assert!(
            matches!(answer, Ok(StatusAnswer::Found(_))),
            "{what}: {answer:?}"
        );
        assert_eq!(server.requests().len(), 3, "{what}");
    }
}

#[tokio::test]
async fn three_tries_are_all_and_nobody_is_blamed() {
    let down = std::iter::repeat_n(Answer::json(503, ""), 3);
    let server = Server::start(down.chain([expired()])).await;
    let error = ask(&gateway(&server).await, TRANSACTION).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::Unavailable { status: 503 }),
        "{error:?}"
    );
    assert_eq!(error.classify(), Class::Wait);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_connection_that_says_nothing_leaves_time_for_another_one() {
    let server = Server::start([Answer::Silence, expired()]).await;
    let limits = Limits {
        request: Duration::from_millis(800),
        ..limits()
    };
    let gateway = gateway_with(&server, limits).await;
    let answer = ask(&gateway, TRANSACTION).await;
    assert!(matches!(answer, Ok(StatusAnswer::Found(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_question_ends_in_time_however_slow_the_answers_are() {
    let server = Server::start([Answer::Drip, Answer::Drip, Answer::Drip]).await;
    let limits = Limits {
        request: Duration::from_secs(60),
        question: Duration::from_millis(400),
        ..limits()
    };
    let gateway = gateway_with(&server, limits).await;
    let began = Instant::now();
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    assert!(matches!(error, GatewayError::Timeout), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_closed_port_is_a_wait() {
    let server = Server::start([]).await;
    let gateway = gateway(&server).await;
    server.stop().await;
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    assert!(matches!(error, GatewayError::Connection(_)), "{error:?}");
    assert_eq!(error.classify(), Class::Wait);
}

#[tokio::test]
async fn what_trying_again_cannot_mend_is_asked_once() {
    type Expected = fn(&GatewayError) -> bool;
    let blocked = Answer::Http {
        status: 403,
        headers: "Content-Type: text/html\r\n".to_owned(),
        body: b"<html>Access denied</html>".to_vec(),
    };
    let elsewhere = Answer::Http {
        status: 302,
        headers: "Location: /v2/elsewhere/status\r\n".to_owned(),
        body: Vec::new(),
    };
    let cases: [(Answer, Expected, Class); 6] = [
        (
            blocked,
            |error| matches!(error, GatewayError::Blocked),
            Class::Wait,
        ),
        (
            elsewhere,
            |error| matches!(error, GatewayError::Foreign { status: 302 }),
            Class::Retry,
        ),
        (
            Answer::json(401, r#"{"status_code":"401"}"#),
            |error| matches!(error, GatewayError::KeyRefused),
            Class::Wait,
        ),
        (
            Answer::json(200, &" ".repeat(65 * 1_024)),
            |error| matches!(error, GatewayError::TooLarge),
            Class::Retry,
        ),
        (
            Answer::json(200, "<html>Maintenance"),
            |error| matches!(error, GatewayError::Undecodable(_)),
            Class::Retry,
        ),
        (
            transaction("a3c55a0e-0f4d-4b38-8f5e-6e0a5b1f7d31", "200", "settlement"),
            |error| matches!(error, GatewayError::OtherTransaction),
            Class::Retry,
        ),
    ];
    for (answer, expected, class) in cases {
        let server = Server::start([answer, expired()]).await;
        let error = ask(&gateway(&server).await, TRANSACTION).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!(error.classify(), class, "{error:?}");
        assert_eq!(server.requests().len(), 1, "{error:?}");
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    let server = Server::start([Answer::limited("1"), expired()]).await;
    let began = Instant::now();
    let answer = ask(&gateway(&server).await, TRANSACTION).await;
    assert!(matches!(answer, Ok(StatusAnswer::Found(_))), "{answer:?}");
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_long_retry_after_is_told_and_holds_everybody_back() {
    let server = Server::start([Answer::limited("60"), expired()]).await;
    let gateway = gateway(&server).await;
    let began = Instant::now();
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert_eq!(error.classify(), Class::Wait);

    let error = ask(&gateway.clone(), TRANSACTION).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::BudgetExhausted { .. }),
        "{error:?}"
    );
    assert!(error.retry_after() > Some(Duration::from_secs(50)));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn each_merchant_is_asked_with_its_own_key() {
    let server = Server::start([expired(), expired()]).await;
    let keys = format!("G1={KEY},G2={OTHER_KEY}");
    let gateway = gateway_at(&settings(&server, &keys, 1_000), limits()).await;
    for merchant in ["G1", "G2"] {
        let answer = gateway
            .status(TRANSACTION, SESSION, Some(merchant), Source::Admin)
            .await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    let requests = server.requests();
    assert!(requests[0].contains("U0ItTWlkLXNlcnZlci05ZlF4MkxyN1R6S2UwNFdiSGRZc1VtVmE6"));
    assert!(requests[1].contains("U0ItTWlkLXNlcnZlci1aejgxV21QYVk2dUhzMEJ2bktxNFJlVHo6"));

    let unknown = gateway
        .status(TRANSACTION, SESSION, Some("G3"), Source::Admin)
        .await;
    assert!(matches!(unknown, Err(GatewayError::NoKey)), "{unknown:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn nothing_printed_shows_a_key_or_a_url() {
    let server = Server::start([Answer::Reset, Answer::Reset, Answer::Reset]).await;
    let gateway = gateway(&server).await;
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    let printed = format!("{gateway:?} {error} {error:?}");
    for secret in [KEY, "U0ItTWlk", TRANSACTION] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[tokio::test]
async fn a_question_can_be_asked_from_a_task() {
    let server = Server::start([expired()]).await;
    let gateway = gateway(&server).await;
    let task = tokio::spawn(async move { ask(&gateway, TRANSACTION).await });
    assert!(task.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_bad_base_url_is_refused_by_name() {
    let server = Server::start([]).await;
    let good = settings(&server, KEY, 20);
    let bad_url = GatewaySettings {
        midtrans_api_url: "api.midtrans.com".to_owned(),
        ..good.clone()
    };
    let store = database::store_that_is_away;
    let error = Gateway::new(&bad_url, store()).unwrap_err().to_string();
    assert!(error.contains("MIDTRANS_API_URL"), "{error}");
    assert!(Gateway::new(&good, store()).is_ok());
}
