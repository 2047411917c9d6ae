//! Real processes: started, killed, drained and audited.

use std::time::Duration;

use lunas_tests::harness::{
    BOUND, Expect, Fleet, Kind, Ledger, Method, OrderRow, Payment, Stage, order_status, wait_for,
};

#[tokio::test]
async fn the_fleet_turns_a_notification_into_a_paid_order() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 150_000)
        .insert(stage.pool())
        .await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let mut ledger = Ledger::new();
    let payment = Payment::new(Method::BcaVa, "LNS-1", 150_000);
    for sent in [
        payment.pending(),
        payment.settlement(),
        payment.settlement(),
    ] {
        let answer = sent.post(&fleet.webhook_url()).await.ok();
        ledger.note(&sent, answer);
    }
    wait_for("the order to be paid", BOUND, async || {
        let status = order_status(stage.pool(), "LNS-1").await;
        if status == "PAID" {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
    fleet.finish().await;
    assert_eq!(ledger.accepted(), 2);
    ledger.assert_settled(stage.pool()).await;
}

#[tokio::test]
async fn an_accepted_notification_reaches_the_queue_by_the_front_door() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).start().await;
    let sent = Payment::new(Method::BcaVa, "LNS-1", 150_000).settlement();
    assert_eq!(sent.post(&fleet.webhook_url()).await.unwrap(), 200);
    assert_eq!(
        sent.signed_with("x")
            .post(&fleet.webhook_url())
            .await
            .unwrap(),
        401
    );
    let taken = stage.broker().take_all("lunas.webhooks").await;
    assert_eq!(taken.len(), 1);
    assert!(fleet.ingest(0).rss() > 1024 * 1024);
    fleet.finish().await;
}

#[tokio::test]
#[should_panic(expected = "the queues did not empty")]
async fn a_test_that_leaves_a_message_behind_does_not_pass() {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage).start().await;
    Payment::new(Method::Gopay, "LNS-1", 100)
        .pending()
        .put_in_queue(stage.broker())
        .await;
    fleet
        .finish_expecting(Expect::clean().within(Duration::from_millis(200)))
        .await;
}

#[tokio::test]
#[should_panic(expected = "ended while starting")]
async fn a_program_that_cannot_start_fails_its_test() {
    let stage = Stage::new().await;
    let broken = Fleet::builder(&stage)
        .ingest(1)
        .env_of(Kind::Ingest, "MIDTRANS_SERVER_KEY", "");
    broken.start().await;
}

#[tokio::test]
async fn a_killed_process_can_be_followed_by_another() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).start().await;
    fleet.ingest(0).kill9().await;
    assert!(!fleet.ingest(0).is_running());
    fleet.start(Kind::Ingest, &[]).await;
    let (status, _) = fleet.ingest(1).health_page("/livez").await.unwrap();
    assert_eq!(status, 200);
    fleet.finish().await;
}
