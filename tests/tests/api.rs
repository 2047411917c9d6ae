//! The api as a real process: who gets in, what they are told, and what nobody is ever told.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::time::{Duration, Instant};

use lunas_tests::harness::{BOUND, Fleet, FleetBuilder, Kind, OrderRow, Proxy, Stage, wait_for};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;

const SHOP: &str = "token-of-the-shop";
const VIEWER: &str = "token-of-a-viewer";
const OPERATOR: &str = "token-of-an-operator";

/// Must never be in an answer or in the log.
const CANARY: &str = "canary-5b1d";

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
async fn the_shop_reads_an_order_with_its_payments() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 150_000)
        .insert(stage.pool())
        .await;
    OrderRow::pending("LNS-2", 1)
        .without_session()
        .insert(stage.pool())
        .await;
    run(
        stage.pool(),
        "UPDATE orders SET status = 'REVIEW', paid_at = '2026-03-14 02:12:41+00',
                review_reasons = '{amount_mismatch}', session_id = 'LNS-1-2'
         WHERE order_code = 'LNS-1'",
    )
    .await;
    run(
        stage.pool(),
        "INSERT INTO payments (session_id, order_id, origin, gross_amount, status, payment_type,
                               paid_at, snap_token)
         SELECT 'LNS-1-2', id, 'checkout', 140000, 'settlement', 'gopay',
                '2026-03-14 02:12:41+00', 'canary-5b1d' FROM orders WHERE order_code = 'LNS-1'",
    )
    .await;
    let mut fleet = api(&stage).start().await;

    let order = get(&mut fleet, "API_ADDR", "/api/orders/LNS-1", SHOP).await;
    assert_eq!(order["order_code"], "LNS-1");
    assert_eq!(order["status"], "REVIEW");
    assert_eq!(order["gross_amount"], 150_000);
    assert_eq!(order["paid_at"], "2026-03-14T02:12:41Z");
    assert!(order["expires_at"].is_string());
    assert_eq!(order["review_reasons"], json!(["amount_mismatch"]));
    assert_eq!(
        order["payments"],
        json!([
            {"session_id": "LNS-1", "status": "created", "payment_type": null,
             "gross_amount": 150_000, "paid_at": null},
            {"session_id": "LNS-1-2", "status": "settlement", "payment_type": "gopay",
             "gross_amount": 140_000, "paid_at": "2026-03-14T02:12:41Z"},
        ])
    );
    assert!(!order.to_string().contains(CANARY));

    let unpaid = get(&mut fleet, "API_ADDR", "/api/orders/LNS-2", SHOP).await;
    assert_eq!(
        (&unpaid["payments"], &unpaid["paid_at"]),
        (&json!([]), &json!(null))
    );
    fleet.stop().await;
}

#[tokio::test]
async fn a_timeline_merges_what_was_notified_done_and_told_and_hides_raw_bodies() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    write_history(stage.pool()).await;
    let mut fleet = api(&stage).start().await;

    let path = "/admin/orders/LNS-1/timeline";
    let page = get(&mut fleet, "ADMIN_ADDR", path, VIEWER).await;
    assert_eq!(page["next_cursor"], Value::Null);
    let items = page["items"].as_array().unwrap();
    let kinds: Vec<_> = items
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["notification", "log", "notification", "log", "log", "event"]
    );
    assert_eq!(
        items[0],
        json!({"at": "2026-03-14T02:00:00Z", "kind": "notification", "session_id": "LNS-1",
               "transaction_id": "t-1", "status": "pending", "fraud_status": null,
               "verdict": "applied", "reason": null, "deliveries": 1})
    );
    assert_eq!(
        (&items[2]["status"], &items[2]["deliveries"]),
        (&json!("settlement"), &json!(3))
    );
    assert_eq!(
        items[4],
        json!({"at": "2026-03-14T02:00:02Z", "kind": "log", "session_id": "LNS-1",
               "sync_type": "webhook", "event_type": "status_changed", "from_status": "pending",
               "to_status": "settlement", "actor": null, "detail": {"n": 3}})
    );
    assert_eq!(
        (&items[5]["event_type"], &items[5]["data"]["status"]),
        (&json!("order.paid"), &json!("PAID"))
    );
    assert!(!page.to_string().contains(CANARY), "{page}");

    // The same in pages: nothing twice, nothing left out.
    let mut paged = Vec::new();
    let mut next = format!("{path}?limit=1");
    loop {
        let page = get(&mut fleet, "ADMIN_ADDR", &next, VIEWER).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("{path}?limit=1&cursor={cursor}");
    }
    assert_eq!(&paged, items);
    fleet.stop().await;
}

