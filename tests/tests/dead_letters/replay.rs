//! `lunas dlq replay`: what goes out, what is accounted for, and what a dry run says.

use std::collections::BTreeSet;

use lunas_tests::harness::{
    BOUND, Fleet, Method, OrderRow, Payment, Stage, order_status, wait_for,
};
use serde_json::{Value, json};

use super::support::{
    DEAD, WEBHOOKS, bury, bury_bytes, command, count, ended, keep_waiting, lunas, run,
    wait_for_count,
};

pub(crate) async fn letters(stage: &Stage, count: usize) {
    for number in 0..count {
        let payment = Payment::new(Method::Gopay, &format!("LNS-{number}"), 10_000);
        bury(
            stage,
            &payment.settlement(),
            "constraint_violation",
            "storing failed",
        )
        .await;
    }
    keep_waiting(stage, count).await;
}

#[tokio::test]
async fn every_letter_goes_out_once_as_it_was_and_is_accounted_for() {
    let stage = Stage::new().await;
    letters(&stage, 30).await;
    let bodies: Vec<Vec<u8>> = sqlx::query_scalar("SELECT payload FROM dead_letters")
        .fetch_all(stage.pool())
        .await
        .unwrap();
    let replay = [
        "dlq", "replay", "--all", "--why", "mended", "--rate", "1000", "--yes", "--json",
    ];
    let replay = lunas(&stage, &replay).await.json(0);
    assert_eq!(
        (&replay["status"], &replay["done"], &replay["failed"]),
        (&json!("done"), &json!(30), &json!(0))
    );

    let sent = stage.broker().take_all(WEBHOOKS).await;
    assert_eq!(sent.len(), 30);
    let sent_bodies: BTreeSet<_> = sent.iter().map(|message| message.body.clone()).collect();
    assert_eq!(sent_bodies, bodies.into_iter().collect());
    for message in &sent {
        let header = |name: &str| message.headers.get(name).map(String::as_str);
        assert_eq!(message.routing_key, "webhook.midtrans");
        assert_eq!(header("x-lunas-source"), Some("replay"));
        assert_eq!(header("x-lunas-attempt"), Some("1"));
        assert_eq!(header("x-lunas-replay-id"), replay["replay_id"].as_str());
        assert_eq!(header("x-lunas-reason"), None);
    }
    let accounted = "SELECT count(*) FROM dead_letters d
         JOIN dead_letter_replay_items i ON i.dead_letter_id = d.id AND i.state = 'done'
         JOIN dead_letter_actions a ON a.dead_letter_id = d.id AND a.replay_id = i.replay_id
         WHERE d.status = 'replayed' AND a.actor = 'budi' AND a.why = 'mended'
           AND a.result = 'published'";
    assert_eq!(count(&stage, accounted).await, 30);

    let again = [
        "dlq", "replay", "--all", "--why", "mended", "--yes", "--json",
    ];
    assert_eq!(lunas(&stage, &again).await.json(0)["total"], 0);
    assert_eq!(stage.broker().depth(WEBHOOKS).await, 0);
}

#[tokio::test]
async fn only_what_a_filter_names_goes_out() {
    let stage = Stage::new().await;
    letters(&stage, 5).await;
    bury_bytes(
        &stage,
        b"{\"order_id\":\"LNS-OTHER\"}",
        "wrong_currency",
        "USD",
    )
    .await;
    keep_waiting(&stage, 1).await;
    let replay = [
        "dlq",
        "replay",
        "--reason",
        "wrong_currency",
        "--why",
        "x",
        "--json",
    ];
    assert_eq!(lunas(&stage, &replay).await.json(0)["done"], 1);
    let sent = stage.broker().take_all(WEBHOOKS).await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, b"{\"order_id\":\"LNS-OTHER\"}");
    assert_eq!(
        count(
            &stage,
            "SELECT count(*) FROM dead_letters WHERE status = 'dead'"
        )
        .await,
        5
    );
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-OPEN", 10_000)
        .insert(stage.pool())
        .await;
    let open = Payment::new(Method::Gopay, "LNS-OPEN", 10_000);
    let old = Payment::new(Method::Gopay, "LNS-PAID", 10_000);
    bury(&stage, &open.settlement(), "constraint_violation", "e").await;
    bury(&stage, &old.settlement(), "constraint_violation", "e").await;
    bury_bytes(&stage, b"[]", "undecodable_body", "e").await;
    keep_waiting(&stage, 3).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "INSERT INTO payments (session_id, origin, gross_amount, status, paid_at)
         VALUES ('LNS-PAID', 'webhook', 10000, 'settlement', now());
         INSERT INTO payment_transactions
             (payment_id, midtrans_transaction_id, status, gross_amount)
         SELECT id, '{}', 'settlement', 10000 FROM payments WHERE session_id = 'LNS-PAID'",
        old.transaction_id()
    )))
    .execute(stage.pool())
    .await
    .unwrap();
    let before = snapshot(&stage).await;
    let dry = lunas(&stage, &["dlq", "replay", "--all", "--dry-run", "--json"])
        .await
        .json(0);
    let of = |code: Value| {
        let items = dry["items"].as_array().unwrap();
        items
            .iter()
            .find(|item| item["order_code"] == code)
            .unwrap()
            .clone()
    };
    assert_eq!(dry["count"], 3);
    assert_eq!(of(json!("LNS-OPEN"))["order_status"], "PENDING");
    assert_eq!(of(json!("LNS-OPEN"))["payment_status"], "created");
    assert_eq!(of(json!("LNS-OPEN"))["would_change"], true);
    assert_eq!(of(json!("LNS-PAID"))["would_change"], false);
    assert_eq!(of(json!(null))["would_change"], Value::Null);
    assert_eq!(snapshot(&stage).await, before);
    assert_eq!(stage.broker().depth(WEBHOOKS).await, 0);

    // The token binds a replay to what was looked at.
    let token = dry["token"].as_str().unwrap();
    let bound = [
        "dlq", "replay", "--all", "--why", "x", "--yes", "--token", token,
    ];
    bury_bytes(&stage, b"[1]", "undecodable_body", "e").await;
    keep_waiting(&stage, 1).await;
    assert_eq!(lunas(&stage, &bound).await.code, Some(2));
    run(&stage, "DELETE FROM dead_letters WHERE payload = '[1]'").await;
    assert_eq!(lunas(&stage, &bound).await.code, Some(0));
}

