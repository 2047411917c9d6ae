//! What is open is found without looking at everything there ever was.
//!
//! The statements are those that the services send, taken from the committed query metadata, and
//! planned as PostgreSQL plans them for values and for a plan that it keeps.

use lunas_tests::harness::{Fleet, Stage, Storefront, root};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{count, run};

/// A hundred thousand orders of 400 days, a fifth without a payment, the last hundred open; the
/// newest of these are wrong in each way.
const ROWS: &str = "
SET session_replication_role = replica;
CREATE TEMPORARY TABLE days AS
    SELECT n, now() - (100000 - n) * interval '345 seconds' AS at, n > 99900 AS open, n % 5 > 0 AS pays
    FROM generate_series(1, 100000) AS n;
INSERT INTO orders (id, order_code, user_id, status, gross_amount, session_id, expires_at, paid_at,
                    created_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT n, 'LNS-' || n, 'user', CASE WHEN open THEN 'PENDING' WHEN pays THEN 'PAID'
       ELSE 'EXPIRED' END, 1000, CASE WHEN pays AND n <> 99999 THEN 'LNS-' || n END,
       at + interval '1 day', CASE WHEN pays AND NOT open THEN at END, at, at FROM days;
INSERT INTO payments (id, session_id, order_id, origin, gross_amount, status, paid_at, expires_at,
                      next_check_at, created_at, updated_at)
OVERRIDING SYSTEM VALUE
SELECT n, 'LNS-' || n, n, 'checkout', 1000, CASE WHEN open THEN 'pending' ELSE 'settlement' END,
       CASE WHEN NOT open THEN at END,
       CASE n WHEN 99998 THEN now() - interval '1 hour' ELSE at + interval '1 day' END,
       CASE WHEN open THEN at + interval '5 minutes' END, at, at FROM days WHERE pays;
INSERT INTO payments (id, session_id, origin, gross_amount, status)
OVERRIDING SYSTEM VALUE VALUES (200000, 'orphan', 'webhook', 5, 'settlement');
INSERT INTO payment_transactions (payment_id, midtrans_transaction_id, status, gross_amount)
SELECT id, session_id, CASE id WHEN 99996 THEN 'settlement' ELSE status END, 1000 FROM payments;
SET session_replication_role = origin;
ANALYZE";

/// Each statement commits alone: a transaction that stays open for long would hold back the live
/// events of every test on the server.
async fn load(stage: &Stage) {
    let mut connection = stage.pool().acquire().await.unwrap();
    for statement in ROWS.split(";\n") {
        let done = sqlx::raw_sql(statement).execute(&mut *connection).await;
        done.unwrap();
    }
}

/// Part of a statement, and values for its parameters.
const STATEMENTS: [(&str, &str); 11] = [
    (
        "FROM payments_open\n            WHERE due_at < now()",
        "1800, '1970-01-01', 0, 51",
    ),
    ("FROM payments_mismatched WHERE id > $1", "0, 51"),
    (
        "created_at AS \"created_at!\",\n                   session_id AS \"session_id!\"\n            \
         FROM orders_missing_session WHERE id > $1",
        "0, 51",
    ),
    (
        "order_code AS \"order_code!\", session_id AS \"session_id!\"\n            \
         FROM orders_missing_session",
        "0, 51",
    ),
    (
        "SELECT id, session_id FROM payments\n            WHERE order_id IS NULL AND id > $1",
        "0, 51",
    ),
    (
        "WHERE next_check_at <= least($1, now()) ORDER BY next_check_at",
        "now(), 51",
    ),
    ("WITH overdue AS MATERIALIZED", "now(), 0, 51"),
    ("o AS MATERIALIZED (", "interval '2 minutes', 21"),
    ("(SELECT count(*) FROM payments_mismatched) AS", "1800"),
    (
        "WHERE order_id IS NULL AND origin = 'webhook' AND (created_at, id) >",
        "'1970-01-01', 0, 51",
    ),
    (
        "FROM orders WHERE status = 'PENDING' GROUP BY status",
        "now() - interval '24 hours'",
    ),
];

#[tokio::test]
async fn no_list_scans_the_tables_of_payments_and_orders() {
    let stage = Stage::new().await;
    load(&stage).await;
    let mut connection = stage.pool().acquire().await.unwrap();
    for (part, values) in STATEMENTS {
        let statement = statement_with(part);
        for mode in ["force_custom_plan", "force_generic_plan"] {
            let plan = plan(&mut connection, &statement, values, mode).await;
            let scanned = scanned(&plan);
            assert!(
                scanned.is_empty(),
                "{mode}: {scanned:?}\n{statement}\n{plan:#}"
            );
        }
    }
    drop(connection);
    assert_finds_what_is_wrong(&stage).await;
}

#[tokio::test]
async fn the_report_of_a_day_reads_one_partition_of_the_log() {
    let stage = Stage::new().await;
    run(
        stage.pool(),
        "INSERT INTO payment_sync_logs (created_at, sync_type, event_type)
         SELECT date_trunc('month', now()) + n * interval '20 seconds', 'webhook', 'status_changed'
         FROM generate_series(0, 99999) AS n;
         ANALYZE payment_sync_logs",
    )
    .await;
    let month: String = sqlx::query_scalar(
        "SELECT 'payment_sync_logs_y' || to_char(now() AT TIME ZONE 'UTC', 'YYYY\"m\"MM')",
    )
    .fetch_one(stage.pool())
    .await
    .unwrap();
    let day = "date_trunc('month', now()) + interval '3 days', \
               date_trunc('month', now()) + interval '4 days'";
    let listed = format!("{day}, date_trunc('month', now()) + interval '3 days', 0, 1000");
    let mut connection = stage.pool().acquire().await.unwrap();
    for (part, values) in [
        ("GROUP BY c.event_type, c.sync_type, c.actor", day),
        (
            "SELECT DISTINCT ON (session_id) session_id, sync_type, actor",
            day,
        ),
        ("FROM payment_sync_logs l", &listed),
    ] {
        let statement = statement_with(part);
        let plan = plan(&mut connection, &statement, values, "force_custom_plan").await;
        let mut read = Vec::new();
        walk(&plan, &mut |node| {
            let name = node["Relation Name"].as_str().unwrap_or_default();
            if name.starts_with("payment_sync_logs") {
                read.push((
                    name.to_owned(),
                    node["Node Type"].as_str().unwrap().to_owned(),
                ));
            }
        });
        assert_eq!(
            read,
            [(month.clone(), "Bitmap Heap Scan".to_owned())],
            "{plan:#}"
        );
    }
}

/// The same through the front door, where there is too much to count all of it.
async fn assert_finds_what_is_wrong(stage: &Stage) {
    let mut fleet = Fleet::builder(stage).selling().start().await;
    let api = Storefront::of(&mut fleet);
    for (path, code) in [
        ("/admin/payments/stuck", "LNS-99998"),
        ("/admin/payments/mismatches", "LNS-99996"),
        ("/admin/orders/missing-session", "LNS-99999"),
        ("/admin/payments/orphans", "orphan"),
    ] {
        let list = api.viewer(Method::GET, path, None).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(list["items"][0]["session_id"], code, "{path}");
    }
    let summary = api
        .viewer(Method::GET, "/admin/summary", None)
        .await
        .expect(200);
    assert!(summary["since"].is_string(), "{summary}");
    let orders = [
        (
            "PENDING",
            "SELECT count(*) FROM orders WHERE status = 'PENDING'",
        ),
        (
            "PAID",
            "SELECT count(*) FROM orders WHERE status = 'PAID'
                  AND created_at >= now() - interval '24 hours'",
        ),
    ];
    for (status, query) in orders {
        let there = count(stage.pool(), query).await;
        let told = summary["orders"][status].as_i64().unwrap();
        // The clock goes on between the two questions: at most one order leaves the day.
        assert!((told - there).abs() <= 1, "{status}: {told} {there}");
    }
    assert_eq!(summary["payments"]["pending"], 80);
    assert_eq!(summary["orphans"], 1);
    fleet.stop().await;
}

#[tokio::test]
async fn what_is_open_is_counted_however_old_it_is() {
    let stage = Stage::new().await;
    load(&stage).await;
    run(
        stage.pool(),
        "INSERT INTO orders (id, order_code, user_id, gross_amount, expires_at, status,
                             review_reasons, created_at)
         OVERRIDING SYSTEM VALUE
         SELECT 300000 + n, 'review-' || n, 'ana', 1, now(), 'REVIEW', '{amount_mismatch}',
                now() - interval '300 days' FROM generate_series(1, 3) AS n",
    )
    .await;
    run(
        stage.pool(),
        "INSERT INTO payment_webhook_events (event_key, received_at, order_id,
             midtrans_transaction_id, raw_body, processed, verdict)
         VALUES (sha256('1'), now() - interval '80 days', 'x', 't', '{}', false, 'dead'),
                (sha256('2'), now() - interval '80 days', 'x', 't', '{}', true, 'applied'),
                (sha256('3'), now(), 'x', 't', '{}', true, 'applied')",
    )
    .await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let api = Storefront::of(&mut fleet);
    let summary = api
        .viewer(Method::GET, "/admin/summary", None)
        .await
        .expect(200);
    assert_eq!(summary["orders"]["REVIEW"], 3, "{summary}");
    assert_eq!(summary["notifications"], json!({"dead": 1, "applied": 1}));
    fleet.stop().await;
}

