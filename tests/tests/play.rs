//! The player against a whole fleet: what `deploy/local/run.sh --once` shows, on the tests' ground.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::time::Duration;

use lunas_tests::harness::{Fleet, OPERATOR_TOKEN, SERVER_KEY, SHOP_TOKEN, Stage};
use lunas_tests::play::{PATIENCE, Report, Settings, play};
use lunas_tests::sim::{SimOptions, Simulator};

#[tokio::test]
async fn every_order_of_the_player_ends_as_it_should() {
    let report = played(&[], PATIENCE).await;
    let text = report.text(false);
    assert!(report.is_good(), "\n{text}");
    assert_eq!(report.lines.len(), 38);
    assert_eq!(report.shop.len(), 11);
    let bought = report.shop.iter().flat_map(|visit| &visit.bought);
    let fulfilled = bought.clone().filter(|bought| bought.pickup.is_some());
    assert_eq!(fulfilled.count(), 8, "\n{text}");
    for bought in bought {
        assert!(text.contains(&bought.code) && text.contains(&bought.ended));
        for shown in bought
            .tickets
            .iter()
            .map(|code| &code[..6])
            .chain(bought.pickup.as_deref())
        {
            assert!(text.contains(shown), "{shown} is not shown:\n{text}");
        }
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "wider than a terminal: {line}");
    }
}

#[tokio::test]
async fn a_fleet_that_confirms_nothing_does_not_please_the_player() {
    let report = played(&[("CONFIRM_POLICY", "never")], Duration::from_secs(20)).await;
    let wrong = report.lines.iter().filter(|line| line.wrong.is_some());
    let mut wrong: Vec<&str> = wrong.map(|line| line.story).collect();
    wrong.dedup();
    // Without a question an expiry that overtakes its pending is stale for good; whether one does
    // is chance.
    wrong.retain(|story| *story != "QRIS code expired");
    let text = report.text(false);
    // What was captured is found by the reconciler, which looks at it while it is authorised.
    wrong.retain(|story| *story != "less captured");
    assert_eq!(wrong, ["refunded", "partly refunded"], "\n{text}");
    let wrong = report.shop.iter().filter(|visit| !visit.is_good());
    let wrong: Vec<&str> = wrong.map(|visit| visit.story).collect();
    assert_eq!(
        wrong,
        ["paid too late, some left", "paid too late, none left"],
        "\n{text}"
    );
    assert!(!report.is_good());
    assert!(text.contains("WRONG"));
}

/// Plays against one ingest, two workers and an api with this environment.
async fn played(env: &[(&str, &str)], patience: Duration) -> Report {
    let stage = Stage::new().await;
    let simulator = Simulator::start(SimOptions {
        server_key: SERVER_KEY.to_owned(),
        time_scale: 600.0,
        expiry_scale: Some(0.0),
        ..SimOptions::default()
    })
    .await
    .unwrap();
    let mut fleet = Fleet::builder(&stage)
        .ingest(1)
        .workers(2)
        .selling()
        .schedulers(1)
        .jobs("reconcile_status=500ms,reconcile_links=1s,expire_orders=1s")
        .env("RECONCILE_AFTER", "5s")
        .gateway(&simulator.base_url())
        .env("MIDTRANS_RPS", "500");
    for (name, value) in env {
        fleet = fleet.env(name, value);
    }
    let mut fleet = fleet.start().await;
    let ingest = format!("http://{}", fleet.ingest(0).addr("INGEST_ADDR"));
    let api = format!("http://{}", fleet.api(0).addr("API_ADDR"));
    let admin = format!("http://{}", fleet.api(0).addr("ADMIN_ADDR"));
    simulator.set_notify_url(&fleet.webhook_url());
    let report = play(&Settings {
        ingest,
        sim: simulator.base_url(),
        server_key: SERVER_KEY.to_owned(),
        api: Some((api, SHOP_TOKEN.to_owned())),
        admin: Some((admin, OPERATOR_TOKEN.to_owned())),
        database_url: stage.database().url().to_owned(),
        amqp_url: stage.broker().url().to_owned(),
        orders: 2,
        patience,
    })
    .await
    .unwrap();
    fleet.finish().await;
    simulator.stop().await.unwrap();
    report
}