#[tokio::test]
async fn orphans_are_listed_in_pages_and_everything_is_counted() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    write_history(stage.pool()).await;
    run(
        stage.pool(),
        "INSERT INTO payments (session_id, origin, gross_amount, status, created_at)
         SELECT 'orphan-' || n, 'webhook', n, 'settlement',
                '2026-03-14 02:00:00+00'::timestamptz + n / 3 * interval '1 second'
         FROM generate_series(0, 6) AS n",
    )
    .await;
    let mut fleet = api(&stage).start().await;

    let mut seen = Vec::new();
    let mut next = "/admin/payments/orphans?limit=2".to_owned();
    loop {
        let page = get(&mut fleet, "ADMIN_ADDR", &next, VIEWER).await;
        let items = page["items"].as_array().unwrap();
        seen.extend(
            items
                .iter()
                .map(|item| item["session_id"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("/admin/payments/orphans?limit=2&cursor={cursor}");
    }
    let expected: Vec<String> = (0..7).map(|n| format!("orphan-{n}")).collect();
    assert_eq!(seen, expected);

    let summary = get(&mut fleet, "ADMIN_ADDR", "/admin/summary", VIEWER).await;
    assert_eq!(summary["orders"], json!({"PENDING": 1}));
    assert_eq!(summary["payments"], json!({"created": 1, "settlement": 7}));
    assert_eq!(summary["notifications"], json!({"applied": 2}));
    assert_eq!(summary["orphans"], 7);
    assert_eq!(summary["dead_letters"], json!({}));

    // An orphan has a history though it has no order.
    let timeline = get(
        &mut fleet,
        "ADMIN_ADDR",
        "/admin/orders/orphan-1/timeline",
        VIEWER,
    )
    .await;
    assert_eq!(timeline["items"], json!([]));
    fleet.stop().await;
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

fn api(stage: &Stage) -> FleetBuilder {
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

async fn ask(
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

async fn get(fleet: &mut Fleet, listener: &str, path: &str, token: &str) -> Value {
    let answer = ask(fleet, Method::GET, listener, path, Some(token)).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

async fn assert_problem(answer: Response, status: u16, code: &str) {
    problem(answer, status, code).await;
}

/// An RFC 9457 document that tells nothing of how the service works.
async fn problem(answer: Response, status: u16, code: &str) -> Value {
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

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.unwrap();
}

/// Two notifications, three log rows and an event; some of the same moment, and with secrets.
async fn write_history(pool: &PgPool) {
    run(
        pool,
        r#"INSERT INTO payment_webhook_events (
               event_key, received_at, order_id, midtrans_transaction_id, raw_body, signature_key,
               processed, verdict, deliveries)
           VALUES
               (sha256('2'), '2026-03-14 02:00:01+00', 'LNS-1', 't-1',
                '{"transaction_status": "settlement", "note": "canary-5b1d"}', 'canary-5b1d',
                true, 'applied', 3),
               (sha256('1'), '2026-03-14 02:00:00+00', 'LNS-1', 't-1',
                '{"transaction_status": "pending"}', 'canary-5b1d', true, 'applied', 1)"#,
    )
    .await;
    run(
        pool,
        r#"INSERT INTO payment_sync_logs (
               created_at, order_code, session_id, sync_type, event_type, from_status, to_status,
               detail)
           VALUES
               ('2026-03-14 02:00:00+00', NULL, 'LNS-1', 'webhook', 'status_changed', 'created',
                'pending', '{"n": 1}'),
               ('2026-03-14 02:00:02+00', 'LNS-1', NULL, 'system', 'other', NULL, NULL,
                '{"n": 2}'),
               ('2026-03-14 02:00:02+00', 'LNS-1', 'LNS-1', 'webhook', 'status_changed', 'pending',
                'settlement', '{"n": 3}'),
               ('2026-03-14 02:00:02+00', 'LNS-7', 'LNS-7', 'system', 'elsewhere', NULL, NULL,
                NULL)"#,
    )
    .await;
    run(
        pool,
        r#"INSERT INTO domain_events (event_type, order_code, data, created_at)
           VALUES ('order.paid', 'LNS-1', '{"status": "PAID"}', '2026-03-14 02:00:02+00')"#,
    )
    .await;
}
