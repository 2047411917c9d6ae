//! Retention, kind by kind: what goes, and what never does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lunas_tests::harness::{OrderRow, Stage, audit};
use serde_json::{Value, json};
use shared::config::RetentionSettings;
use shared::retention::{KeptBack, RetentionError, Why, page};

use crate::support::{count, lunas, run};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const KEEP: RetentionSettings = RetentionSettings {
    retention_notifications: DAY.saturating_mul(90),
    retention_logs: DAY.saturating_mul(365),
    retention_keys: DAY,
    retention_events: DAY.saturating_mul(30),
    retention_runs: DAY.saturating_mul(365),
    retention_letters: DAY.saturating_mul(365),
};

/// Of each kind something old, something young, and something old that must stay.
async fn old_things(stage: &Stage) {
    OrderRow::pending("LNS-1", 1_000).insert(stage.pool()).await;
    OrderRow::pending("LNS-2", 1_000).insert(stage.pool()).await;
    run(stage.pool(), OLD_ROWS).await;
    run(stage.pool(), OLD_LETTERS).await;
}

const OLD_ROWS: &str =
    "CREATE TABLE payment_webhook_events_y2020m01 PARTITION OF payment_webhook_events
             FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
         CREATE TABLE payment_webhook_events_y2020m02 PARTITION OF payment_webhook_events
             FOR VALUES FROM ('2020-02-01 00:00+00') TO ('2020-03-01 00:00+00');
         CREATE TABLE payment_sync_logs_y2020m01 PARTITION OF payment_sync_logs
             FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
         CREATE TABLE other_notifications_y2020m01 PARTITION OF other_notifications
             FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
         INSERT INTO payment_webhook_events (event_key, received_at, order_id,
             midtrans_transaction_id, raw_body, processed, verdict)
         SELECT sha256(name::bytea), at::timestamptz, name, name, '{}',
                verdict NOT IN ('unconfirmed', 'dead'), verdict
         FROM (VALUES ('month', '2020-01-31 23:59:59+00', 'applied'),
                      ('stale', '2020-01-01 00:00+00', 'stale'),
                      ('waiting', '2020-02-10 00:00+00', 'unconfirmed'),
                      ('beside it', '2020-02-10 00:00+00', 'applied'),
                      ('no month', '2020-03-01 00:00+00', 'applied'),
                      ('dead, no month', '2020-03-02 00:00+00', 'dead'),
                      ('young', now()::text, 'applied')) AS e (name, at, verdict);
         INSERT INTO payment_sync_logs (created_at, sync_type, event_type) VALUES
             ('2020-01-10', 'webhook', 'month'), ('2020-06-01', 'webhook', 'no month'),
             (now() - interval '300 days', 'webhook', 'young'), (now(), 'webhook', 'young');
         INSERT INTO other_notifications (event_key, received_at, kind, external_id, raw_body,
                                          is_verified, processed, verdict)
         VALUES (sha256('1'), '2020-01-10', 'payout', '1', '{}', true, true, 'applied'),
                (sha256('2'), '2020-06-01', 'payout', '2', '{}', true, true, 'applied'),
                (sha256('3'), now(), 'payout', '3', '{}', true, true, 'applied');
         INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, created_at)
         SELECT 'ana', name, sha256('x'), id, now() - age::interval
         FROM orders, (VALUES ('old', '25 hours'), ('young', '23 hours')) AS k (name, age)
         WHERE order_code = 'LNS-1';
         INSERT INTO domain_events (event_type, data, created_at, published_at) VALUES
             ('old', '{}', now() - interval '40 days', now() - interval '40 days'),
             ('unpublished', '{}', now() - interval '40 days', NULL),
             ('old', '{}', now() - interval '31 days', now()),
             ('young', '{}', now() - interval '29 days', now());
         INSERT INTO job_runs (name, scheduled_for, trigger, status, finished_at) VALUES
             ('old', '2020-01-01', 'schedule', 'done', '2020-01-01'),
             ('never ended', '2020-01-01', 'schedule', 'running', NULL),
             ('young', now(), 'schedule', 'failed', now())";

