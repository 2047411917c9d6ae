//! `lunas report`: the drift of a day.

use lunas_tests::harness::{OrderRow, Stage};
use serde_json::{Value, json};

use crate::support::{lunas, run};

/// A day in which much was mended, with neighbours at both ends of it: midnight in Jakarta is 17:00
/// of the day before in UTC.
async fn eventful_day(stage: &Stage) {
    for code in ["LNS-1", "LNS-2", "LNS-3", "LNS-4"] {
        OrderRow::pending(code, 1_000).insert(stage.pool()).await;
    }
    run(
        stage.pool(),
        "UPDATE payments SET paid_at = '2026-03-14 01:00+00'
             WHERE session_id IN ('LNS-1', 'LNS-2', 'LNS-3');
         INSERT INTO payments (session_id, origin, gross_amount, paid_at)
             VALUES ('orphan', 'webhook', 70, '2026-03-14 01:00+00');
         INSERT INTO job_runs (name, scheduled_for, trigger, status, checked, repaired, given_up,
                               rupiah_at_risk, finished_at) VALUES
             ('reconcile_status', '2026-03-13 16:59:59+00', 'schedule', 'done', 9, 9, 9, 9, now()),
             ('reconcile_status', '2026-03-13 17:00+00', 'schedule', 'done', 10, 2, 1, 3000, now()),
             ('reconcile_status', '2026-03-14 16:59+00', 'schedule', 'failed', 5, 0, 1, 1000, now()),
             ('reconcile_effects', '2026-03-14 02:00+00', 'schedule', 'done', 7, 1, 0, 500, now()),
             ('reconcile_effects', '2026-03-14 17:00+00', 'schedule', 'done', 9, 9, 9, 9, now());
         INSERT INTO payment_sync_logs (created_at, order_code, session_id, sync_type, event_type,
                                        from_status, to_status, actor, detail) VALUES
             ('2026-03-13 16:59:59+00', 'LNS-4', 'LNS-4', 'reconcile', 'reconcile_release_stock',
              'EXPIRED', 'EXPIRED', NULL, NULL),
             ('2026-03-13 17:00+00', 'LNS-1', 'LNS-1', 'reconcile', 'reconcile_status_changed',
              'pending', 'settlement', NULL, NULL),
             ('2026-03-14 01:00+00', 'LNS-1', 'LNS-1', 'reconcile', 'reconcile_finalize_capacity',
              'PENDING', 'PAID', NULL, '{\"before\": \"reserved\", \"after\": \"sold\"}'),
             ('2026-03-14 01:00+00', 'LNS-1', 'LNS-1', 'reconcile', 'reconcile_fix_ticket_issued',
              'PENDING', 'PAID', NULL, '{\"missing\": 2}'),
             ('2026-03-14 02:00+00', 'LNS-2', 'LNS-2', 'admin', 'status_changed',
              'pending', 'settlement', 'budi', NULL),
             ('2026-03-14 02:00+00', 'LNS-2', 'LNS-2', 'admin', 'reconcile_fix_ticket_issued',
              'PAID', 'PAID', 'budi', '{\"missing\": 1}'),
             ('2026-03-14 03:00+00', 'LNS-3', 'LNS-3', 'webhook', 'status_changed',
              'pending', 'capture', NULL, NULL),
             ('2026-03-14 03:01+00', 'LNS-3', 'LNS-3', 'reconcile', 'status_changed',
              'capture', 'settlement', NULL, NULL),
             ('2026-03-14 03:02+00', NULL, 'orphan', 'webhook', 'status_changed',
              NULL, 'settlement', NULL, NULL),
             ('2026-03-14 04:00+00', 'LNS-4', 'LNS-4', 'webhook', 'status_changed',
              NULL, 'pending', NULL, NULL),
             ('2026-03-14 05:00+00', NULL, 'orphan', 'backfill', 'link_mended',
              NULL, NULL, 'budi', '{\"why\": \"=the order''s newest payment, says\"}'),
             ('2026-03-14 17:00+00', 'LNS-4', 'LNS-4', 'reconcile', 'reconcile_release_stock',
              'EXPIRED', 'EXPIRED', NULL, NULL)",
    )
    .await;
}

/// Some fields of each row.
fn rows(list: &Value, fields: &[&str]) -> Vec<Value> {
    let rows = list.as_array().unwrap().iter();
    let of = |row: &Value| fields.iter().map(|field| row[*field].clone()).collect();
    rows.map(of).collect()
}

