//! What the tests of this story share: dead letters of every kind, and `lunas` as a process.

use std::process::Stdio;
use std::time::Duration;

use lunas_tests::harness::{BOUND, SERVER_KEY, Signed, Stage, program, wait_for};
use serde_json::Value;
use shared::broker::{BrokerUrls, Consumer, Delivery};
use shared::dead_letters::{Kept, keep};
use tokio::process::{Child, Command};

/// The queue of dead letters, and the exchange before it.
pub(crate) const DEAD: &str = "lunas.dead";
pub(crate) const WEBHOOKS: &str = "lunas.webhooks";

/// How a run of `lunas` ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The JSON it printed; fails unless it ended with the given code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// `lunas` with the stage's servers as its settings.
pub(crate) fn command(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("lunas"));
    command
        .args(arguments)
        .env("DATABASE_URL", stage.database().url())
        .env("AMQP_URL", stage.broker().url())
        .env("MIDTRANS_SERVER_KEY", SERVER_KEY)
        .env("USER", "budi")
        .env_remove("RUST_LOG")
        .env_remove("MIDTRANS_API_URL")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs `lunas` to its end.
pub(crate) async fn lunas(stage: &Stage, arguments: &[&str]) -> Ended {
    ended(command(stage, arguments)).await
}

pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.expect("lunas ends in time").expect("lunas starts");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Starts `lunas` and leaves it running.
pub(crate) fn started(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("lunas starts")
}

/// Takes that many deliveries out of the dead-letter queue without acknowledging them.
pub(crate) async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = tokio::time::timeout(BOUND, consumer.next_batch(count)).await;
        taken.extend(batch.expect("dead letters arrive").unwrap());
    }
    taken
}

/// A subscription to the dead-letter queue.
pub(crate) fn consumer(stage: &Stage) -> Consumer {
    let urls = BrokerUrls::parse(stage.broker().url()).unwrap();
    Consumer::subscribe(&urls, DEAD, 1_000)
}

/// Keeps that many waiting dead letters as the worker does, and acknowledges them.
pub(crate) async fn keep_waiting(stage: &Stage, count: usize) -> Kept {
    let mut consumer = consumer(stage);
    let taken = take(&mut consumer, count).await;
    let kept = keep(&stage.database().store(), &taken).await.unwrap();
    for delivery in &taken {
        delivery.tag.ack().await;
    }
    consumer.close().await;
    kept
}

/// Puts a notification into the dead-letter queue as the worker does when it gives it up.
pub(crate) async fn bury(stage: &Stage, notification: &Signed, reason: &str, error: &str) {
    bury_bytes(stage, &notification.body(), reason, error).await;
}

/// The same with any body.
pub(crate) async fn bury_bytes(stage: &Stage, body: &[u8], reason: &str, error: &str) {
    let headers = [
        ("x-lunas-version", "1"),
        ("x-lunas-received-at", "2026-11-14T02:12:41Z"),
        ("x-lunas-source", "webhook"),
        ("x-lunas-attempt", "8"),
        ("x-lunas-reason", reason),
        ("x-lunas-error", error),
        ("x-lunas-queue", WEBHOOKS),
        ("x-lunas-routing-key", "webhook.midtrans"),
        ("x-lunas-first-failed-at", "2026-11-14T02:12:42Z"),
        ("x-lunas-last-failed-at", "2026-11-14T03:12:42Z"),
    ];
    stage
        .broker()
        .publish(DEAD, "webhook.midtrans", &headers, body)
        .await;
}

/// Counts rows.
pub(crate) async fn count(stage: &Stage, query: &'static str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(stage.pool())
        .await
        .unwrap()
}

/// Runs a statement that seeds or breaks something.
pub(crate) async fn run(stage: &Stage, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(stage.pool())
        .await
        .unwrap();
}

/// Waits until a count is reached.
pub(crate) async fn wait_for_count(stage: &Stage, what: &str, query: &'static str, wanted: i64) {
    wait_for(what, BOUND, async || {
        let now = count(stage, query).await;
        if now >= wanted {
            Ok(())
        } else {
            Err(format!("{now} of {wanted}"))
        }
    })
    .await;
}
