//! An ingest that dies: what got a 200 is there, and what got none is sent again.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Kind, Stage};

use crate::load::Load;

#[tokio::test]
async fn an_ingest_killed_under_load_has_lost_nothing_that_it_accepted() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let url = fleet.webhook_url();
    let addr = fleet.ingest(0).addr("INGEST_ADDR").to_string();
    let load = Load::start(&stage, &url, 800, Duration::from_secs(8)).await;
    for killed in 0..4 {
        load.more(60).await;
        fleet.ingest(killed).kill9().await;
        load.more_refused(8).await;
        // On the same port, as behind a load balancer.
        fleet.start(Kind::Ingest, &[("INGEST_ADDR", &addr)]).await;
    }
    load.more(60).await;
    let sent = load.end().await;
    assert!(sent.answers.only(&[0, 200, 502]), "{:?}", sent.answers);
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}