const OLD_LETTERS: &str = "INSERT INTO dead_letter_replays (id, actor, why, rate, status, total, done, updated_at)
         VALUES ('00000000-0000-0000-0000-000000000001', 'budi', 'fixed', 1, 'done', 1, 1,
                 '2020-01-01'),
                ('00000000-0000-0000-0000-000000000002', 'budi', 'fixed', 1, 'paused', 2, 0,
                 '2020-01-01');
         INSERT INTO dead_letters (letter_key, routing_key, payload, headers, reason, fingerprint,
             attempts, first_failed_at, last_failed_at, status, replay_id, replayed_at,
             discarded_at)
         SELECT encode(sha256(name::bytea), 'hex'), 'webhook.midtrans', '', '{}', name, 'f', 1,
                '2020-01-01', '2020-01-01', status, replay::uuid, replayed::timestamptz,
                discarded::timestamptz
         FROM (VALUES
             ('old-replayed', 'replayed', '00000000-0000-0000-0000-000000000001', '2020-01-01', NULL),
             ('old-discarded', 'discarded', NULL, NULL, '2020-01-01'),
             ('dead', 'dead', NULL, NULL, NULL),
             ('replaying', 'replaying', '00000000-0000-0000-0000-000000000002', NULL, NULL),
             ('young', 'discarded', NULL, NULL, now()::text))
             AS l (name, status, replay, replayed, discarded);
         INSERT INTO dead_letter_replay_items (replay_id, dead_letter_id, state)
         SELECT replay_id, id, 'done' FROM dead_letters WHERE replay_id IS NOT NULL;
         INSERT INTO dead_letter_actions (dead_letter_id, action, actor, why, result, replay_id)
         SELECT id, CASE WHEN replay_id IS NULL THEN 'discard' ELSE 'replay' END, 'budi', 'why', 'ok',
                replay_id
         FROM dead_letters WHERE status <> 'dead'";

const WHAT_IS_LEFT: &str = "SELECT jsonb_build_object(
    'notifications', (SELECT jsonb_agg(order_id ORDER BY order_id) FROM payment_webhook_events),
    'logs', (SELECT jsonb_agg(event_type ORDER BY event_type) FROM payment_sync_logs),
    'others', (SELECT jsonb_agg(external_id ORDER BY external_id) FROM other_notifications),
    'keys', (SELECT jsonb_agg(key ORDER BY key) FROM idempotency_keys),
    'events', (SELECT jsonb_agg(event_type ORDER BY event_type) FROM domain_events),
    'runs', (SELECT jsonb_agg(name ORDER BY name) FROM job_runs),
    'letters', (SELECT jsonb_agg(reason ORDER BY reason) FROM dead_letters),
    'actions', (SELECT count(*) FROM dead_letter_actions),
    'items', (SELECT count(*) FROM dead_letter_replay_items),
    'replays', (SELECT jsonb_agg(status ORDER BY status) FROM dead_letter_replays))";

async fn left(stage: &Stage) -> Value {
    let left = sqlx::query_scalar(WHAT_IS_LEFT).fetch_one(stage.pool());
    left.await.unwrap()
}

fn everything_that_stays() -> Value {
    json!({
        "notifications": ["beside it", "dead, no month", "waiting", "young"],
        "logs": ["young", "young"],
        "others": ["3"],
        "keys": ["young"],
        "events": ["unpublished", "young"],
        "runs": ["never ended", "young"],
        "letters": ["dead", "replaying", "young"],
        "actions": 2,
        "items": 1,
        "replays": ["paused"],
    })
}

