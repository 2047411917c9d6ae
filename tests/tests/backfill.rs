//! `lunas backfill` and `POST /admin/backfill`: links that are missing, in both directions.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::process::Stdio;

use lunas_tests::harness::{Fleet, Method, OrderRow, Payment, Shop, Stage, audit, program};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Runs `lunas backfill`; its exit code and what it printed.
async fn backfill(stage: &Stage, arguments: &[&str]) -> (i32, Value) {
    let output = tokio::process::Command::new(program("lunas"))
        .arg("backfill")
        .args(arguments)
        .arg("--json")
        .env("DATABASE_URL", stage.database().url())
        .env("USER", "budi")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), printed)
}

async fn run(stage: &Stage, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(stage.pool())
        .await
        .unwrap();
}

async fn value(stage: &Stage, query: &'static str) -> Value {
    sqlx::query_scalar(query)
        .fetch_one(stage.pool())
        .await
        .unwrap()
}

/// Orders and payments whose links were lost in every way, and some that are no one's.
async fn damage(shop: &mut Shop) {
    // Paid by a payment that forgot its order, which forgot its session.
    shop.order("LNS-1", 1_000).await;
    assert_eq!(shop.post(&gopay("LNS-1", 1_000)).await, 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    // Named by the merchant's own field.
    OrderRow::pending("SHOP-A", 2_000)
        .without_session()
        .insert(shop.stage().pool())
        .await;
    // Named by the order.
    OrderRow::pending("LNS-3", 3_000)
        .without_session()
        .insert(shop.stage().pool())
        .await;
    // Linked, but the order does not name it.
    shop.order("LNS-4", 4_000).await;
    shop.stop_worker().await;
    run(
        shop.stage(),
        "UPDATE payments SET order_id = NULL, origin = 'webhook' WHERE session_id = 'LNS-1';
         UPDATE orders SET session_id = NULL WHERE order_code IN ('LNS-1', 'LNS-4');
         INSERT INTO payments (session_id, origin, gross_amount) VALUES
             ('x-1', 'webhook', 2000), ('x-3', 'webhook', 3000), ('stray', 'webhook', 5),
             ('LNS-4-2', 'checkout', 4000);
         UPDATE orders SET session_id = 'x-3' WHERE order_code = 'LNS-3';
         INSERT INTO payment_webhook_events (event_key, received_at, order_id,
             midtrans_transaction_id, raw_body, processed, verdict)
         VALUES (sha256('x-1'), now(), 'x-1', 'x-1-t', '{\"custom_field1\": \"SHOP-A\"}', true,
                 'stale')",
    )
    .await;
}

fn gopay(session: &str, amount: i64) -> lunas_tests::harness::Signed {
    Payment::new(Method::Gopay, session, amount).settlement()
}

/// What is missing: order, session, direction.
fn expected() -> Value {
    json!([
        ["LNS-1", "LNS-1", "order_to_session"],
        ["LNS-1", "LNS-1", "payment_to_order"],
        ["LNS-3", "x-3", "payment_to_order"],
        ["LNS-4", "LNS-4", "order_to_session"],
        ["LNS-4", "LNS-4-2", "payment_to_order"],
        ["SHOP-A", "x-1", "order_to_session"],
        ["SHOP-A", "x-1", "payment_to_order"]
    ])
}

fn listed(answer: &Value) -> Value {
    let mut rows: Vec<Value> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            assert!(
                item["why"].as_str().is_some_and(|why| why.len() > 10),
                "{item}"
            );
            json!([item["order_code"], item["session_id"], item["direction"]])
        })
        .collect();
    rows.sort_by_key(ToString::to_string);
    rows.into()
}

const LINKS: &str = "SELECT jsonb_agg(jsonb_build_array(o.order_code, o.session_id,
        (SELECT jsonb_agg(p.session_id ORDER BY p.id) FROM payments p WHERE p.order_id = o.id))
        ORDER BY o.order_code) FROM orders o";

fn mended() -> Value {
    json!([
        ["LNS-1", "LNS-1", ["LNS-1"]],
        ["LNS-3", "x-3", ["x-3"]],
        ["LNS-4", "LNS-4", ["LNS-4", "LNS-4-2"]],
        ["SHOP-A", "x-1", ["x-1"]]
    ])
}

