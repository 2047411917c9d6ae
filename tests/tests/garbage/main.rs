//! A storm of everything that is not a notification, against the running fleet: each gets the
//! answer of the table, nothing of it reaches the queue, memory stays flat, and what is genuine
//! is served meanwhile and after. Single rows of the table are tested with ingest itself.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod samples;

mod wire;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use lunas_tests::harness::{
    BOUND, Fleet, Kind, Ledger, Method, OrderRow, Payment, Stage, order_status, post_bytes,
    wait_for,
};

use samples::{Sample, samples};

/// How often each sample is sent, and how many requests at once.
const ROUNDS: usize = 40;
const AT_ONCE: usize = 64;

/// What ingest may grow by in a storm after it has warmed up: buffers of the connections that
/// are open at once, not of those that ever were. A leak of one body per request would be 100
/// times as much.
const GROWTH: u64 = 12 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_gets_the_answers_of_the_table_and_memory_stays_flat() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).start().await;
    let addr = fleet.ingest(0).addr("INGEST_ADDR");
    let samples = samples();
    storm(addr, &samples, 8).await;
    let before = fleet.ingest(0).rss();
    storm(addr, &samples, ROUNDS).await;
    let after = fleet.ingest(0).rss();
    assert!(
        after < before + GROWTH,
        "resident memory grew from {before} to {after} bytes"
    );
    assert!(stage.broker().waiting().await.unwrap().is_empty());

    let rejected = fleet.ingest(0).metric("lunas_ingest_rejected_total", &[]);
    assert!(rejected.await >= (ROUNDS * samples.len()) as f64 / 2.0);
    genuine_is_applied(&stage, &mut fleet).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_cut_off_while_genuine_ones_are_served_at_once() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage)
        .ingest(1)
        .env_of(Kind::Ingest, "INGEST_MAX_CONNECTIONS", "400")
        .start()
        .await;
    let (addr, url) = (fleet.ingest(0).addr("INGEST_ADDR"), fleet.webhook_url());
    // More than may be open at once: the first ones must make room by themselves.
    let slow = (0..450).map(|number| wire::drip(addr, number));
    let slow = tokio::spawn(join_all(slow));
    wait_for("the slow ones to be connected", BOUND, async || {
        let open = fleet
            .ingest(0)
            .metric("lunas_ingest_connections", &[])
            .await;
        if open >= 350.0 { Ok(()) } else { Err(open) }
    })
    .await;
    let before = fleet.ingest(0).rss();
    let client = reqwest::Client::new();
    let mut ledger = Ledger::new();
    let since = Instant::now();
    for number in 0..20 {
        let sent = Payment::new(Method::Gopay, &format!("LNS-S{number}"), 1_000).pending();
        let answer = post_bytes(&client, &url, sent.body()).await;
        assert_eq!(answer.unwrap(), 200);
        ledger.note(&sent, Some(200));
    }
    // Within the time that Midtrans waits, although every connection was taken.
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
    for (number, ended) in slow.await.unwrap().into_iter().enumerate() {
        assert!(
            ended.is_none_or(|status| status == 408),
            "{number}: {ended:?}"
        );
    }
    assert!(fleet.ingest(0).rss() < before + GROWTH);
    fleet.start(Kind::Worker, &[]).await;
    ledger.wait_until_recorded(stage.pool(), BOUND).await;
    let expect = lunas_tests::harness::Expect::clean().delayed_left();
    fleet.finish_expecting(expect).await;
    ledger.assert_settled(stage.pool()).await;
}

/// Sends every sample so many times, many at once, and checks each answer.
async fn storm(addr: SocketAddr, samples: &[Sample], rounds: usize) {
    let all = (0..rounds).flat_map(|_| samples);
    let wrong: Vec<String> = stream::iter(all)
        .map(async |sample| {
            let answer = wire::exchange(addr, &sample.request).await;
            let fits = answer.map_or(sample.may_be_cut, |status| sample.answers.contains(&status));
            (!fits).then(|| format!("{}: {answer:?}", sample.name))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(
        wrong.is_empty(),
        "{} answers are wrong: {:?}",
        wrong.len(),
        wrong.first()
    );
}

async fn genuine_is_applied(stage: &Stage, fleet: &mut Fleet) {
    OrderRow::pending("LNS-1", 5_000).insert(stage.pool()).await;
    let paid = Payment::new(Method::Gopay, "LNS-1", 5_000).settlement();
    assert_eq!(paid.post(&fleet.webhook_url()).await.unwrap(), 200);
    fleet.start(Kind::Worker, &[]).await;
    wait_for("the genuine one to be applied", BOUND, async || {
        let status = order_status(stage.pool(), "LNS-1").await;
        if status == "PAID" {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM payment_webhook_events")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(recorded, 1);
}