/// Rows by table, and the partitions.
fn removed(answer: &Value) -> (BTreeMap<String, i64>, Vec<String>) {
    let (mut rows, mut partitions) = (BTreeMap::new(), Vec::new());
    for item in answer["removed"].as_array().unwrap() {
        match item["partition"].as_str() {
            Some(partition) => partitions.push(partition.to_owned()),
            None => {
                let table = item["table"].as_str().unwrap().to_owned();
                rows.insert(table, item["rows"].as_i64().unwrap());
            }
        }
    }
    (rows, partitions)
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_not_done_with_stays() {
    let stage = Stage::new().await;
    old_things(&stage).await;
    let before = left(&stage).await;

    let shown = lunas(&stage, &["retention", "--dry-run", "--json"]).await;
    assert_eq!(shown.code, 1, "{shown:?}");
    assert_eq!(left(&stage).await, before);
    let expected = (
        BTreeMap::from(
            [
                ("payment_webhook_events", 1),
                ("payment_sync_logs", 1),
                ("other_notifications", 1),
                ("idempotency_keys", 1),
                ("domain_events", 2),
                ("job_runs", 1),
                ("dead_letters", 2),
            ]
            .map(|(table, rows)| (table.to_owned(), rows)),
        ),
        vec![
            "payment_webhook_events_y2020m01".to_owned(),
            "other_notifications_y2020m01".to_owned(),
            "payment_sync_logs_y2020m01".to_owned(),
        ],
    );
    assert_eq!(removed(&shown.json()), expected);
    let kept_back = json!([
        {"table": "payment_webhook_events", "partition": "payment_webhook_events_y2020m02",
         "why": "unprocessed", "unprocessed": 1},
        {"table": "payment_webhook_events", "partition": null, "why": "unprocessed",
         "unprocessed": 1},
    ]);
    assert_eq!(shown.json()["kept_back"], kept_back);

    // Nobody to ask.
    assert_eq!(lunas(&stage, &["retention", "--run"]).await.code, 2);
    assert_eq!(lunas(&stage, &["retention"]).await.code, 2);
    assert_eq!(left(&stage).await, before);

    let done = lunas(&stage, &["retention", "--run", "--yes", "--json"]).await;
    assert_eq!(done.code, 1, "something is kept back: {done:?}");
    assert_eq!(left(&stage).await, everything_that_stays());
    let (mut rows, partitions) = expected;
    // Replays go after their letters, which a dry run leaves where they are.
    rows.insert("dead_letter_replays".to_owned(), 1);
    assert_eq!(removed(&done.json()), (rows, partitions));
    assert_eq!(done.json()["kept_back"], kept_back);

    let again = lunas(&stage, &["retention", "--run"]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.out.contains("Nothing is older than it is kept"),
        "{again:?}"
    );
    assert_eq!(left(&stage).await, everything_that_stays());

    // Once it is done with, its month goes.
    run(
        stage.pool(),
        "UPDATE payment_webhook_events SET verdict = 'refused', processed = true
         WHERE NOT processed",
    )
    .await;
    let done = lunas(&stage, &["retention", "--run", "--yes"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(left(&stage).await["notifications"], json!(["young"]));
    audit::assert_invariants(stage.pool()).await;
}

#[tokio::test]
async fn a_run_goes_on_from_where_it_was_cut_off() {
    let stage = Stage::new().await;
    old_things(&stage).await;
    run(
        stage.pool(),
        "INSERT INTO idempotency_keys (user_id, key, request_hash, order_id, created_at)
         SELECT 'budi', n::text, sha256('x'), id, now() - interval '2 days'
         FROM orders, generate_series(1, 11000) AS n WHERE order_code = 'LNS-2';
         INSERT INTO domain_events (event_type, data, created_at, published_at)
         SELECT 'young', '{}', now(), now() FROM generate_series(1, 100);
         UPDATE domain_events SET created_at = now() - interval '29 days' WHERE event_type = 'young'
             AND id < 50",
    )
    .await;
    let store = stage.database().store();
    let mut next: Option<String> = None;
    let (mut pages, mut keys) = (0, Vec::new());
    loop {
        let done = page(&store, next.as_deref(), &KEEP, false).await.unwrap();
        let of_keys = done
            .removed
            .iter()
            .filter(|r| r.table == "idempotency_keys");
        keys.extend(of_keys.filter_map(|removed| removed.rows));
        pages += 1;
        // Whoever goes on has the text only.
        next = done.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(keys, [5_000, 5_000, 1_001]);
    assert!(pages > 10, "{pages}");
    assert_eq!(
        count(stage.pool(), "SELECT count(*) FROM idempotency_keys").await,
        1
    );
    let nonsense = page(&store, Some("elsewhere"), &KEEP, false).await;
    assert!(matches!(nonsense, Err(RetentionError::NoCursor)));
}

#[tokio::test]
async fn a_table_in_use_is_left_for_the_next_run() {
    let stage = Stage::new().await;
    old_things(&stage).await;
    let mut reader = stage.pool().acquire().await.unwrap();
    // A report or a backup that reads for long, and a request that has one of the old keys.
    sqlx::raw_sql(
        "BEGIN; SELECT count(*) FROM payment_webhook_events;
         SELECT FROM idempotency_keys WHERE key = 'old' FOR UPDATE",
    )
    .execute(&mut *reader)
    .await
    .unwrap();

    let store = stage.database().store();
    let since = Instant::now();
    let (mut next, mut kept): (Option<String>, Vec<KeptBack>) = (None, Vec::new());
    loop {
        let done = page(&store, next.as_deref(), &KEEP, false).await.unwrap();
        kept.extend(done.kept_back);
        next = done.next;
        if next.is_none() {
            break;
        }
    }
    let took = since.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    let busy: Vec<_> = kept.iter().filter(|kept| kept.why == Why::Busy).collect();
    assert_eq!(busy.len(), 1, "{kept:?}");
    assert_eq!(
        busy[0].partition.as_deref(),
        Some("payment_webhook_events_y2020m01")
    );
    let mut expected = everything_that_stays();
    expected["notifications"] = json!([
        "beside it",
        "dead, no month",
        "month",
        "stale",
        "waiting",
        "young"
    ]);
    expected["keys"] = json!(["old", "young"]);
    assert_eq!(left(&stage).await, expected);

    sqlx::raw_sql("ROLLBACK")
        .execute(&mut *reader)
        .await
        .unwrap();
    drop(reader);
    lunas(&stage, &["retention", "--run", "--yes"]).await;
    assert_eq!(left(&stage).await, everything_that_stays());
}

/// What even the services are refused.
const REFUSED: [(&str, &str); 5] = [
    (
        "SELECT lunas_drop_old_partition('payment_webhook_events_y2020m02', '90 days')",
        "unprocessed",
    ),
    (
        "SELECT lunas_drop_old_partition('payment_webhook_events_y2020m01', '100 years')",
        "young",
    ),
    (
        "SELECT lunas_drop_old_partition('payment_webhook_events_default', '90 days')",
        "unknown",
    ),
    (
        "SELECT lunas_drop_old_partition('orders', '90 days')",
        "unknown",
    ),
    (
        "SELECT lunas_drop_old_partition('nothing\"; DROP TABLE orders; --', '90 days')",
        "unknown",
    ),
];

#[tokio::test]
async fn the_services_may_drop_old_partitions_and_nothing_else() {
    let stage = Stage::new().await;
    old_things(&stage).await;
    let mut connection = stage.pool().acquire().await.unwrap();
    let mut ask = async |role: &'static str, statement: &'static str| {
        let set = format!("SET ROLE {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set))
            .execute(&mut *connection)
            .await
            .unwrap();
        let answer: Result<String, sqlx::Error> = sqlx::query_scalar(statement)
            .fetch_one(&mut *connection)
            .await;
        sqlx::raw_sql("RESET ROLE")
            .execute(&mut *connection)
            .await
            .unwrap();
        answer.map_err(|error| {
            error
                .as_database_error()
                .unwrap()
                .code()
                .unwrap()
                .into_owned()
        })
    };
    let january = "SELECT lunas_drop_old_partition('payment_webhook_events_y2020m01', '90 days')";
    for role in ["lunas_client", "lunas_readonly"] {
        assert_eq!(ask(role, january).await, Err("42501".to_owned()), "{role}");
    }
    for (statement, answer) in REFUSED {
        assert_eq!(
            ask("lunas_app", statement).await,
            Ok(answer.to_owned()),
            "{statement}"
        );
    }
    let hasty = "SELECT lunas_drop_old_partition('payment_webhook_events_y2020m01', '6 days')";
    assert_eq!(ask("lunas_app", hasty).await, Err("22023".to_owned()));
    assert_eq!(ask("lunas_app", january).await, Ok("dropped".to_owned()));
    assert_eq!(ask("lunas_app", january).await, Ok("unknown".to_owned()));
}
