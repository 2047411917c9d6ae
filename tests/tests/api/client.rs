//! Somebody who asks the api.

use lunas_tests::harness::{Fleet, FleetBuilder, Stage};
use reqwest::{Method, Response};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) const SHOP: &str = "token-of-the-shop";
pub(crate) const VIEWER: &str = "token-of-a-viewer";
pub(crate) const OPERATOR: &str = "token-of-an-operator";

/// Must never be in an answer or in the log.
pub(crate) const CANARY: &str = "canary-5b1d";

pub(crate) fn api(stage: &Stage) -> FleetBuilder {
    let entry = |name: &str, role: &str, token: &str| {
        format!("{name}:{role}:{}", hex::encode(Sha256::digest(token)))
    };
    let tokens = [
        entry("web", "shop", SHOP),
        entry("ana", "viewer", VIEWER),
        entry("budi", "operator", OPERATOR),
    ];
    Fleet::builder(stage)
        .api(1)
        .env("API_TOKENS", &tokens.join(","))
}

pub(crate) async fn ask(
    fleet: &mut Fleet,
    method: Method,
    listener: &str,
    path: &str,
    token: Option<&str>,
) -> Response {
    let addr = fleet.api(0).addr(listener);
    let mut request = reqwest::Client::new().request(method, format!("http://{addr}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

pub(crate) async fn get(fleet: &mut Fleet, listener: &str, path: &str, token: &str) -> Value {
    let answer = ask(fleet, Method::GET, listener, path, Some(token)).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

pub(crate) async fn assert_problem(answer: Response, status: u16, code: &str) {
    problem(answer, status, code).await;
}

/// An RFC 9457 document that tells nothing of how the service works.
pub(crate) async fn problem(answer: Response, status: u16, code: &str) -> Value {
    assert_eq!(answer.status(), status, "{code}");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let text = answer.text().await.unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["code"], code);
    assert_eq!(document["type"], format!("urn:lunas:problem:{code}"));
    assert_eq!(document["status"], status);
    assert!(document["title"].is_string() && document["detail"].is_string());
    for word in ["sqlx", "SELECT", "pool", "panicked", "127.0.0.1"] {
        assert!(!text.contains(word), "{text}");
    }
    document
}
