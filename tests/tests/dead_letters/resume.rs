//! Replays that are killed, dropped, driven twice or cancelled.

use std::collections::BTreeMap;
use std::time::Duration;

use lunas_tests::harness::{Fleet, Ledger, Method, Payment, Stage};
use serde_json::json;

use super::replay::letters;
use super::support::{WEBHOOKS, command, count, ended, lunas, run, started, wait_for_count};

/// At a rate of 100 per second ten letters go out together.
const CHUNK: usize = 10;

/// Dies after the third chunk is on the queue and before it is accounted for.
async fn die_half_way(stage: &Stage) {
    let replay = [
        "dlq", "replay", "--all", "--why", "mended", "--rate", "100", "--yes",
    ];
    let mut replay = command(stage, &replay);
    replay.env("LUNAS_FAULT", "replay.published=abort@3");
    let died = ended(replay).await;
    assert_eq!(died.code, None, "it was to abort: {died:?}");
    let done = "SELECT done::bigint FROM dead_letter_replays";
    assert_eq!(count(stage, done).await, 2 * CHUNK as i64);
}

/// How often each body is on the work queue.
async fn sent(stage: &Stage) -> BTreeMap<Vec<u8>, usize> {
    let mut times = BTreeMap::new();
    for message in stage.broker().take_all(WEBHOOKS).await {
        *times.entry(message.body).or_default() += 1;
    }
    times
}

#[tokio::test]
async fn a_replay_that_died_goes_on_when_it_is_started_again() {
    let stage = Stage::new().await;
    letters(&stage, 60).await;
    die_half_way(&stage).await;
    let doctor = lunas(&stage, &["doctor", "--json", "--skip", "broker"])
        .await
        .json(1);
    assert_eq!(doctor["findings"][0]["code"], "replay_unfinished");

    let again = [
        "dlq", "replay", "--all", "--why", "mended", "--rate", "1000", "--yes", "--json",
    ];
    let again = lunas(&stage, &again).await.json(0);
    assert_eq!(
        (&again["status"], &again["done"]),
        (&json!("done"), &json!(60))
    );
    assert_eq!(
        count(&stage, "SELECT count(*) FROM dead_letter_replays").await,
        1
    );
    assert_eq!(
        count(&stage, "SELECT count(*) FROM dead_letter_actions").await,
        60
    );
    let sent = sent(&stage).await;
    assert_eq!(sent.len(), 60);
    // Only what was published and not yet accounted for may go out twice.
    assert_eq!(sent.values().filter(|times| **times == 2).count(), CHUNK);
    assert_eq!(sent.values().filter(|times| **times > 2).count(), 0);
}

#[tokio::test]
async fn a_replay_that_died_goes_on_by_its_name() {
    let stage = Stage::new().await;
    letters(&stage, 40).await;
    die_half_way(&stage).await;
    let id: String = sqlx::query_scalar("SELECT id::text FROM dead_letter_replays")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    let resumed = lunas(&stage, &["dlq", "replay", "--resume", &id, "--json"])
        .await
        .json(0);
    assert_eq!(
        (&resumed["replay_id"], &resumed["done"]),
        (&json!(id), &json!(40))
    );
    assert_eq!(sent(&stage).await.len(), 40);
    let unknown = [
        "dlq",
        "replay",
        "--resume",
        "019377a0-0000-7000-8000-000000000000",
    ];
    assert_eq!(lunas(&stage, &unknown).await.code, Some(1));
}

#[tokio::test]
async fn a_cancelled_replay_gives_back_what_it_did_not_handle() {
    let stage = Stage::new().await;
    letters(&stage, 60).await;
    die_half_way(&stage).await;
    let id: String = sqlx::query_scalar("SELECT id::text FROM dead_letter_replays")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    let cancelled = lunas(&stage, &["dlq", "replay", "--cancel", &id, "--json"])
        .await
        .json(0);
    assert_eq!(
        (&cancelled["status"], &cancelled["done"]),
        (&json!("cancelled"), &json!(20))
    );
    assert_eq!(
        count(
            &stage,
            "SELECT count(*) FROM dead_letters WHERE status = 'dead'"
        )
        .await,
        40
    );
    let given_back = "SELECT count(*) FROM dead_letter_actions WHERE result = 'cancelled'";
    assert_eq!(count(&stage, given_back).await, 40);
    let again = [
        "dlq",
        "replay",
        "--all",
        "--why",
        "after all",
        "--yes",
        "--json",
    ];
    assert_eq!(lunas(&stage, &again).await.json(0)["total"], 40);
}

