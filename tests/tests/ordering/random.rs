//! Random legal histories, of one to three transactions an order, each notification up to several
//! times, some lost, all in a random order of arrival; every order with tickets and goods.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use lunas_tests::harness::{
    Fleet, Kind, Ledger, OrderRow, Stage, insert_slot, insert_variant, post_bytes, wait_for,
};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};

use crate::history::{ASKED, History};
use crate::outcome::Outcome;
use crate::truth::Truth;

const HISTORIES: usize = 2_000;
/// Orders with a history of their own, and in how many arrivals each of them comes.
const CASES: usize = 500;
const ARRIVALS: usize = 5;
/// Slots and variants that the orders share; never sold out.
const GOODS: usize = 20;
const PLENTY: i64 = 1_000_000;
const BOUND: Duration = Duration::from_secs(120);

type Order = (String, Vec<History>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_random_histories_end_in_the_projection_of_the_truth() {
    let mut rng = seeded();
    let mut orders = Vec::new();
    let mut histories = 0;
    while histories < HISTORIES {
        let order = order(&format!("LNS-R{}", orders.len()), &mut rng);
        histories += order.1.len();
        orders.push(order);
    }
    let run = Run::of(&orders, &mut rng).await;
    run.finish().await;
}

/// One state in the end, whichever came first; the audit at the end adds up counters and tickets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_orders_end_alike_in_each_of_five_arrivals_with_all_their_effects() {
    let mut rng = seeded();
    let mut orders = Vec::new();
    for number in 0..CASES {
        let (_, first) = order(&format!("LNS-E{number}X0"), &mut rng);
        for arrival in 0..ARRIVALS {
            let code = format!("LNS-E{number}X{arrival}");
            let session = |index: usize| match index {
                0 => code.clone(),
                n => format!("{code}-{}", n + 1),
            };
            let again = |(index, history): (usize, &History)| history.again(&session(index));
            orders.push((code.clone(), first.iter().enumerate().map(again).collect()));
        }
    }
    let run = Run::of(&orders, &mut rng).await;
    let holdings = holdings(&run.stage).await;
    for number in 0..CASES {
        let of = |arrival: usize| &holdings[&format!("LNS-E{number}X{arrival}")];
        for arrival in 1..ARRIVALS {
            let histories = &orders[number * ARRIVALS].1;
            assert_eq!(of(0), of(arrival), "{histories:?}");
        }
    }
    run.finish().await;
}

fn seeded() -> StdRng {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    StdRng::seed_from_u64(seed)
}

/// Everything arrived, and every order is what the truth says.
struct Run {
    stage: Stage,
    fleet: Fleet,
    ledger: Ledger,
}

impl Run {
    async fn of(orders: &[Order], rng: &mut StdRng) -> Self {
        let stage = Stage::new().await;
        let truth = Truth::start(rng.random()).await;
        let mut fleet = Fleet::builder(&stage)
            .ingest(1)
            .workers(2)
            .gateway(truth.url())
            .env_of(Kind::Worker, "MIDTRANS_RPS", "5000")
            .start()
            .await;
        place(&stage, orders).await;
        for history in orders.iter().flat_map(|(_, histories)| histories) {
            truth.learn(history);
        }
        let ledger = send(&fleet.webhook_url(), &arrivals(orders, rng), &truth).await;
        wait_for_the_truth(&stage, orders).await;
        assert!(truth.questions() > 500, "the gateway was hardly ever asked");
        Self {
            stage,
            fleet,
            ledger,
        }
    }

    async fn finish(self) {
        self.fleet.finish().await;
        self.ledger.assert_settled(self.stage.pool()).await;
    }
}

async fn place(stage: &Stage, orders: &[Order]) {
    for number in 0..GOODS {
        insert_slot(stage.pool(), &format!("slot-{number}"), PLENTY).await;
        insert_variant(stage.pool(), &format!("sku-{number}"), PLENTY).await;
    }
    let inserts = stream::iter(orders.iter().enumerate());
    let inserts = inserts.for_each_concurrent(8, async |(index, (code, _))| {
        let case = index / ARRIVALS;
        let row = OrderRow::pending(code, ASKED)
            .tickets(&format!("slot-{}", index % GOODS), 1 + (case % 3) as i64)
            .products(&format!("sku-{}", index * 7 % GOODS), 1);
        row.insert(stage.pool()).await;
    });
    inserts.await;
}

async fn send(url: &str, arrivals: &[(&History, usize)], truth: &Truth) -> Ledger {
    let client = reqwest::Client::new();
    let posts = stream::iter(arrivals).map(async |(history, step)| {
        let sent = history.notification(*step);
        truth.reached(history, *step);
        let answer = post_bytes(&client, url, sent.body()).await;
        (sent, answer.ok())
    });
    let mut ledger = Ledger::new();
    let mut posts = std::pin::pin!(posts.buffer_unordered(64));
    while let Some((sent, answer)) = posts.next().await {
        assert_eq!(answer, Some(200));
        ledger.note(&sent, answer);
    }
    ledger
}

async fn wait_for_the_truth(stage: &Stage, orders: &[Order]) {
    wait_for("every order to end as the truth says", BOUND, async || {
        let all = Outcome::all(stage).await;
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
    wait_for("every question to be answered", BOUND, async || {
        let left: i64 = sqlx::query_scalar(unsettled)
            .fetch_one(stage.pool())
            .await
            .unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

/// What each order has got: valid tickets, which of its markers are set, and whether it has a
/// pickup code. What an order in review was given before stays, so that depends on the arrival.
async fn holdings(stage: &Stage) -> BTreeMap<String, (i64, [bool; 3])> {
    let rows: Vec<(String, i64, bool, bool, bool)> = sqlx::query_as(
        "SELECT o.order_code,
                (SELECT count(*) FROM tickets t JOIN order_items i ON i.id = t.order_item_id
                 WHERE i.order_id = o.id AND t.voided_at IS NULL AND o.status <> 'REVIEW'),
                o.capacity_released_at IS NOT NULL, o.stock_released_at IS NOT NULL,
                o.pickup_code IS NOT NULL AND o.status <> 'REVIEW'
         FROM orders o",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    rows.into_iter()
        .map(|(code, tickets, capacity, stock, pickup)| {
            (code, (tickets, [capacity, stock, pickup]))
        })
        .collect()
}

/// One to three transactions, each in a session of its own.
fn order(code: &str, rng: &mut StdRng) -> Order {
    let sessions = rng.random_range(1..=3);
    let walk = |number| match number {
        1 => History::walk(code, rng),
        _ => History::walk(&format!("{code}-{number}"), rng),
    };
    (code.to_owned(), (1..=sessions).map(walk).collect())
}

/// Some get lost, never the last of a transaction; as many come again; all in any order.
fn arrivals<'a>(orders: &'a [Order], rng: &mut StdRng) -> Vec<(&'a History, usize)> {
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
