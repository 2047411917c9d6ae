//! Two thousand random legal histories, of one to three transactions an order, each notification
//! up to several times, some lost, all in a random order of arrival.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use lunas_tests::harness::{Fleet, Kind, Ledger, OrderRow, Stage, post_bytes, wait_for};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};

use crate::history::{ASKED, History};
use crate::outcome::Outcome;
use crate::truth::Truth;

const HISTORIES: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_random_histories_end_in_the_projection_of_the_truth() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let stage = Stage::new().await;
    let truth = Truth::start(seed).await;
    let mut fleet = Fleet::builder(&stage)
        .ingest(1)
        .workers(2)
        .gateway(truth.url())
        .env_of(Kind::Worker, "MIDTRANS_RPS", "5000")
        .start()
        .await;
    let (url, client) = (fleet.webhook_url(), reqwest::Client::new());
    let orders = orders(&mut rng);
    for (code, histories) in &orders {
        OrderRow::pending(code, ASKED).insert(stage.pool()).await;
        histories.iter().for_each(|history| truth.learn(history));
    }
    let arrivals = arrivals(&orders, &mut rng);
    let posts = stream::iter(&arrivals).map(async |(history, step)| {
        let sent = history.notification(*step);
        truth.reached(history, *step);
        let answer = post_bytes(&client, &url, sent.body()).await;
        (sent, answer.ok())
    });
    let mut ledger = Ledger::new();
    let mut posts = std::pin::pin!(posts.buffer_unordered(64));
    while let Some((sent, answer)) = posts.next().await {
        assert_eq!(answer, Some(200));
        ledger.note(&sent, answer);
    }

    let bound = Duration::from_secs(120);
    wait_for("every order to end as the truth says", bound, async || {
        let all = Outcome::all(&stage).await;
        let mut wrong = orders.iter().filter_map(|(code, histories)| {
            let (wanted, seen) = (Outcome::of(histories), &all[code]);
            (*seen != wanted).then(|| format!("{seen:?} instead of {wanted:?}, {histories:?}"))
        });
        match wrong.next() {
            None => Ok(()),
            Some(first) => Err(format!("{} more, and {first}", wrong.count())),
        }
    })
    .await;
    let unsettled = "SELECT count(*) FROM payment_webhook_events WHERE verdict = 'unconfirmed'";
    wait_for("every question to be answered", bound, async || {
        let left: i64 = sqlx::query_scalar(unsettled)
            .fetch_one(stage.pool())
            .await
            .unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    assert!(truth.questions() > 500, "the gateway was hardly ever asked");
    fleet.finish().await;
    ledger.assert_settled(stage.pool()).await;
}

/// Orders with their transactions, each in a session of its own.
fn orders(rng: &mut StdRng) -> Vec<(String, Vec<History>)> {
    let (mut orders, mut histories) = (Vec::new(), 0);
    while histories < HISTORIES {
        let code = format!("LNS-R{}", orders.len());
        let sessions = rng.random_range(1..=3);
        let walk = |number| match number {
            1 => History::walk(&code, rng),
            _ => History::walk(&format!("{code}-{number}"), rng),
        };
        let of_order: Vec<History> = (1..=sessions).map(walk).collect();
        histories += sessions;
        orders.push((code, of_order));
    }
    orders
}

/// Some get lost, never the last of a transaction; as many come again; all in any order.
fn arrivals<'a>(
    orders: &'a [(String, Vec<History>)],
    rng: &mut StdRng,
) -> Vec<(&'a History, usize)> {
    let mut arrivals = Vec::new();
    for history in orders.iter().flat_map(|(_, histories)| histories) {
        for step in 0..history.moments.len() {
            if step + 1 == history.moments.len() || rng.random_bool(0.9) {
                arrivals.push((history, step));
            }
        }
    }
    for _ in 0..arrivals.len() {
        let again = arrivals[rng.random_range(0..arrivals.len())];
        arrivals.push(again);
    }
    arrivals.shuffle(rng);
    arrivals
}
