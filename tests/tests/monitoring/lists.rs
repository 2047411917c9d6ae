//! The lists of what needs somebody to look at it: the same in the API, on the command line and in
//! the metrics.

use std::time::Duration;

use lunas_tests::harness::{Fleet, Kind, OrderRow, Stage, Storefront, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{each, lunas, run};

/// A metric is counted every 30 s.
const COUNTED: Duration = Duration::from_secs(60);

/// Three that are stuck, two mismatches, two orders that name no session, one orphan, and beside
/// each of them what only looks like it.
async fn wrong(stage: &Stage) {
    for code in ["LNS-1", "LNS-2", "LNS-3", "LNS-4", "LNS-5", "LNS-6"] {
        OrderRow::pending(code, 1_000).insert(stage.pool()).await;
    }
    run(
        stage.pool(),
        "UPDATE payments SET status = 'pending', expires_at = now() - interval '40 minutes'
             WHERE session_id = 'LNS-1';
         UPDATE payments SET status = 'pending', expires_at = now() - interval '20 minutes'
             WHERE session_id = 'LNS-2';
         UPDATE payments SET created_at = now() - interval '25 hours' WHERE session_id = 'LNS-3';
         INSERT INTO payments (session_id, origin, gross_amount, status, expires_at) VALUES
             ('stuck', 'checkout', 5, 'authorize', now() - interval '2 hours'),
             ('final', 'checkout', 5, 'expire', now() - interval '2 hours'),
             ('orphan', 'webhook', 7, 'settlement', NULL);
         UPDATE payments SET status = 'settlement', paid_at = now(), expires_at = NULL
             WHERE session_id IN ('LNS-4', 'LNS-5', 'LNS-6');
         INSERT INTO payment_transactions (payment_id, midtrans_transaction_id, status,
                                           fraud_status, gross_amount)
             SELECT id, session_id, CASE session_id WHEN 'LNS-5' THEN 'capture'
                        ELSE 'settlement' END,
                    CASE session_id WHEN 'LNS-5' THEN 'challenge' END, 1000
             FROM payments WHERE session_id IN ('LNS-4', 'LNS-5', 'LNS-6');
         UPDATE orders SET status = 'EXPIRED' WHERE order_code = 'LNS-6';
         UPDATE orders SET session_id = NULL WHERE order_code IN ('LNS-2', 'LNS-6');
         INSERT INTO orders (order_code, user_id, gross_amount, expires_at)
             VALUES ('never-begun', 'ana', 5, now() + interval '1 hour')",
    )
    .await;
}

const LISTS: [(&str, &str, &[&str]); 4] = [
    (
        "/admin/payments/stuck",
        "stuck",
        &["stuck", "LNS-3", "LNS-1"],
    ),
    (
        "/admin/payments/mismatches",
        "mismatches",
        &["LNS-4", "LNS-6"],
    ),
    (
        "/admin/orders/missing-session",
        "missing-session",
        &["LNS-2", "LNS-6"],
    ),
    ("/admin/payments/orphans", "orphans", &["orphan"]),
];

#[tokio::test]
async fn what_is_wrong_is_listed_and_nothing_else() {
    let stage = Stage::new().await;
    wrong(&stage).await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let api = Storefront::of(&mut fleet);
    for (path, word, sessions) in LISTS {
        let whole = api.viewer(Method::GET, path, None).await.expect(200);
        assert_eq!(each(&whole, "session_id"), sessions, "{path}");
        assert_eq!(whole["next_cursor"], Value::Null);
        assert_eq!(paged(&api, path).await, sessions, "{path}");
        let bad = api
            .viewer(Method::GET, &format!("{path}?cursor=x-1"), None)
            .await;
        bad.problem(400, "invalid_parameter");

        let found = lunas(&stage, &["payments", word, "--json"]).await;
        assert_eq!(found.code, 1, "{found:?}");
        let found = found.json();
        assert_eq!(each(&found, "session_id"), sessions, "{word}");
        assert_eq!(found["total"], sessions.len());
        let first = lunas(&stage, &["payments", word, "--limit", "1"]).await;
        let shown = format!("{} found", sessions.len());
        assert!(first.out.contains(&shown), "{first:?}");
        assert!(first.out.contains(sessions[0]), "{first:?}");
    }
    let stuck = api
        .viewer(Method::GET, "/admin/payments/stuck", None)
        .await
        .expect(200);
    assert_eq!(stuck["items"][1]["order_code"], "LNS-3");
    assert_eq!(stuck["items"][0]["order_code"], Value::Null);
    fleet.stop().await;
}

#[tokio::test]
async fn the_time_that_a_payment_may_wait_is_a_setting() {
    let stage = Stage::new().await;
    wrong(&stage).await;
    let mut fleet = Fleet::builder(&stage)
        .selling()
        .env_of(Kind::Api, "PENDING_SLA", "10m")
        .start()
        .await;
    let api = Storefront::of(&mut fleet);
    let stuck = api
        .viewer(Method::GET, "/admin/payments/stuck", None)
        .await
        .expect(200);
    assert_eq!(
        each(&stuck, "session_id"),
        ["stuck", "LNS-3", "LNS-1", "LNS-2"]
    );
    let found = lunas(
        &stage,
        &["payments", "stuck", "--pending-sla", "90m", "--json"],
    )
    .await;
    assert_eq!(each(&found.json(), "session_id"), ["stuck"]);
    fleet.stop().await;
}

#[tokio::test]
async fn every_command_explains_itself() {
    let stage = Stage::new().await;
    for command in [
        &["payments", "orphans"][..],
        &["payments", "stuck"],
        &["payments", "mismatches"],
        &["payments", "missing-session"],
        &["report"],
        &["retention"],
    ] {
        let help = lunas(&stage, &[command, &["--help"]].concat()).await;
        assert_eq!(help.code, 0, "{help:?}");
        assert!(help.out.contains("--json"), "{help:?}");
        assert!(!help.out.contains(stage.database().url()), "{help:?}");
    }
    assert_eq!(lunas(&stage, &["payments"]).await.code, 2);
    assert_eq!(
        lunas(&stage, &["payments", "stuck", "--limit", "0"])
            .await
            .code,
        2
    );
}

#[tokio::test]
async fn where_nothing_is_wrong_nothing_is_found() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 1_000).insert(stage.pool()).await;
    for (_, word, _) in LISTS {
        let found = lunas(&stage, &["payments", word]).await;
        assert_eq!((found.code, found.out.trim()), (0, "0 found"), "{found:?}");
    }
}

