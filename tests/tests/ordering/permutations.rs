//! Every order in which the five notifications of a history can arrive.

use futures::stream::{self, StreamExt as _};
use lunas_tests::harness::{BOUND, Fleet, Kind, Ledger, OrderRow, Stage, post_bytes, wait_for};
use shared::domain::transition::{Rail, TransactionState};

use TransactionState::{
    Capture, Challenge, Expire, PartialRefund, Pending, Refund, Reversed, Settlement,
};

use crate::history::{ASKED, History};
use crate::outcome::Outcome;
use crate::truth::Truth;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenged_card_that_is_refunded_ends_alike_in_every_order() {
    let states = [Pending, Challenge, Capture, Settlement, Refund];
    every_order_ends_alike(|code| vec![History::of(code, Rail::Card, &states)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_in_parts_end_alike_in_every_order() {
    let states = [Pending, Settlement, PartialRefund, PartialRefund, Refund];
    every_order_ends_alike(|code| vec![History::of(code, Rail::Other, &states)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reversal_beside_a_second_session_ends_alike_in_every_order() {
    every_order_ends_alike(|code| {
        vec![
            History::of(code, Rail::PermataVa, &[Pending, Settlement, Reversed]),
            History::of(&format!("{code}-2"), Rail::Card, &[Pending, Expire]),
        ]
    })
    .await;
}

/// One order per permutation, all at once; the notifications of one order one after the other.
async fn every_order_ends_alike(tell: impl Fn(&str) -> Vec<History>) {
    let stage = Stage::new().await;
    let truth = Truth::start(7).await;
    let mut fleet = Fleet::builder(&stage)
        .ingest(1)
        .workers(2)
        .gateway(truth.url())
        .env_of(Kind::Worker, "MIDTRANS_RPS", "5000")
        .start()
        .await;
    let (url, client) = (fleet.webhook_url(), reqwest::Client::new());
    let mut stories = Vec::new();
    for (number, order) in permutations(&[0, 1, 2, 3, 4]).into_iter().enumerate() {
        let code = format!("LNS-P{number}");
        OrderRow::pending(&code, ASKED).insert(stage.pool()).await;
        let histories = tell(&code);
        histories.iter().for_each(|history| truth.learn(history));
        stories.push((code, histories, order));
    }
    assert_eq!(stories.len(), 120);
    let ledgers = stream::iter(&stories).map(async |(_, histories, order)| {
        let steps: Vec<_> = histories
            .iter()
            .flat_map(|history| (0..history.moments.len()).map(move |step| (history, step)))
            .collect();
        let mut ledger = Ledger::new();
        for (history, step) in order.iter().map(|at| steps[*at]) {
            let sent = history.notification(step);
            truth.reached(history, step);
            let answer = post_bytes(&client, &url, sent.body()).await;
            ledger.note(&sent, answer.ok());
        }
        ledger
    });
    let ledgers: Vec<Ledger> = ledgers.buffer_unordered(24).collect().await;
    let mut ledger = Ledger::new();
    ledgers.into_iter().for_each(|part| ledger.merge(part));
    assert_eq!(ledger.accepted(), 600);

    wait_for("every order to end as the truth says", BOUND, async || {
        let all = Outcome::all(&stage).await;
        let mut wrong = stories.iter().filter_map(|(code, histories, order)| {
            let (wanted, seen) = (Outcome::of(histories), &all[code]);
            (*seen != wanted).then(|| format!("{order:?}: {seen:?} instead of {wanted:?}"))
        });
        match wrong.next() {
            None => Ok(()),
            Some(first) => Err(format!("{} more, and {first}", wrong.count())),
        }
    })
    .await;
    fleet.finish().await;
    ledger.assert_settled(stage.pool()).await;
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    let [first, rest @ ..] = items else {
        return vec![Vec::new()];
    };
    let insert = |shorter: &Vec<usize>, at| {
        let mut longer = shorter.clone();
        longer.insert(at, *first);
        longer
    };
    permutations(rest)
        .iter()
        .flat_map(|shorter| (0..=shorter.len()).map(move |at| insert(shorter, at)))
        .collect()
}
