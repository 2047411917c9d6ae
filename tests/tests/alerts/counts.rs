//! Conditions of many at once: orphans, what is stuck, dead letters, repairs, silence, signatures.

use lunas_tests::harness::{
    BOUND, Expect, Inbox, Kind, Method, OrderRow, Payment, Stage, put_bytes_in_queue, wait_for,
};
use serde_json::json;

use crate::support::{lunas, run, told_once, watched};

const PRICE: i64 = 150_000;

fn gopay(session: &str) -> Payment {
    Payment::new(Method::Gopay, session, PRICE)
}

#[tokio::test]
async fn orphans_that_rise_are_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let builder = watched(&stage, &inbox).env("ALERT_ORPHANS_PER_HOUR", "2");
    let mut fleet = builder.ingest(1).workers(1).schedulers(1).start().await;
    for code in ["LNS-A", "LNS-B"] {
        gopay(code)
            .settlement()
            .post(&fleet.webhook_url())
            .await
            .unwrap();
    }
    let alert = told_once(&stage, &inbox, "orphans_rising", async || {
        for code in ["LNS-A", "LNS-B"] {
            OrderRow::pending(code, PRICE)
                .without_session()
                .insert(stage.pool())
                .await;
        }
        let (code, printed, complaint) = lunas(&stage, &["backfill", "--run", "--yes"], &[]).await;
        // The worker's own tries may have been first.
        assert!(code == 0, "{printed} {complaint}");
    });
    let alert = alert.await;
    assert_eq!(alert["payment_status"], "settlement");
    assert_eq!(alert["amount"], 2 * PRICE);
    fleet.finish_expecting(Expect::clean().delayed_left()).await;
}

async fn pending_are_known(stage: &Stage, count: i64) {
    wait_for("the pending ones to be known", BOUND, async || {
        let known: i64 = sqlx::query_scalar("SELECT count(*) FROM payment_transactions")
            .fetch_one(stage.pool())
            .await
            .unwrap();
        known == count
    })
    .await;
}

#[tokio::test]
async fn what_is_open_past_its_time_is_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let mut fleet = watched(&stage, &inbox)
        .ingest(1)
        .workers(1)
        .schedulers(1)
        .start()
        .await;
    let hour = time::Duration::HOUR;
    OrderRow::pending("LNS-A", PRICE)
        .expires_in(-hour)
        .insert(stage.pool())
        .await;
    OrderRow::pending("LNS-B", PRICE).insert(stage.pool()).await;
    run(
        &stage,
        "UPDATE payments SET expires_at = now() - interval '2 hours' WHERE session_id = 'LNS-B'",
    )
    .await;
    let alert = told_once(&stage, &inbox, "stuck", async || {
        let payments = ["LNS-A", "LNS-B"].map(gopay);
        for payment in &payments {
            payment.pending().post(&fleet.webhook_url()).await.unwrap();
        }
        // Lanes overtake each other, and this fleet does not ask whether what it never saw expired.
        pending_are_known(&stage, 2).await;
        for payment in &payments {
            payment.expire().post(&fleet.webhook_url()).await.unwrap();
        }
    });
    let alert = alert.await;
    // The one that has been open for longest.
    assert_eq!(
        (&alert["session_id"], &alert["order_status"]),
        (&json!("LNS-B"), &json!("PENDING"))
    );
    assert!(
        alert["summary"]
            .as_str()
            .unwrap()
            .contains("1 payments and 1 orders"),
        "{alert}"
    );
    fleet.finish().await;
}

#[tokio::test]
async fn a_dead_letter_is_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let fleet = watched(&stage, &inbox)
        .workers(1)
        .schedulers(1)
        .start()
        .await;
    let foreign = gopay("LNS-A").settlement().field("currency", "USD");
    put_bytes_in_queue(stage.broker(), &foreign.body()).await;
    let alert = told_once(&stage, &inbox, "dead_letters", async || {
        let discard = ["dlq", "discard", "--all", "--why", "another currency"];
        let (code, printed, complaint) = lunas(&stage, &discard, &[]).await;
        assert_eq!(code, 0, "{printed} {complaint}");
    });
    assert_eq!(alert.await["session_id"], "LNS-A");
    // What is discarded is settled.
    fleet.finish().await;
}

#[tokio::test]
async fn many_repairs_within_a_day_are_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let builder = watched(&stage, &inbox).env("ALERT_REPAIRS_PER_DAY", "3");
    let fleet = builder.schedulers(1).start().await;
    run(
        &stage,
        "INSERT INTO payment_sync_logs (order_code, session_id, sync_type, event_type)
         SELECT 'LNS-' || n, 'LNS-' || n, 'reconcile', 'reconcile_status_changed'
         FROM generate_series(1, 3) n",
    )
    .await;
    told_once(&stage, &inbox, "repairs_high", async || {
        run(
            &stage,
            "UPDATE payment_sync_logs SET created_at = now() - interval '25 hours'",
        )
        .await;
    })
    .await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_notification_that_the_status_api_does_not_know_is_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let fleet = watched(&stage, &inbox).schedulers(1).start().await;
    run(
        &stage,
        "INSERT INTO payment_sync_logs (order_code, session_id, sync_type, event_type)
         VALUES ('LNS-1', 'LNS-1', 'poll', 'confirm_gave_up')",
    )
    .await;
    told_once(&stage, &inbox, "notifications_refused", async || {
        run(
            &stage,
            "UPDATE payment_sync_logs SET created_at = now() - interval '25 hours'",
        )
        .await;
    })
    .await;
    fleet.finish().await;
}

#[tokio::test]
async fn silence_while_payments_wait_is_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let builder = watched(&stage, &inbox).env("ALERT_SILENCE_PAYMENTS", "2");
    let mut fleet = builder.ingest(1).workers(1).schedulers(1).start().await;
    for code in ["LNS-A", "LNS-B"] {
        OrderRow::pending(code, PRICE).insert(stage.pool()).await;
    }
    run(
        &stage,
        "UPDATE payments SET status = 'pending', created_at = now() - interval '20 minutes'",
    )
    .await;
    told_once(&stage, &inbox, "notifications_silent", async || {
        for code in ["LNS-A", "LNS-B"] {
            gopay(code)
                .pending()
                .post(&fleet.webhook_url())
                .await
                .unwrap();
        }
    })
    .await;
    fleet.finish().await;
}

#[tokio::test]
async fn signatures_that_do_not_match_are_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let mut fleet = watched(&stage, &inbox).ingest(1).start().await;
    let pages = format!("http://{}/metrics", fleet.ingest(0).health_addr());
    let env = [
        ("INGEST_METRICS_URLS", pages.as_str()),
        ("ALERT_SIGNATURE_FAILURES", "3"),
        ("ALERT_SIGNATURE_WINDOW", "5s"),
    ];
    fleet.start(Kind::Scheduler, &env).await;
    // The counters are known before the first forgery counts: forge until it is told.
    let url = fleet.webhook_url();
    let forged = gopay("LNS-A").settlement().signed_with("not-our-key");
    wait_for("the alert", BOUND, async || {
        assert_eq!(forged.post(&url).await.unwrap(), 401);
        crate::support::count_of(&stage, "signature_failures", "true").await > 0
    })
    .await;
    told_once(&stage, &inbox, "signature_failures", async || {}).await;
    fleet.finish().await;
}
