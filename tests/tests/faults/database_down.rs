//! A PostgreSQL that is away: nobody is blamed, nothing is lost, the backlog is worked off.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Stage};

use crate::load::Load;

/// How long the database stays away.
const OUTAGE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_database_that_is_stopped_for_half_a_minute_counts_against_no_message() {
    let stage = Stage::with_own_postgres().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 900, Duration::from_secs(45)).await;
    load.more(50).await;
    stage.postgres().stop().await;
    // The length of the outage is what is tested: time-outs and patience end within it.
    tokio::time::sleep(OUTAGE).await;
    let waiting = stage.broker().waiting().await.unwrap();
    assert!(
        waiting.keys().all(|queue| queue == "lunas.webhooks"),
        "the backlog stays in its queue: {waiting:?}"
    );
    stage.postgres().start().await;
    load.more(50).await;
    let sent = load.end().await;
    assert!(sent.answers.only(&[200]), "{:?}", sent.answers);
    sent.assert_applied_once(&stage, BOUND).await;
    assert_nobody_blamed(&mut fleet).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn a_database_that_crashes_under_load_has_lost_nothing_it_committed() {
    let stage = Stage::with_own_postgres().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 900, Duration::from_secs(15)).await;
    for _ in 0..3 {
        load.more(100).await;
        stage.postgres().kill9().await;
        load.more(50).await;
        stage.postgres().start().await;
    }
    load.more(100).await;
    let sent = load.end().await;
    sent.assert_applied_once(&stage, BOUND).await;
    assert_nobody_blamed(&mut fleet).await;
    sent.finish(fleet).await;
}

async fn assert_nobody_blamed(fleet: &mut Fleet) {
    for index in 0..2 {
        let worker = fleet.worker(index);
        for counter in ["lunas_retries_total", "lunas_dead_letters_total"] {
            let count = worker.metric(counter, &[]).await;
            assert!(count < 1.0, "{counter} of worker {index}: {count}");
        }
    }
}
