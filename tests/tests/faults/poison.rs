//! Messages that cannot be applied: each ends as a dead letter with its reason, and none of the
//! good ones around it does.

use std::collections::BTreeMap;
use std::time::Duration;

use lunas_tests::harness::{
    BOUND, Expect, Fleet, Kind, Method, OrderRow, Payment, Signed, Stage, put_bytes_in_queue,
    wait_for,
};

use crate::load::{AMOUNT, Load};

/// Twenty-one workers die one after the other.
const LONG: Duration = Duration::from_secs(90);

#[tokio::test]
async fn poison_of_every_kind_is_a_dead_letter_with_its_reason_among_a_thousand_good_ones() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let url = fleet.webhook_url();
    let taken = an_order_that_is_paid(&stage, &url).await;
    let load = Load::start(&stage, &url, 500, Duration::from_secs(5)).await;
    load.more(100).await;
    let mut expected = BTreeMap::new();
    let mut accepted = Vec::new();
    for (reason, sent) in poisoned_notifications(&taken) {
        assert_eq!(sent.post(&url).await.unwrap(), 200, "{reason}");
        *expected.entry(reason.to_owned()).or_insert(0) += 1;
        accepted.push(sent);
        load.more(10).await;
    }
    let unknown = Payment::new(Method::Gopay, "P-ENVELOPE", AMOUNT).pending();
    for (reason, headers, body) in poisoned_messages(&unknown) {
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let broker = stage.broker();
        broker
            .publish("lunas", "webhook.midtrans", &headers, &body)
            .await;
        *expected.entry(reason.to_owned()).or_insert(0) += 1;
        load.more(10).await;
    }
    let mut sent = load.all().await;
    sent.note(&taken.pending(), Some(200));
    sent.note(&taken.settlement(), Some(200));
    sent.note(&unknown, None);
    for notification in &accepted {
        sent.note(notification, None);
    }
    sent.assert_applied_once(&stage, BOUND).await;
    wait_for_reasons(&stage, &expected).await;
    let dead = expected.values().sum();
    sent.finish_expecting(fleet, Expect::clean().dead_letters(dead))
        .await;
}

/// What Midtrans signed and no worker can apply.
fn poisoned_notifications(taken: &Payment) -> Vec<(&'static str, Signed)> {
    let of = |session: &str| Payment::new(Method::Card, session, AMOUNT).capture("accept");
    vec![
        ("wrong_currency", of("P-DOLLARS").field("currency", "USD")),
        (
            "fractional_amount",
            of("P-FRACTION").field("gross_amount", "150000.50"),
        ),
        (
            "undecodable_body",
            of("P-HUGE").field("gross_amount", "99999999999999999999.00"),
        ),
        ("undecodable_body", of("P-NOBODY").without("transaction_id")),
        (
            "constraint_violation",
            of("P-ANOTHER").field("transaction_id", taken.transaction_id()),
        ),
        // Longer than an entry of an index may be, and nothing that could be compressed.
        (
            "constraint_violation",
            of("P-LONG").field("transaction_id", noise()),
        ),
    ]
}

fn noise() -> String {
    let bytes: [u8; 6_000] = std::array::from_fn(|_| rand::random());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Poison = (&'static str, Vec<(&'static str, String)>, Vec<u8>);

/// What only a mistake or an intruder puts into the queue.
fn poisoned_messages(good: &Signed) -> Vec<Poison> {
    let ours = |version: &str| {
        vec![
            ("x-lunas-version", version.to_owned()),
            ("x-lunas-received-at", "2026-03-14T02:12:41Z".to_owned()),
            ("x-lunas-source", "webhook".to_owned()),
            ("x-lunas-attempt", "1".to_owned()),
        ]
    };
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    vec![
        ("undecodable_body", ours("1"), b"not JSON".to_vec()),
        ("undecodable_body", ours("1"), Vec::new()),
        (
            "undecodable_body",
            ours("1"),
            b"{\"order_id\":\"\xff\"}".to_vec(),
        ),
        ("undecodable_body", ours("1"), deep),
        ("unknown_version", ours("9"), good.body()),
        ("foreign_message", Vec::new(), good.body()),
        ("foreign_message", Vec::new(), b"\0\x01\x02".to_vec()),
    ]
}