/// The one statement of the product that has these words.
fn statement_with(part: &str) -> String {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(".sqlx")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let query: Value = serde_json::from_str(&text).unwrap();
        let statement = query["query"].as_str().unwrap();
        if statement.contains(part) {
            found.push(statement.to_owned());
        }
    }
    assert_eq!(found.len(), 1, "{part}: {found:#?}");
    found.remove(0)
}

async fn plan(connection: &mut PgConnection, statement: &str, values: &str, mode: &str) -> Value {
    let statements = [
        format!("SET plan_cache_mode = {mode}"),
        format!("PREPARE asked AS {statement}"),
    ];
    for statement in statements {
        let prepared = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection);
        prepared.await.unwrap();
    }
    let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE asked({values})"));
    let plan: Value = sqlx::query_scalar(explain)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("DEALLOCATE asked")
        .execute(&mut *connection)
        .await
        .unwrap();
    plan
}

/// The large tables that a plan reads from one end to the other.
fn scanned(plan: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(plan, &mut |node| {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let table = node["Relation Name"].as_str().unwrap_or_default();
        let large = ["orders", "payments", "payment_transactions"].contains(&table);
        if large && kind.contains("Seq Scan") {
            found.push(format!("{kind} of {table}"));
        }
        // From one end to the other, in the order of an index.
        if large && kind.starts_with("Index") && node["Index Cond"].is_null() {
            let index = node["Index Name"].as_str().unwrap_or_default();
            if index.ends_with("_pkey") {
                found.push(format!("the whole of {table} by {index}"));
            }
        }
    });
    found
}

fn walk(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, look)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, look)),
        _ => {}
    }
}