#[tokio::test]
async fn what_is_missing_is_shown_then_mended_and_then_nothing_is_missing() {
    let mut shop = Shop::open().await;
    damage(&mut shop).await;
    let stage = shop.stage().clone();
    let before = value(&stage, LINKS).await;

    let (code, shown) = backfill(&stage, &["--dry-run"]).await;
    assert_eq!(code, 1, "{shown}");
    assert_eq!(listed(&shown), expected());
    assert_eq!(
        (&shown["dry_run"], &shown["changed"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(value(&stage, LINKS).await, before);

    // More than one thing, and nobody to ask.
    assert_eq!(backfill(&stage, &["--run"]).await.0, 2);
    assert_eq!(backfill(&stage, &[]).await.0, 2);
    assert_eq!(value(&stage, LINKS).await, before);

    let (code, done) = backfill(&stage, &["--run", "--yes"]).await;
    assert_eq!((code, &done["changed"]), (0, &json!(7)), "{done}");
    assert_eq!(listed(&done), expected());
    assert_eq!(value(&stage, LINKS).await, mended());
    let logs = value(
        &stage,
        "SELECT to_jsonb(count(*)) FROM payment_sync_logs WHERE sync_type = 'backfill'
         AND event_type = 'link_mended' AND actor = 'budi' AND detail ? 'why'",
    )
    .await;
    assert_eq!(logs, 7);

    let (code, nothing) = backfill(&stage, &["--run"]).await;
    assert_eq!((code, &nothing["changed"]), (0, &json!(0)));
    assert_eq!(backfill(&stage, &["--dry-run"]).await.0, 0);
    assert_eq!(value(&stage, LINKS).await, mended());
    audit::assert_invariants(stage.pool()).await;
}

#[tokio::test]
async fn small_batches_come_to_the_same_end() {
    let mut shop = Shop::open().await;
    damage(&mut shop).await;
    let stage = shop.stage().clone();
    let (_, shown) = backfill(&stage, &["--dry-run", "--batch", "1"]).await;
    assert_eq!(listed(&shown), expected());
    let (code, done) = backfill(&stage, &["--run", "--yes", "--batch", "1"]).await;
    assert_eq!((code, &done["changed"]), (0, &json!(7)), "{done}");
    assert_eq!(value(&stage, LINKS).await, mended());
}

#[tokio::test]
async fn a_link_that_is_mended_fulfils_what_was_paid() {
    let mut shop = Shop::open().await;
    // The settlement came under a name that nobody knew; the shop then says which order it was.
    assert_eq!(shop.post(&gopay("nobody", 1_000)).await, 200);
    shop.until_payment("nobody", json!({"status": "settlement", "order_id": null}))
        .await;
    shop.stop_worker().await;
    OrderRow::pending("LNS-1", 1_000)
        .without_session()
        .insert(shop.stage().pool())
        .await;
    run(shop.stage(), "UPDATE orders SET session_id = 'nobody'").await;
    let (code, done) = backfill(shop.stage(), &["--run", "--yes"]).await;
    assert_eq!((code, &done["changed"]), (0, &json!(1)), "{done}");
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
}

#[tokio::test]
async fn the_endpoint_shows_and_mends_for_operators_only() {
    let mut shop = Shop::open().await;
    damage(&mut shop).await;
    let stage = shop.stage().clone();
    let entry = |name: &str, role: &str| {
        let token = format!("token-of-{name}");
        format!("{name}:{role}:{}", hex::encode(Sha256::digest(token)))
    };
    let tokens = [entry("ana", "viewer"), entry("budi", "operator")].join(",");
    let mut fleet = Fleet::builder(&stage)
        .api(1)
        .env("API_TOKENS", &tokens)
        .start()
        .await;
    let addr = fleet.api(0).addr("ADMIN_ADDR");
    let ask = async |query: &str, who: &str| {
        let url = format!("http://{addr}/admin/backfill{query}");
        let request = reqwest::Client::new()
            .post(url)
            .bearer_auth(format!("token-of-{who}"));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        (status, body)
    };
    assert_eq!(ask("?dry_run=true", "ana").await.0, 403);
    assert_eq!(ask("?dry_run=perhaps", "budi").await.0, 400);
    assert_eq!(ask("?cursor=nonsense", "budi").await.0, 400);
    let before = value(&stage, LINKS).await;
    let (status, shown) = ask("?dry_run=true", "budi").await;
    assert_eq!((status, listed(&shown)), (200, expected()), "{shown}");
    assert_eq!(
        (&shown["changed"], &shown["next_cursor"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(value(&stage, LINKS).await, before);

    let (status, done) = ask("", "budi").await;
    assert_eq!((status, &done["changed"]), (200, &json!(7)), "{done}");
    assert_eq!(value(&stage, LINKS).await, mended());
    let (_, again) = ask("", "budi").await;
    assert_eq!(again["changed"], 0);
    fleet.finish().await;
}
