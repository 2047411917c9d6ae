//! A RabbitMQ that dies or blocks: ingest says so in time, and the fleet recovers by itself.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Method, Payment, Stage};

use crate::load::{AMOUNT, Answers, Load};

/// A quorum queue that is killed younger than this may have no leader afterwards
/// (`rabbitmq.md` section 1).
const SETTLED: Duration = Duration::from_secs(3);
/// The longest that ingest may take for an answer (design section 2).
const ANSWER_LIMIT: Duration = Duration::from_secs(4);
/// A node that was killed reads its log and elects a leader per queue before it serves.
const RECOVERY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_broker_killed_under_load_keeps_what_it_confirmed_and_the_fleet_recovers() {
    let stage = Stage::with_own_rabbitmq().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    tokio::time::sleep(SETTLED).await;
    let load = Load::start(&stage, &fleet.webhook_url(), 1_000, Duration::from_secs(30)).await;
    for _ in 0..2 {
        load.more(100).await;
        stage.rabbitmq().kill9().await;
        load.more_refused(16).await;
        stage.rabbitmq().start().await;
        load.more_within(100, RECOVERY).await;
    }
    let sent = load.end().await;
    assert_refused_in_time(&sent.answers);
    sent.assert_applied_once(&stage, RECOVERY).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn a_memory_alarm_is_answered_in_time_and_ends_by_itself() {
    let stage = Stage::with_own_rabbitmq().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 800, Duration::from_secs(20)).await;
    for _ in 0..2 {
        load.more(50).await;
        stage.rabbitmq().raise_memory_alarm().await;
        load.more_refused(50).await;
        stage.rabbitmq().clear_memory_alarm().await;
        load.more(50).await;
    }
    let sent = load.end().await;
    assert_refused_in_time(&sent.answers);
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn an_alarm_that_is_there_before_the_fleet_is_waited_out() {
    let stage = Stage::with_own_rabbitmq().await;
    stage.rabbitmq().raise_memory_alarm().await;
    let builder = Fleet::builder(&stage).ingest(1).workers(1).only_alive();
    let mut fleet = builder.start().await;
    let sent = Payment::new(Method::Gopay, "BLOCKED", AMOUNT).pending();
    let asked = std::time::Instant::now();
    let answer = sent.post(&fleet.webhook_url()).await.unwrap();
    assert!(matches!(answer, 502 | 429), "{answer}");
    assert!(asked.elapsed() < ANSWER_LIMIT, "{:?}", asked.elapsed());
    let load = Load::start(&stage, &fleet.webhook_url(), 50, Duration::from_secs(1)).await;
    load.more_refused(16).await;
    stage.rabbitmq().clear_memory_alarm().await;
    let sent = load.all().await;
    assert_refused_in_time(&sent.answers);
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

/// A broker that answers nothing at all is worse than one that is gone: every line stays open.
#[tokio::test]
async fn a_frozen_broker_is_answered_in_time_and_the_fleet_recovers() {
    let stage = Stage::with_own_rabbitmq().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 800, Duration::from_secs(20)).await;
    load.more(50).await;
    stage.rabbitmq().freeze().await;
    load.more_refused(24).await;
    stage.rabbitmq().thaw().await;
    load.more_within(50, RECOVERY).await;
    let sent = load.end().await;
    assert_refused_in_time(&sent.answers);
    sent.assert_applied_once(&stage, RECOVERY).await;
    sent.finish(fleet).await;
}

fn assert_refused_in_time(answers: &Answers) {
    assert!(answers.only(&[200, 429, 502]), "{answers:?}");
    assert!(answers.slowest < ANSWER_LIMIT, "{answers:?}");
}
