//! How often somebody may ask, from where, and what the curious are told.

use lunas_tests::harness::{Fleet, OrderRow, Stage};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{OPERATOR, SHOP, VIEWER, api, ask, assert_problem};
use crate::described::{document, operations};

/// In the place of parameters.
const STRANGE: &[&str] = &[
    "%00",
    "%ff%fe",
    "'; DROP TABLE orders; --",
    "%2e%2e%2f",
    "%F0%9F%92%A9",
    "\u{202e}x",
    "0",
    "-1",
    "9223372036854775808",
    "null",
    "{}",
    "[]",
    "%0d%0aSet-Cookie:x",
];

/// In the place of bodies.
const BODIES: &[&str] = &[
    "",
    "{",
    "null",
    "[]",
    "\u{0}",
    "{\"a\":1e999}",
    "\"text\"",
    "{\"items\":{}}",
    "{\"user_id\":{\"$ne\":null}}",
];

#[tokio::test]
async fn a_token_that_asks_too_often_has_to_wait_and_others_do_not() {
    let stage = Stage::new().await;
    let limits = [("API_RPS", "1"), ("API_BURST", "5")];
    let builder = limits.iter().fold(api(&stage), |b, (n, v)| b.env(n, v));
    let mut fleet = builder.start().await;
    let path = "/admin/summary";
    let mut refused = None;
    // More than the burst, and what a slow machine lets through meanwhile.
    for _ in 0..50 {
        let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(VIEWER)).await;
        if answer.status() != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("one of 50 requests is refused");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_problem(refused, 429, "too_many_requests").await;
    let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(OPERATOR)).await;
    assert_eq!(answer.status(), 200);
    fleet.stop().await;
}

#[tokio::test]
async fn guessing_tokens_ends_in_waiting() {
    let stage = Stage::new().await;
    let mut fleet = api(&stage).start().await;
    let path = "/admin/summary";
    let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(OPERATOR)).await;
    assert_eq!(answer.status(), 200);
    let mut refused = None;
    for guess in 0..400 {
        let guess = format!("guess-{guess}");
        let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(&guess)).await;
        if answer.status() == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status(), 401);
    }
    let refused = refused.expect("one of 400 guesses is refused");
    assert_problem(refused, 429, "too_many_requests").await;
    // Who was there before is still let in.
    let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(OPERATOR)).await;
    assert_eq!(answer.status(), 200);
    fleet.stop().await;
}

#[tokio::test]
async fn web_pages_may_ask_the_shop_listener_only_and_only_when_named() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    let origin = "https://shop.example";
    let mut closed = api(&stage).start().await;
    let mut open = api(&stage).env("API_CORS_ORIGINS", origin).start().await;

    let allowed = preflight(&mut open, "API_ADDR", "/api/orders/LNS-1", origin).await;
    assert_eq!(allowed.status(), 200);
    assert_eq!(allowed.headers()["access-control-allow-origin"], origin);
    let headers = allowed.headers()["access-control-allow-headers"].to_str();
    assert!(headers.unwrap().contains("authorization"));
    for (fleet, listener, from) in [
        (&mut closed, "API_ADDR", origin),
        (&mut open, "ADMIN_ADDR", origin),
    ] {
        let answer = preflight(fleet, listener, "/api/orders/LNS-1", from).await;
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    for from in ["https://shop.example.evil", "http://shop.example", "null"] {
        let answer = preflight(&mut open, "API_ADDR", "/api/orders/LNS-1", from).await;
        assert!(
            !answer.headers().contains_key("access-control-allow-origin"),
            "{from}"
        );
    }

    // A real request needs its token all the same.
    let addr = open.api(0).addr("API_ADDR");
    let request = Client::new().get(format!("http://{addr}/api/orders/LNS-1"));
    let request = request.header("Origin", origin);
    let refused = request.try_clone().unwrap().send().await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], origin);
    assert_problem(refused, 401, "unauthorized").await;
    let answer = request.bearer_auth(SHOP).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    closed.stop().await;
    open.stop().await;
}

#[tokio::test]
async fn garbage_everywhere_is_refused_and_tells_nothing() {
    let stage = Stage::new().await;
    let mut fleet = api(&stage).start().await;
    for (listener, token) in [("API_ADDR", SHOP), ("ADMIN_ADDR", OPERATOR)] {
        let described = document(&mut fleet, listener).await;
        let (client, addr) = (Client::new(), fleet.api(0).addr(listener));
        for (path, method, operation) in operations(&described) {
            if !operation["responses"]["200"]["content"]["text/event-stream"].is_null() {
                continue;
            }
            for word in STRANGE {
                let path = filled(&path, word);
                let query = format!("{path}?limit={word}&cursor={word}&{word}");
                for asked in [&path, &query] {
                    for body in BODIES {
                        let answer = send(
                            &client,
                            &method,
                            &format!("http://{addr}{asked}"),
                            token,
                            body,
                        )
                        .await;
                        tells_nothing(answer, &format!("{method} {asked} {body}")).await;
                    }
                }
            }
        }
        for raw in [
            "GET / HTTP/9.9\r\n\r\n",
            "\u{1}\u{2}\u{3}\r\n\r\n",
            "POST /api/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            "GET /api/orders/x HTTP/1.1\r\nHost: x\r\nAuthorization: \u{7f}\r\n\r\n",
        ] {
            let answer = send_raw(&mut fleet, listener, raw).await;
            assert!(!answer.starts_with("HTTP/1.1 5"), "{raw:?}: {answer}");
            assert!(!answer.contains("panicked"), "{answer}");
        }
    }
    assert!(!fleet.api(0).log().contains("panicked"));
    fleet.stop().await;
}

async fn preflight(fleet: &mut Fleet, listener: &str, path: &str, origin: &str) -> Response {
    let addr = fleet.api(0).addr(listener);
    let request = Client::new().request(Method::OPTIONS, format!("http://{addr}{path}"));
    let request = request
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization");
    request.send().await.unwrap()
}

/// A path with a word in the place of each parameter.
fn filled(path: &str, word: &str) -> String {
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => word,
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

async fn send(
    client: &Client,
    method: &str,
    url: &str,
    token: &str,
    body: &'static str,
) -> Response {
    let method = method.to_uppercase().parse().unwrap();
    let request = client.request(method, url).bearer_auth(token).body(body);
    let request = request.header("Content-Type", "application/json");
    request.send().await.unwrap()
}

/// No error of ours, and no word of how the service works.
async fn tells_nothing(answer: Response, asked: &str) {
    let status = answer.status();
    assert!(!status.is_server_error(), "{asked}: {status}");
    let is_error = status.is_client_error();
    let kind = answer.headers().get("content-type").cloned();
    let text = answer.text().await.unwrap();
    if is_error {
        assert_eq!(kind.unwrap(), "application/problem+json", "{asked}");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["status"], status.as_u16(), "{asked}");
        for word in ["sqlx", "SELECT", "serde", "panicked", "src/", "DROP TABLE"] {
            assert!(!text.contains(word), "{asked}: {text}");
        }
    }
}

async fn send_raw(fleet: &mut Fleet, listener: &str, text: &str) -> String {
    let addr = fleet.api(0).addr(listener);
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset has told nothing either.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
