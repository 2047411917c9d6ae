//! What `/openapi.json` says of the API.

use lunas_tests::harness::{Fleet, Stage};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{api, ask};

#[tokio::test]
async fn each_listener_describes_what_it_serves_to_anybody_who_asks() {
    let stage = Stage::new().await;
    let mut fleet = api(&stage).start().await;

    let shop = document(&mut fleet, "API_ADDR").await;
    let operators = document(&mut fleet, "ADMIN_ADDR").await;
    for (document, prefix) in [(&shop, "/api/"), (&operators, "/admin/")] {
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            document["components"]["securitySchemes"]["bearer"],
            json!({"type": "http", "scheme": "bearer"})
        );
        for (path, method, operation) in operations(document) {
            let shown = format!("{method} {path}");
            assert!(path.starts_with(prefix), "{shown}");
            assert_eq!(operation["security"], json!([{"bearer": []}]), "{shown}");
            let role = operation["description"].as_str().unwrap();
            assert!(role.contains("Role: `"), "{shown}");
            for status in ["401", "403", "500", "503"] {
                let answer = &operation["responses"][status]["content"]["application/problem+json"];
                assert!(answer["examples"].is_object(), "{shown} {status}");
            }
        }
    }

    // A handler's own problems stand beside those that any request may meet.
    let order = &shop["paths"]["/api/orders/{order_code}"]["get"];
    let missing = &order["responses"]["404"]["content"]["application/problem+json"];
    assert_eq!(
        missing["schema"]["allOf"][1]["properties"]["code"]["enum"],
        json!(["not_found", "order_not_found"])
    );
    assert_eq!(
        missing["examples"]["order_not_found"]["value"]["type"],
        "urn:lunas:problem:order_not_found"
    );
    fleet.stop().await;
}

/// What a listener says of itself, without a token.
pub(crate) async fn document(fleet: &mut Fleet, listener: &str) -> Value {
    let answer = ask(fleet, Method::GET, listener, "/openapi.json", None).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}

/// Path, method and description of each operation.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((path.clone(), method.clone(), operation.clone()));
        }
    }
    assert!(!found.is_empty(), "nothing is described");
    found
}