async fn an_order_that_is_paid(stage: &Stage, url: &str) -> Payment {
    OrderRow::pending("LNS-TAKEN", AMOUNT)
        .insert(stage.pool())
        .await;
    let payment = Payment::new(Method::Gopay, "LNS-TAKEN", AMOUNT);
    for sent in [payment.pending(), payment.settlement()] {
        assert_eq!(sent.post(url).await.unwrap(), 200);
    }
    wait_for("the order to be paid", BOUND, async || {
        lunas_tests::harness::order_status(stage.pool(), "LNS-TAKEN").await == "PAID"
    })
    .await;
    payment
}

async fn wait_for_reasons(stage: &Stage, expected: &BTreeMap<String, i64>) {
    wait_for("the dead letters to be kept", BOUND, async || {
        let kept = reasons(stage).await;
        (kept == *expected).then_some(()).ok_or(format!("{kept:?}"))
    })
    .await;
}

async fn reasons(stage: &Stage) -> BTreeMap<String, i64> {
    let kept: Vec<(String, i64)> =
        sqlx::query_as("SELECT reason, count(*) FROM dead_letters GROUP BY reason")
            .fetch_all(stage.pool())
            .await
            .unwrap();
    kept.into_iter().collect()
}

#[tokio::test]
async fn a_message_that_kills_every_worker_ends_as_a_dead_letter_and_takes_no_neighbour_along() {
    kills_its_worker(1).await;
}

/// The broker hands on to the second worker what it blames for the death of the first, and back.
#[tokio::test]
async fn a_message_that_kills_workers_in_turn_takes_no_neighbour_along() {
    kills_its_worker(2).await;
}

async fn kills_its_worker(workers: usize) {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).start().await;
    let url = fleet.webhook_url();
    let load = Load::start(&stage, &url, 500, Duration::from_millis(500)).await;
    load.more(500).await;
    put_bytes_in_queue(stage.broker(), &poison().body()).await;
    let mut sent = load.all().await;
    sent.note(&poison(), None);
    let died = die_until_dead_letter(&mut fleet, &stage, workers).await;
    assert!(died > 2, "{died} workers died");
    sent.assert_applied_once(&stage, BOUND).await;
    let expected = [("delivery_limit".to_owned(), 1)].into();
    assert_eq!(reasons(&stage).await, expected);
    let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM messages_in_hand")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(notes, 0);
    sent.finish_expecting(fleet, Expect::clean().dead_letters(1))
        .await;
}

/// Starts so many workers, and one for each that dies, as an orchestrator does, until the dead
/// letter is kept; how many died.
async fn die_until_dead_letter(fleet: &mut Fleet, stage: &Stage, workers: usize) -> u32 {
    let fault = [("LUNAS_FAULT", "apply.session:POISON=abort")];
    let mut started = 0;
    wait_for("the poison to be kept", LONG, async || {
        let running = (0..started)
            .filter(|index| fleet.worker(*index).is_running())
            .count();
        for _ in running..workers {
            fleet.start_until(Kind::Worker, &fault, "").await;
            started += 1;
        }
        let kept = reasons(stage).await;
        (!kept.is_empty())
            .then_some(())
            .ok_or(format!("{started} started"))
    })
    .await;
    u32::try_from(started - workers).unwrap()
}

/// Not paid: nobody can pay it as long as every worker dies of it.
fn poison() -> Signed {
    Payment::new(Method::Gopay, "POISON", AMOUNT)
        .pending()
        .field("transaction_id", "poison")
}

#[tokio::test]
async fn a_message_that_panics_is_tried_again_and_given_up_while_its_neighbours_are_applied() {
    let stage = Stage::new().await;
    let builder = Fleet::builder(&stage).ingest(1).env("MAX_ATTEMPTS", "3");
    let fleet = builder.faulty_worker("apply.session:POISON=panic");
    let mut fleet = fleet.start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 500, Duration::from_secs(4)).await;
    load.more(100).await;
    assert_eq!(poison().post(&fleet.webhook_url()).await.unwrap(), 200);
    let mut sent = load.all().await;
    sent.note(&poison(), None);
    sent.assert_applied_once(&stage, BOUND).await;
    let expected = [("attempts_exhausted".to_owned(), 1)].into();
    wait_for_reasons(&stage, &expected).await;
    let attempts: i32 = sqlx::query_scalar("SELECT attempts FROM dead_letters")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(attempts, 3);
    assert!(fleet.worker(0).is_running());
    assert!(fleet.worker(0).metric("lunas_retries_total", &[]).await > 1.0);
    sent.finish_expecting(fleet, Expect::clean().dead_letters(1))
        .await;
}
