//! The same notification many times: at once, an hour later, in one batch, in several workers.
//! Each is recorded once, counts its deliveries, and takes effect once.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use futures::future::join_all;
use lunas_tests::harness::{
    BOUND, Fleet, Kind, Method, OrderRow, Payment, Shop, Signed, Stage, order_status, post_bytes,
    wait_for,
};
use serde_json::json;

const COPIES: usize = 20;

#[tokio::test]
async fn twenty_copies_at_once_and_again_an_hour_later_take_effect_once() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(2).workers(2).start().await;
    let urls = [0, 1].map(|n| webhook(&mut fleet, n));
    OrderRow::pending("LNS-1", 150_000)
        .insert(stage.pool())
        .await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 150_000);
    let client = reqwest::Client::new();

    post_copies(&client, &payment.settlement(), &urls).await;
    until_deliveries(&stage, &[("applied", 20)]).await;
    assert_eq!(order_status(stage.pool(), "LNS-1").await, "PAID");
    // What is an hour old by now came in last month when the clock says so: no partition is
    // left out of the look-up.
    for (back, so_far) in [("1 hour", 40), ("40 days", 60)] {
        let older = format!(
            "UPDATE payment_webhook_events SET received_at = received_at - interval '{back}'"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(older))
            .execute(stage.pool())
            .await
            .unwrap();
        post_copies(&client, &payment.settlement(), &urls).await;
        until_deliveries(&stage, &[("applied", so_far)]).await;
    }
    post_copies(&client, &payment.pending(), &urls).await;
    until_deliveries(&stage, &[("applied", 60), ("stale", 20)]).await;

    assert_eq!(effects(&stage).await, (1, 1, 1));
    fleet.finish().await;
}

#[tokio::test]
async fn copies_of_a_refund_ask_the_gateway_and_give_the_money_back_once() {
    let shop = Shop::open_with(|fleet| fleet.workers(3).env("BATCH_MAX", "4")).await;
    let copies = COPIES - 1;
    shop.trick(json!({"duplicate": {"copies": copies, "concurrent": true}}))
        .await;
    shop.order_and_charge("LNS-1", 48_500, json!({"payment_type": "gopay"}))
        .await;
    shop.until_verdicts("LNS-1", &[("applied", 20)]).await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_verdicts("LNS-1", &[("applied", 20), ("applied", 20)])
        .await;
    shop.step("LNS-1", "refund", json!({"confirm": "never"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    shop.until_verdicts("LNS-1", &[("applied", 20); 3]).await;
    let told = "SELECT to_jsonb(count(*)) FROM domain_events WHERE event_type = $1";
    for event in ["order.paid", "payment.refunded", "order.refunded"] {
        assert_eq!(shop.row(told, event).await, 1, "{event}");
    }
    assert_eq!(
        shop.transaction_row("LNS-1").await["refunded_amount"],
        48_500
    );
    shop.close().await;
}

#[tokio::test]
async fn copies_in_different_batches_of_different_workers_are_one_event() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage)
        .ingest(1)
        .workers(3)
        .env("BATCH_MAX", "8")
        .start()
        .await;
    let payments = orders(&stage, 40).await;
    let url = fleet.webhook_url();
    let client = reqwest::Client::new();
    // Round by round, so that the copies of one notification lie far apart.
    let rounds = (0..COPIES).map(async |_| {
        for payment in &payments {
            let body = payment.settlement().body();
            assert_eq!(post_bytes(&client, &url, body).await.unwrap(), 200);
        }
    });
    join_all(rounds).await;
    until_deliveries(&stage, &[("applied", 20); 40]).await;
    assert_eq!(effects(&stage).await, (40, 40, 40));
    for worker in 0..3 {
        let batches = fleet
            .worker(worker)
            .metric("lunas_batch_messages_count", &[]);
        assert!(batches.await > 0.0, "worker {worker} did nothing");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn copies_in_one_batch_are_one_event() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).start().await;
    let payments = orders(&stage, 10).await;
    let (url, client) = ([fleet.webhook_url()], reqwest::Client::new());
    for payment in &payments {
        post_copies(&client, &payment.settlement(), &url).await;
        post_copies(&client, &payment.pending(), &url).await;
    }
    fleet.start(Kind::Worker, &[]).await;
    // Lanes overtake each other: a pending that comes to be applied first is not stale.
    let counted = "SELECT count(*) FROM payment_webhook_events WHERE deliveries = 20";
    wait_for("every delivery to be counted", BOUND, async || {
        let counted: i64 = sqlx::query_scalar(counted)
            .fetch_one(stage.pool())
            .await
            .unwrap();
        if counted == 20 { Ok(()) } else { Err(counted) }
    })
    .await;
    let (transactions, changes, paid) = effects(&stage).await;
    assert_eq!((transactions, paid), (10, 10));
    assert!((10..=20).contains(&changes), "{changes} changes");
    let batches = fleet.worker(0).metric("lunas_batch_messages_count", &[]);
    assert!(batches.await < 100.0, "they were hardly ever together");
    fleet.finish().await;
}

#[tokio::test]
async fn a_settlement_repeated_after_its_refund_is_checked_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.order_and_charge("LNS-1", 48_500, json!({"payment_type": "gopay"}))
        .await;
    shop.until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.step("LNS-1", "refund", json!({"confirm": "never"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    let again = json!({"transaction_status": "settlement", "times": 5, "concurrent": true});
    shop.step("LNS-1", "resend", again).await;
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1), ("stale", 6)])
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;
    let paid = "SELECT to_jsonb(count(*)) FROM domain_events WHERE event_type = $1";
    assert_eq!(shop.row(paid, "order.paid").await, 1);
    shop.close().await;
}

async fn orders(stage: &Stage, count: usize) -> Vec<Payment> {
    let mut payments = Vec::new();
    for number in 0..count {
        let code = format!("LNS-{number}");
        OrderRow::pending(&code, 1_000).insert(stage.pool()).await;
        payments.push(Payment::new(Method::Gopay, &code, 1_000));
    }
    payments
}

fn webhook(fleet: &mut Fleet, ingest: usize) -> String {
    let addr = fleet.ingest(ingest).addr("INGEST_ADDR");
    lunas_tests::harness::webhook_url(addr)
}

/// Posts the copies at once, to the ingests in turn: as many requests as are under way take as
/// many connections.
async fn post_copies(client: &reqwest::Client, sent: &Signed, urls: &[String]) {
    let posts = urls.iter().cycle().take(COPIES).map(async |url| {
        let answer = post_bytes(client, url, sent.body()).await;
        assert_eq!(answer.unwrap(), 200);
    });
    join_all(posts).await;
}

/// Waits until the recorded notifications are these, by verdict and deliveries.
async fn until_deliveries(stage: &Stage, wanted: &[(&str, i32)]) {
    let mut wanted: Vec<(String, i32)> =
        wanted.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect();
    wanted.sort_unstable();
    wait_for("every delivery to be counted", BOUND, async || {
        let query = "SELECT verdict, deliveries FROM payment_webhook_events ORDER BY 1, 2";
        let seen: Vec<(String, i32)> = sqlx::query_as(query).fetch_all(stage.pool()).await.unwrap();
        if seen == wanted {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
}

/// Transactions, changes of a transaction in the log, orders told to be paid.
async fn effects(stage: &Stage) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM payment_transactions),
                (SELECT count(*) FROM payment_sync_logs WHERE event_type = 'status_changed'),
                (SELECT count(*) FROM domain_events WHERE event_type = 'order.paid')",
    )
    .fetch_one(stage.pool())
    .await
    .unwrap()
}
