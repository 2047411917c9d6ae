//! A line that breaks in the middle of a message, again and again.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Direction, Fleet, Kind, Proxy, Stage, wait_for};

use crate::load::Load;

/// How often each line is cut.
const CUTS: u64 = 8;

#[tokio::test]
async fn a_line_from_ingest_to_the_broker_that_breaks_loses_nothing_accepted() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.broker().server_addr()).await;
    let url = stage.broker().url_by_way_of(proxy.addr());
    breaks(&stage, &proxy, Kind::Ingest, "AMQP_URL", &url).await;
}

#[tokio::test]
async fn a_line_from_a_worker_to_the_broker_that_breaks_loses_nothing() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.broker().server_addr()).await;
    let url = stage.broker().url_by_way_of(proxy.addr());
    breaks(&stage, &proxy, Kind::Worker, "AMQP_URL", &url).await;
}

#[tokio::test]
async fn a_line_from_a_worker_to_the_database_that_breaks_applies_nothing_twice() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    let url = stage.database().url_by_way_of(proxy.addr());
    breaks(&stage, &proxy, Kind::Worker, "DATABASE_URL", &url).await;
}

/// Cuts after so many bytes, in both directions, so that every kind of frame is hit.
async fn breaks(stage: &Stage, proxy: &Proxy, kind: Kind, variable: &str, url: &str) {
    let builder = Fleet::builder(stage).ingest(1).workers(1);
    let mut fleet = builder.env_of(kind, variable, url).start().await;
    let load = Load::start(stage, &fleet.webhook_url(), 1_000, Duration::from_secs(20)).await;
    for cut in 0..CUTS {
        let direction = match cut % 2 {
            0 => Direction::ToServer,
            _ => Direction::ToClient,
        };
        let opened = proxy.opened();
        // A message has about 900 bytes, a frame that acknowledges one about 20.
        proxy.cut_after(direction, 60 + cut * 97);
        wait_for("a new connection after the cut", BOUND, async || {
            proxy.opened() > opened
        })
        .await;
        load.more(20).await;
    }
    let sent = load.end().await;
    assert!(sent.answers.only(&[200, 429, 502]), "{:?}", sent.answers);
    sent.assert_applied_once(stage, BOUND).await;
    sent.finish(fleet).await;
}

/// No reset and no answer, as when a network drops every packet; then the line works again.
#[tokio::test]
async fn a_line_to_the_database_that_goes_silent_holds_nothing_for_ever() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    let url = stage.database().url_by_way_of(proxy.addr());
    let builder = Fleet::builder(&stage).ingest(1).workers(1);
    let mut fleet = builder
        .env_of(Kind::Worker, "DATABASE_URL", &url)
        .start()
        .await;
    let load = Load::start(&stage, &fleet.webhook_url(), 400, Duration::from_secs(10)).await;
    load.more(40).await;
    proxy.stall();
    let stalled = proxy.opened();
    load.more(40).await;
    wait_for(
        "the worker to try another connection",
        Duration::from_secs(60),
        async || proxy.opened() > stalled,
    )
    .await;
    proxy.restore();
    let sent = load.end().await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}