#[tokio::test]
async fn the_leading_scheduler_counts_what_is_wrong() {
    let stage = Stage::new().await;
    wrong(&stage).await;
    run(
        stage.pool(),
        "UPDATE payments SET next_check_at = now() - interval '1 hour' WHERE session_id = 'final'",
    )
    .await;
    let mut fleet = Fleet::builder(&stage).schedulers(1).start().await;
    let expected = [
        ("lunas_payments_orphans", 1.0),
        ("lunas_payments_stuck", 3.0),
        ("lunas_payments_mismatches", 2.0),
        ("lunas_orders_missing_session", 2.0),
    ];
    let scheduler = fleet.scheduler(0);
    wait_for("what is wrong to be counted", COUNTED, async || {
        let mut wrong = Vec::new();
        for (name, count) in expected {
            let seen = scheduler.metric(name, &[]).await;
            if (seen - count).abs() > 0.1 {
                wrong.push(format!("{name} is {seen}"));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join(", "))
        }
    })
    .await;
    let oldest = scheduler
        .metric("lunas_oldest_unreconciled_seconds", &[])
        .await;
    assert!((3_600.0..4_000.0).contains(&oldest), "{oldest}");
    fleet.stop().await;
}

#[tokio::test]
async fn runs_are_listed_newest_first_in_pages_and_by_job() {
    let stage = Stage::new().await;
    run(
        stage.pool(),
        "INSERT INTO job_runs (name, scheduled_for, trigger, requested_by, status, checked, repaired,
                               given_up, rupiah_at_risk, started_at, finished_at, error)
         SELECT CASE n % 2 WHEN 0 THEN 'alerts' ELSE 'reconcile_links' END,
                '2026-03-14 02:00+00'::timestamptz + (n / 2) * interval '1 minute', 'operator',
                'budi', 'failed', n, 2, 1, 300, '2026-03-14 02:00+00', '2026-03-14 02:00:01.5+00',
                'the gateway was away'
         FROM generate_series(1, 7) AS n;
         INSERT INTO job_runs (name, scheduled_for, trigger) VALUES
             ('alerts', '2026-03-14 03:00+00', 'schedule')",
    )
    .await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let api = Storefront::of(&mut fleet);
    let path = "/admin/reconcile/runs";
    let all = api.viewer(Method::GET, path, None).await.expect(200);
    let times = each(&all, "scheduled_for");
    assert_eq!(times.len(), 8);
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let running = &all["items"][0];
    assert_eq!(
        (&running["name"], &running["status"]),
        (&json!("alerts"), &json!("queued"))
    );
    assert_eq!(running["duration_seconds"], Value::Null);
    let failed = &all["items"][1];
    assert_eq!(failed["duration_seconds"], 1.5);
    assert_eq!(failed["error"], "the gateway was away");
    assert_eq!(failed["requested_by"], "budi");

    let mut seen = Vec::new();
    let mut next = format!("{path}?name=reconcile_links&limit=3");
    loop {
        let page = api.viewer(Method::GET, &next, None).await.expect(200);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|run| run["checked"].clone()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        next = format!("{path}?name=reconcile_links&limit=3&cursor={cursor}");
    }
    assert_eq!(seen, [7, 5, 3, 1].map(Value::from));
    let none = api
        .viewer(Method::GET, &format!("{path}?name=nothing"), None)
        .await;
    assert_eq!(none.expect(200)["items"], json!([]));
    for wrong in ["name=", "name=A", "name=%00", "cursor=1", "cursor=-5.x"] {
        let said = api
            .viewer(Method::GET, &format!("{path}?{wrong}"), None)
            .await;
        said.problem(400, "invalid_parameter");
    }
    fleet.stop().await;
}

/// The sessions of a list, one per page.
async fn paged(api: &Storefront, path: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut next = format!("{path}?limit=1");
    loop {
        let page = api.viewer(Method::GET, &next, None).await.expect(200);
        seen.extend(each(&page, "session_id"));
        let Some(cursor) = page["next_cursor"].as_str() else {
            return seen;
        };
        next = format!("{path}?limit=1&cursor={cursor}");
    }
}