#[tokio::test]
async fn one_process_at_a_time_drives_a_replay_and_ctrl_c_stops_it() {
    let stage = Stage::new().await;
    letters(&stage, 40).await;
    let slow = [
        "dlq", "replay", "--all", "--why", "x", "--rate", "5", "--yes",
    ];
    let mut driver = started(command(&stage, &slow));
    wait_for_count(
        &stage,
        "the first letter",
        "SELECT coalesce(max(done), 0)::bigint FROM dead_letter_replays",
        1,
    )
    .await;
    let id: String = sqlx::query_scalar("SELECT id::text FROM dead_letter_replays")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    let second = lunas(&stage, &["dlq", "replay", "--resume", &id]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another process"), "{second:?}");

    let pid = driver.id().expect("it runs").to_string();
    let signalled = tokio::process::Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .await;
    assert!(signalled.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(10), driver.wait()).await;
    assert_eq!(ended.expect("it stops").unwrap().code(), Some(1));
    let stopped = "SELECT count(*) FROM dead_letter_replays
                   WHERE status = 'stopped' AND problem = 'interrupted'";
    assert_eq!(count(&stage, stopped).await, 1);
}

#[tokio::test]
async fn five_hundred_letters_are_applied_once_after_the_cause_is_mended() {
    const LETTERS: i64 = 500;
    let stage = Stage::new().await;
    run(
        &stage,
        "INSERT INTO orders (order_code, user_id, gross_amount, expires_at)
         SELECT 'LNS-' || n, 'user-1', 10000, now() + interval '1 day'
         FROM generate_series(0, 499) n;
         ALTER TABLE payments ADD CONSTRAINT broken CHECK (session_id NOT LIKE 'LNS-%')",
    )
    .await;
    let fleet = Fleet::builder(&stage).workers(1).start().await;
    let mut ledger = Ledger::new();
    for number in 0..LETTERS {
        let paid = Payment::new(Method::Gopay, &format!("LNS-{number}"), 10_000).settlement();
        paid.put_in_queue(stage.broker()).await;
        ledger.note(&paid, Some(200));
    }
    let dead = "SELECT count(*) FROM dead_letters WHERE reason = 'constraint_violation'";
    wait_for_count(&stage, "the dead letters", dead, LETTERS).await;
    run(&stage, "ALTER TABLE payments DROP CONSTRAINT broken").await;

    let replay = [
        "dlq", "replay", "--all", "--why", "mended", "--rate", "500", "--yes",
    ];
    let mut killed = started(command(&stage, &replay));
    let done = "SELECT coalesce(max(done), 0)::bigint FROM dead_letter_replays";
    wait_for_count(&stage, "half of the replay", done, LETTERS / 4).await;
    killed.kill().await.unwrap();
    let left = "SELECT count(*) FROM dead_letters WHERE status = 'replaying'";
    assert!(
        count(&stage, left).await > 0,
        "the replay was over before the kill"
    );

    let again = [
        "dlq", "replay", "--all", "--why", "mended", "--rate", "500", "--yes", "--json",
    ];
    assert_eq!(lunas(&stage, &again).await.json(0)["done"], LETTERS);
    let applied = "SELECT count(*) FROM payment_webhook_events WHERE verdict = 'applied'";
    wait_for_count(&stage, "every notification to be applied", applied, LETTERS).await;
    let replayed = "SELECT count(*) FROM dead_letters d JOIN dead_letter_actions a
                    ON a.dead_letter_id = d.id WHERE d.status = 'replayed'";
    assert_eq!(count(&stage, replayed).await, LETTERS);
    let paid = "SELECT count(*) FROM orders WHERE status = 'PAID'";
    assert_eq!(count(&stage, paid).await, LETTERS);
    ledger.assert_settled(stage.pool()).await;
    fleet.finish().await;
}
