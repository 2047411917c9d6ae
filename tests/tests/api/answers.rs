//! Who gets in, and what those hear whose question cannot be answered.

use std::time::{Duration, Instant};

use lunas_tests::harness::{BOUND, Fleet, Kind, OrderRow, Proxy, Stage, wait_for};
use reqwest::Method;

use crate::client::{CANARY, OPERATOR, SHOP, VIEWER, api, ask, assert_problem, problem};

#[tokio::test]
async fn each_role_gets_in_where_it_belongs_and_nowhere_else() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    let mut fleet = api(&stage).start().await;
    let order = ("API_ADDR", "/api/orders/LNS-1");
    let summary = ("ADMIN_ADDR", "/admin/summary");
    let cases = [
        (order, Some(SHOP), 200),
        (order, Some(VIEWER), 403),
        (order, Some(OPERATOR), 403),
        (order, Some("another"), 401),
        (order, None, 401),
        (summary, Some(SHOP), 403),
        (summary, Some(VIEWER), 200),
        (summary, Some(OPERATOR), 200),
        (summary, Some("another"), 401),
        (summary, None, 401),
    ];
    for ((listener, path), token, expected) in cases {
        let answer = ask(&mut fleet, Method::GET, listener, path, token).await;
        assert_eq!(answer.status(), expected, "{path} {token:?}");
        match expected {
            401 => {
                assert_eq!(answer.headers()["www-authenticate"], "Bearer");
                assert_problem(answer, 401, "unauthorized").await;
            }
            403 => assert_problem(answer, 403, "forbidden").await,
            _ => assert_eq!(answer.headers()["cache-control"], "no-store"),
        }
    }
    assert!(!fleet.api(0).log().contains(SHOP));
    fleet.finish().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_problem_with_a_stable_code() {
    let stage = Stage::new().await;
    let mut fleet = api(&stage).start().await;
    let long = format!("/api/orders/{}", "x".repeat(101));
    let shop = [
        ("/nowhere", 404, "not_found"),
        ("/admin/summary", 404, "not_found"),
        ("/api/orders/LNS-9", 404, "order_not_found"),
        ("/api/orders/%00", 404, "order_not_found"),
        ("/api/orders/%ff", 404, "order_not_found"),
        (&long, 404, "order_not_found"),
    ];
    for (path, status, code) in shop {
        let answer = ask(&mut fleet, Method::GET, "API_ADDR", path, Some(SHOP)).await;
        assert_problem(answer, status, code).await;
    }
    let operators = [
        ("/api/orders/LNS-1", 404, "not_found"),
        ("/admin/orders/LNS-9/timeline", 404, "order_not_found"),
        ("/admin/payments/orphans?limit=0", 400, "invalid_parameter"),
        ("/admin/payments/orphans?limit=x", 400, "invalid_parameter"),
        ("/admin/payments/orphans?cursor=x", 400, "invalid_parameter"),
        (
            "/admin/payments/orphans?limit=1&limit=2",
            400,
            "bad_request",
        ),
    ];
    for (path, status, code) in operators {
        let answer = ask(&mut fleet, Method::GET, "ADMIN_ADDR", path, Some(VIEWER)).await;
        assert_problem(answer, status, code).await;
    }
    let path = "/api/orders/LNS-1";
    let answer = ask(&mut fleet, Method::DELETE, "API_ADDR", path, Some(SHOP)).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    assert_problem(answer, 405, "method_not_allowed").await;
    let addr = fleet.api(0).addr("API_ADDR");
    let big = reqwest::Client::new()
        .get(format!("http://{addr}/api/orders/LNS-1"))
        .body("x".repeat(65 * 1024))
        .send();
    assert_problem(big.await.unwrap(), 413, "body_too_large").await;
    fleet.finish().await;
}

#[tokio::test]
async fn without_a_database_everybody_hears_when_to_come_back() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    proxy.refuse();
    let url = stage.database().url_by_way_of(proxy.addr());
    let mut fleet = api(&stage)
        .env("DATABASE_URL", &url)
        .only_alive()
        .start()
        .await;
    let (ready, page) = fleet.api(0).health_page("/readyz").await.unwrap();
    assert_eq!(ready, 503, "{page}");

    for (listener, path, token) in [
        ("API_ADDR", "/api/orders/LNS-1", SHOP),
        ("ADMIN_ADDR", "/admin/summary", OPERATOR),
        ("API_ADDR", "/api/events", SHOP),
        ("ADMIN_ADDR", "/admin/events?last_event_id=1", OPERATOR),
    ] {
        let asked = Instant::now();
        let answer = ask(&mut fleet, Method::GET, listener, path, Some(token)).await;
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(answer.headers()["retry-after"], "60");
        let document = problem(answer, 503, "database_unavailable").await;
        assert_eq!(document["retryAfter"], 60);
    }

    // A frozen database is as bad as none.
    proxy.restore();
    let back = wait_for("the database to be back", BOUND, async || {
        ask(
            &mut fleet,
            Method::GET,
            "API_ADDR",
            "/api/orders/LNS-1",
            Some(SHOP),
        )
        .await
        .status()
            == 200
    });
    back.await;
    proxy.stall();
    let answer = ask(
        &mut fleet,
        Method::GET,
        "API_ADDR",
        "/api/orders/LNS-1",
        Some(SHOP),
    )
    .await;
    assert_problem(answer, 503, "database_unavailable").await;
    proxy.restore();
    fleet.stop().await;
}

#[tokio::test]
async fn it_does_not_start_with_tokens_that_cannot_be_used() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).start().await;
    let env = [
        ("API_TOKENS", "web:boss:canary-5b1d"),
        ("API_ADDR", "nowhere"),
    ];
    let process = fleet.start_until(Kind::Api, &env, "").await;
    assert_eq!(process.wait_exit(BOUND).await.code(), Some(2));
    let log = process.log();
    assert!(
        log.contains("API_TOKENS") && log.contains("entry 1"),
        "{log}"
    );
    assert!(log.contains("API_ADDR"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}