/// Everything a replay could write.
async fn snapshot(stage: &Stage) -> Vec<String> {
    let rows = sqlx::query_scalar(
        "SELECT d::text FROM dead_letters d UNION ALL SELECT r::text FROM dead_letter_replays r
         UNION ALL SELECT i::text FROM dead_letter_replay_items i
         UNION ALL SELECT a::text FROM dead_letter_actions a ORDER BY 1",
    );
    rows.fetch_all(stage.pool()).await.unwrap()
}

#[tokio::test]
async fn a_letter_that_leads_nowhere_fails_alone_and_is_dead_again() {
    let stage = Stage::new().await;
    letters(&stage, 2).await;
    stage
        .broker()
        .publish(DEAD, "some.other.key", &[], b"foreign")
        .await;
    keep_waiting(&stage, 1).await;
    let replay = ["dlq", "replay", "--all", "--why", "x", "--yes", "--json"];
    let replay = lunas(&stage, &replay).await.json(1);
    assert_eq!((&replay["done"], &replay["failed"]), (&json!(2), &json!(1)));
    let dead =
        "SELECT count(*) FROM dead_letters d JOIN dead_letter_actions a ON a.dead_letter_id = d.id
                WHERE d.status = 'dead' AND d.payload = 'foreign' AND a.result LIKE 'failed: %'";
    assert_eq!(count(&stage, dead).await, 1);
}

#[tokio::test]
async fn a_broker_that_is_away_begins_no_replay() {
    let stage = Stage::new().await;
    letters(&stage, 2).await;
    let mut away = command(&stage, &["dlq", "replay", "--all", "--why", "x", "--yes"]);
    away.env("AMQP_URL", "amqp://guest:geheim@127.0.0.1:1/none");
    let away = ended(away).await;
    assert_eq!(away.code, Some(1), "{away:?}");
    assert!(
        away.err.contains("127.0.0.1:1") && !away.err.contains("geheim"),
        "{away:?}"
    );
    assert_eq!(
        count(&stage, "SELECT count(*) FROM dead_letter_replays").await,
        0
    );
    assert_eq!(
        count(
            &stage,
            "SELECT count(*) FROM dead_letters WHERE status = 'dead'"
        )
        .await,
        2
    );
}

#[tokio::test]
async fn a_replay_without_a_terminal_asks_for_yes() {
    let stage = Stage::new().await;
    letters(&stage, 2).await;
    let refused = lunas(&stage, &["dlq", "replay", "--all", "--why", "x"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert_eq!(stage.broker().depth(WEBHOOKS).await, 0);
}

#[tokio::test]
async fn a_replayed_notification_that_dies_again_is_another_letter() {
    let stage = Stage::new().await;
    run(
        &stage,
        "ALTER TABLE payments ADD CONSTRAINT broken CHECK (session_id NOT LIKE 'BAD-%')",
    )
    .await;
    let fleet = Fleet::builder(&stage).workers(1).start().await;
    let payment = Payment::new(Method::Gopay, "BAD-1", 10_000);
    payment.settlement().put_in_queue(stage.broker()).await;
    wait_for_count(&stage, "the letter", "SELECT count(*) FROM dead_letters", 1).await;
    let replay = ["dlq", "replay", "--all", "--why", "too early", "--json"];
    assert_eq!(lunas(&stage, &replay).await.json(0)["done"], 1);
    wait_for_count(
        &stage,
        "the second death",
        "SELECT count(*) FROM dead_letters",
        2,
    )
    .await;
    let statuses: Vec<String> = sqlx::query_scalar("SELECT status FROM dead_letters ORDER BY id")
        .fetch_all(stage.pool())
        .await
        .unwrap();
    assert_eq!(statuses, ["replayed", "dead"]);

    run(&stage, "ALTER TABLE payments DROP CONSTRAINT broken").await;
    OrderRow::pending("BAD-1", 10_000)
        .insert(stage.pool())
        .await;
    assert_eq!(lunas(&stage, &replay).await.json(0)["done"], 1);
    wait_for("the order to be paid", BOUND, async || {
        order_status(stage.pool(), "BAD-1").await == "PAID"
    })
    .await;
    let verdicts = "SELECT count(*) FROM payment_webhook_events WHERE verdict = 'applied'";
    assert_eq!(count(&stage, verdicts).await, 1);
    fleet.finish().await;
}
