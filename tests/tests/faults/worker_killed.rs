//! A worker that dies at any step of its batch: another one finishes what it held.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use lunas_tests::harness::{
    BOUND, Expect, Fleet, Kind, Method, OrderRow, Payment, Stage, order_status, wait_for,
};

use crate::load::{AMOUNT, Load};

/// The signal of `abort`, which ends a process as suddenly as SIGKILL does: nothing is unwound,
/// flushed or closed.
const SIGABRT: i32 = 6;

#[tokio::test]
async fn a_worker_that_dies_with_a_batch_in_hand_loses_nothing() {
    dies_under_load("worker.received=abort@20").await;
}

#[tokio::test]
async fn a_worker_that_dies_before_its_commit_loses_nothing() {
    dies_under_load("apply.before_commit=abort@20").await;
}

#[tokio::test]
async fn a_worker_that_dies_after_its_commit_applies_nothing_twice() {
    dies_under_load("apply.after_commit=abort@20").await;
}

#[tokio::test]
async fn a_worker_that_dies_before_its_acknowledgement_applies_nothing_twice() {
    dies_under_load("worker.before_ack=abort@20").await;
}

async fn dies_under_load(fault: &str) {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage).ingest(1).faulty_worker(fault);
    let mut fleet = fleet.start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 400, Duration::from_secs(8)).await;
    assert_aborted(&mut fleet).await;
    fleet.start(Kind::Worker, &[]).await;
    load.more(100).await;
    let sent = load.end().await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn workers_killed_again_and_again_under_load_lose_nothing() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 1_000, Duration::from_secs(10)).await;
    for killed in 0..5 {
        load.more(40).await;
        fleet.worker(killed).kill9().await;
        fleet.start(Kind::Worker, &[]).await;
    }
    load.more(40).await;
    let sent = load.end().await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_publishing_a_dead_letter_leaves_one_dead_letter() {
    dies_with_dead_letters("worker.published=abort@3").await;
}

#[tokio::test]
async fn a_keeper_that_dies_before_its_acknowledgement_keeps_each_dead_letter_once() {
    dies_with_dead_letters("keeper.kept=abort").await;
}

async fn dies_with_dead_letters(fault: &str) {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage).ingest(1).faulty_worker(fault);
    let mut fleet = fleet.start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 400, Duration::from_secs(8)).await;
    let mut dollars = Vec::new();
    for number in 0..6 {
        let payment = Payment::new(Method::Card, &format!("USD-{number}"), AMOUNT);
        let sent = payment.capture("accept").field("currency", "USD");
        let answer = sent.post(&fleet.webhook_url()).await.unwrap();
        dollars.push((sent, answer));
    }
    assert_aborted(&mut fleet).await;
    fleet.start(Kind::Worker, &[]).await;
    load.more(50).await;
    let mut sent = load.end().await;
    for (notification, answer) in dollars {
        sent.note(&notification, Some(answer));
    }
    sent.assert_applied_once(&stage, BOUND).await;
    wait_for("the dead letters to be kept", BOUND, async || {
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE reason = 'wrong_currency'")
                .fetch_one(stage.pool())
                .await
                .unwrap();
        (kept >= 6).then_some(()).ok_or(kept.to_string())
    })
    .await;
    let expect = Expect::clean().dead_letters(6);
    sent.finish_expecting(fleet, expect).await;
}

#[tokio::test]
async fn a_worker_that_dies_after_publishing_to_a_delay_queue_links_the_order_all_the_same() {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage)
        .ingest(1)
        .faulty_worker("worker.published=abort");
    let mut fleet = fleet.start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 400, Duration::from_secs(8)).await;
    let early = Payment::new(Method::Qris, "EARLY", AMOUNT).settlement();
    let answer = early.post(&fleet.webhook_url()).await.unwrap();
    assert_aborted(&mut fleet).await;
    OrderRow::pending("EARLY", AMOUNT)
        .without_session()
        .insert(stage.pool())
        .await;
    fleet.start(Kind::Worker, &[]).await;
    load.more(50).await;
    let mut sent = load.end().await;
    sent.note(&early, Some(answer));
    sent.assert_applied_once(&stage, BOUND).await;
    wait_for("the order to find its payment", BOUND, async || {
        order_status(stage.pool(), "EARLY").await == "PAID"
    })
    .await;
    // Both messages of the doubled publish come back from their delay before the end.
    let expect = Expect::clean().within(Duration::from_secs(40));
    sent.finish_expecting(fleet, expect).await;
}

async fn assert_aborted(fleet: &mut Fleet) {
    let status = fleet.worker(0).wait_exit(BOUND).await;
    assert_eq!(status.signal(), Some(SIGABRT), "the fault did not happen");
}
