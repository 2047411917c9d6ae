//! Dead letters whose cause was mended: replayed, killed half-way, started again, applied once.

use std::process::Stdio;
use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Stage, program, wait_for};
use tokio::process::{Child, Command};

use crate::load::Load;

/// Orders, each with two notifications: five hundred dead letters.
const ORDERS: usize = 250;
/// How long a replay of them may take at its rate.
const REPLAY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn five_hundred_dead_letters_are_replayed_once_though_the_replay_is_killed_half_way() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    // A mistake of a release: the database refuses every payment.
    let broken = "ALTER TABLE payment_transactions
                  ADD CONSTRAINT broken CHECK (gross_amount = 0) NOT VALID";
    execute(&stage, broken).await;
    let url = fleet.webhook_url();
    let load = Load::start(&stage, &url, ORDERS, Duration::from_secs(2)).await;
    let sent = load.all().await;
    assert!(sent.answers.only(&[200]), "{:?}", sent.answers);
    wait_for_count(&stage, "SELECT count(*) FROM dead_letters", 500).await;
    execute(
        &stage,
        "ALTER TABLE payment_transactions DROP CONSTRAINT broken",
    )
    .await;

    let mut replay = replay(&stage);
    wait_for("a part to be replayed", BOUND, async || {
        let done = count(&stage, "SELECT sum(done)::bigint FROM dead_letter_replays").await;
        (done >= 100).then_some(()).ok_or(done.to_string())
    })
    .await;
    replay.kill().await.unwrap();
    let done = count(&stage, "SELECT sum(done)::bigint FROM dead_letter_replays").await;
    assert!(done < 500, "the replay was killed too late: {done}");

    let mut replay = self::replay(&stage);
    let ended = tokio::time::timeout(REPLAY, replay.wait()).await;
    assert!(ended.unwrap().unwrap().success());
    let accounted = "SELECT count(DISTINCT dead_letter_id) FROM dead_letter_actions
                     WHERE action = 'replay'";
    assert_eq!(count(&stage, accounted).await, 500);
    let replayed = "SELECT count(*) FROM dead_letters WHERE status = 'replayed'";
    assert_eq!(count(&stage, replayed).await, 500);
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

/// Begins a replay of everything, or goes on with the one that was begun.
fn replay(stage: &Stage) -> Child {
    let mut command = Command::new(program("lunas"));
    command
        .args(["dlq", "replay", "--all", "--yes"])
        .args(["--why", "the constraint is gone", "--rate", "200"])
        .env("DATABASE_URL", stage.database().url())
        .env("AMQP_URL", stage.broker().url())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

async fn execute(stage: &Stage, statement: &'static str) {
    sqlx::query(statement).execute(stage.pool()).await.unwrap();
}

/// No row yet is none.
async fn count(stage: &Stage, query: &'static str) -> i64 {
    let count: Option<i64> = sqlx::query_scalar(query)
        .fetch_one(stage.pool())
        .await
        .unwrap();
    count.unwrap_or(0)
}

async fn wait_for_count(stage: &Stage, query: &'static str, expected: i64) {
    wait_for(query, BOUND, async || {
        let count = count(stage, query).await;
        (count == expected).then_some(()).ok_or(count.to_string())
    })
    .await;
}
