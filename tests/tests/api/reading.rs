//! What shop and operators read.

use lunas_tests::harness::{OrderRow, Stage};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::client::{CANARY, SHOP, VIEWER, api, get};

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
