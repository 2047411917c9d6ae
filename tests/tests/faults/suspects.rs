//! Messages that came back: only the one that somebody died with slows a worker down.

use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicRejectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lunas_tests::harness::{
    BOUND, Expect, Fleet, Kind, Method, Payment, Signed, Stage, put_bytes_in_queue, wait_for,
};

use crate::load::AMOUNT;

const QUEUE: &str = "lunas.webhooks";

/// Consumers of a careful worker, and whoever holds what it got, count; each lane does at full pace.
const CAREFUL: u32 = 2;

/// What a worker says when it meets a suspect.
const SLOW: &str = "handling one at a time";

#[tokio::test]
async fn a_message_that_came_back_often_does_not_slow_a_worker_down() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).start().await;
    let sent = Payment::new(Method::Gopay, "LNS-OFTEN", AMOUNT).pending();
    meets_at_full_pace(&mut fleet, &stage, &sent, 5).await;
    let log = fleet.worker(0).log();
    assert!(!log.contains(SLOW), "{log}");
    finish(fleet, &stage).await;
}

#[tokio::test]
async fn a_message_that_a_worker_died_with_is_handled_while_nothing_else_is_held() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).start().await;
    let sent = Payment::new(Method::Gopay, "LNS-SUSPECT", AMOUNT).pending();
    sqlx::query("INSERT INTO messages_in_hand VALUES ($1, sha256($2))")
        .bind(QUEUE)
        .bind(sent.body())
        .execute(stage.pool())
        .await
        .unwrap();
    meets_at_full_pace(&mut fleet, &stage, &sent, 1).await;
    let log = fleet.worker(0).log();
    assert!(log.contains(SLOW), "{log}");
    finish(fleet, &stage).await;
}

/// A worker that takes many messages at once meets one that came back so often, and records it.
async fn meets_at_full_pace(fleet: &mut Fleet, stage: &Stage, sent: &Signed, times: usize) {
    put_bytes_in_queue(stage.broker(), &sent.body()).await;
    let channel = stage.broker().connection().await;
    let channel = channel.create_channel().await.unwrap();
    for time in 1..=times {
        let held = channel.basic_get(QUEUE.into(), BasicGetOptions::default());
        let held = held.await.unwrap().expect("the message waits");
        if time == times {
            fleet.start(Kind::Worker, &[]).await;
            wait_for("full pace", BOUND, async || {
                consumers(&channel).await > CAREFUL
            })
            .await;
        }
        let requeue = BasicRejectOptions { requeue: true };
        held.acker.reject(requeue).await.unwrap();
    }
    wait_for("the notification to be recorded", BOUND, async || {
        let recorded: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM payment_webhook_events)")
                .fetch_one(stage.pool())
                .await
                .unwrap();
        recorded
    })
    .await;
}

async fn consumers(channel: &Channel) -> u32 {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let queue = channel.queue_declare(QUEUE.into(), options, FieldTable::default());
    queue.await.unwrap().consumer_count()
}

/// Nothing is left in the queues, and no note of what was in hand.
async fn finish(fleet: Fleet, stage: &Stage) {
    fleet.finish_expecting(Expect::clean().delayed_left()).await;
    let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM messages_in_hand")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(notes, 0);
}
