//! Nothing is there in the right order: everything restarts at once, and services start before
//! what they need.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Kind, Proxy, Stage, wait_for};

use crate::load::Load;

/// A node that was killed reads its log and elects a leader per queue before it serves.
const RECOVERY: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_fleet_that_is_killed_with_its_servers_goes_on_where_it_was() {
    let stage = Stage::with_own_servers().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    let addr = fleet.ingest(0).addr("INGEST_ADDR").to_string();
    let url = fleet.webhook_url();
    let load = Load::start(&stage, &url, 1_000, Duration::from_secs(30)).await;
    load.more(200).await;
    for process in fleet.processes() {
        process.kill9().await;
    }
    tokio::join!(stage.rabbitmq().kill9(), stage.postgres().kill9());
    // The services are there before their servers, as after a power cut.
    let same_port = [("INGEST_ADDR", addr.as_str())];
    fleet.start_until(Kind::Ingest, &same_port, "/livez").await;
    fleet.start_until(Kind::Worker, &[], "/livez").await;
    fleet.start_until(Kind::Worker, &[], "/livez").await;
    load.more_refused(8).await;
    tokio::join!(stage.rabbitmq().start(), stage.postgres().start());
    load.more_within(100, RECOVERY).await;
    let sent = load.end().await;
    sent.assert_applied_once(&stage, RECOVERY).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn a_fleet_that_starts_before_broker_database_and_schema_begins_by_itself() {
    let stage = Stage::bare().await;
    let broker = Proxy::to(&stage.broker().server_addr()).await;
    let database = Proxy::to(&stage.database().server_addr()).await;
    broker.refuse();
    database.refuse();
    let builder = Fleet::builder(&stage).ingest(1).workers(1).only_alive();
    let builder = builder.env("AMQP_URL", &stage.broker().url_by_way_of(broker.addr()));
    let database_url = stage.database().url_by_way_of(database.addr());
    let mut fleet = builder.env("DATABASE_URL", &database_url).start().await;
    assert_readiness(&mut fleet, 503).await;
    broker.restore();
    database.restore();
    wait_for("the worker to ask for the schema", BOUND, async || {
        fleet.worker(0).log().contains("lunas migrate")
    })
    .await;
    assert_readiness(&mut fleet, 503).await;
    stage.database().store().migrate().await.unwrap();
    // The worker declares the topology; until then ingest has nowhere to put a notification.
    let load = Load::start(&stage, &fleet.webhook_url(), 50, Duration::from_secs(1)).await;
    let sent = load.all().await;
    assert!(sent.answers.only(&[200, 429, 502]), "{:?}", sent.answers);
    sent.assert_applied_once(&stage, BOUND).await;
    assert_readiness(&mut fleet, 200).await;
    sent.finish(fleet).await;
}

async fn assert_readiness(fleet: &mut Fleet, status: u16) {
    let (answer, body) = fleet.worker(0).health_page("/readyz").await.unwrap();
    assert_eq!(answer, status, "{body}");
}