#[tokio::test]
async fn a_day_in_jakarta_is_reported_with_all_that_was_found_and_mended() {
    let stage = Stage::new().await;
    eventful_day(&stage).await;
    let ended = lunas(&stage, &["report", "--day", "2026-03-14", "--json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let report = ended.json();
    assert_eq!(report["from"], "2026-03-14T00:00:00+07:00");
    assert_eq!(
        report["totals"],
        json!({"runs": 3, "failed": 1, "checked": 22, "found": 5, "repaired": 3, "given_up": 2,
               "rupiah_at_risk": 4_500})
    );
    assert_eq!(report["jobs"][0]["name"], "reconcile_effects");
    assert_eq!(
        report["jobs"][1],
        json!({"name": "reconcile_status", "runs": 2, "failed": 1, "checked": 15, "found": 4,
               "repaired": 2, "given_up": 2, "rupiah_at_risk": 4_000,
               "most_at_risk_in_one_run": 3_000})
    );
    // Each order counts once in what was repaired, and once in each kind.
    assert_eq!(
        report["repaired"],
        json!({"count": 5, "orders": 3, "rupiah": 2_070})
    );
}

#[tokio::test]
async fn each_repair_is_told_with_its_hand_and_each_payment_with_who_told_of_it() {
    let stage = Stage::new().await;
    eventful_day(&stage).await;
    let ended = lunas(&stage, &["report", "--day", "2026-03-14", "--json"]).await;
    let report = ended.json();
    let kinds = rows(
        &report["repairs"],
        &["event_type", "sync_type", "actor", "count", "rupiah"],
    );
    assert_eq!(
        kinds,
        [
            json!(["link_mended", "backfill", "budi", 1, 70]),
            json!(["reconcile_finalize_capacity", "reconcile", null, 1, 1_000]),
            json!(["reconcile_fix_ticket_issued", "admin", "budi", 1, 1_000]),
            json!(["reconcile_fix_ticket_issued", "reconcile", null, 1, 1_000]),
            json!(["reconcile_status_changed", "reconcile", null, 1, 1_000]),
        ]
    );
    let settled = rows(&report["settled"], &["by", "actor", "payments", "rupiah"]);
    assert_eq!(
        settled,
        [
            json!(["operator", "budi", 1, 1_000]),
            json!(["reconciliation", null, 1, 1_000]),
            json!(["webhook", null, 2, 1_070]),
        ]
    );
    let mended = rows(
        &report["orders"],
        &["order_code", "event_type", "before", "after"],
    );
    assert_eq!(
        mended,
        [
            json!(["LNS-1", "reconcile_status_changed", "pending", "settlement"]),
            json!(["LNS-1", "reconcile_finalize_capacity", "reserved", "sold"]),
            json!([
                "LNS-1",
                "reconcile_fix_ticket_issued",
                "2 tickets missing",
                "all tickets issued"
            ]),
            json!([
                "LNS-2",
                "reconcile_fix_ticket_issued",
                "1 tickets missing",
                "all tickets issued"
            ]),
            json!([null, "link_mended", null, null]),
        ]
    );
}

#[tokio::test]
async fn the_same_is_told_as_text_and_as_one_table() {
    let stage = Stage::new().await;
    eventful_day(&stage).await;
    let text = lunas(&stage, &["report", "--day", "2026-03-14"]).await;
    assert_eq!(text.code, 1, "{text:?}");
    for words in [
        "Drift of 2026-03-14 (WIB)",
        "found 5, repaired 3, given up 2, at risk Rp 4.500 in 3 runs, 1 of them failed",
        "5 repairs of 3 orders (Rp 2.070):",
        "reserved",
    ] {
        assert!(text.out.contains(words), "{words}: {}", text.out);
    }
    let csv = lunas(
        &stage,
        &["report", "--day", "2026-03-14", "--format", "csv"],
    )
    .await;
    let lines: Vec<&str> = csv.out.lines().collect();
    assert_eq!(lines.len(), 1 + 1 + 2 + 5 + 3 + 5, "{}", csv.out);
    assert!(
        lines[0].starts_with("section,name,sync_type,actor,runs,"),
        "{}",
        lines[0]
    );
    let columns = lines[0].matches(',').count();
    for line in &lines {
        assert_eq!(line.matches(',').count(), columns, "{line}");
    }
    assert!(
        lines[1].starts_with("total,2026-03-14,,,3,1,22,5,3,2,"),
        "{}",
        lines[1]
    );
}

#[tokio::test]
async fn a_quiet_day_is_reported_as_quiet() {
    let stage = Stage::new().await;
    eventful_day(&stage).await;
    for day in ["today", "yesterday", "2026-03-20"] {
        let quiet = lunas(&stage, &["report", "--day", day]).await;
        assert_eq!(quiet.code, 0, "{quiet:?}");
        assert!(quiet.out.contains("found 0, repaired 0"), "{quiet:?}");
    }
    run(
        stage.pool(),
        "INSERT INTO job_runs (name, scheduled_for, trigger, repaired)
         VALUES ('reconcile_links', now(), 'schedule', 1)",
    )
    .await;
    let today = lunas(&stage, &["report", "--day", "today", "--json"]).await;
    assert_eq!(
        (today.code, &today.json()["totals"]["found"]),
        (1, &json!(1))
    );
    for wrong in [
        &["report"][..],
        &["report", "--day", "0000-01-01"],
        &["report", "--day", "soon"],
    ] {
        let ended = lunas(&stage, wrong).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("--day"), "{ended:?}");
    }
}
