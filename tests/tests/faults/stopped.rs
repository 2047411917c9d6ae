//! SIGTERM under load: an orderly end in time, nothing lost, nobody blamed.

use std::time::{Duration, Instant};

use lunas_tests::harness::{
    BOUND, Fleet, Kind, Method, OrderRow, Payment, Proxy, Signed, Stage, TakenMessage,
    put_bytes_in_queue, wait_for,
};

use crate::load::{AMOUNT, Load};

/// What an orchestrator grants (design section 5).
const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_worker_that_is_told_to_stop_settles_what_it_holds_and_blames_nobody() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 600, Duration::from_secs(6)).await;
    load.more(200).await;
    stop_in_time(&mut fleet, Kind::Worker).await;
    load.more(50).await;
    let sent = load.end().await;
    let left = stage.broker().take_all("lunas.webhooks").await;
    assert!(!left.is_empty(), "the load went on after the end");
    for message in &left {
        // The broker may have sent it in the moment in which the worker said that it wants no more.
        // In the moment the outage begins one lane may give back what another one, which has not
        // noticed yet, takes and gives back too: at most once for each of the four lanes.
        assert_untouched(message, 4);
        put_bytes_in_queue(stage.broker(), &message.body).await;
    }
    fleet.start(Kind::Worker, &[]).await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_while_the_database_is_away_gives_back_what_it_holds() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    let url = stage.database().url_by_way_of(proxy.addr());
    let builder = Fleet::builder(&stage).ingest(1).workers(1);
    let mut fleet = builder
        .env_of(Kind::Worker, "DATABASE_URL", &url)
        .start()
        .await;
    let load = Load::start(&stage, &fleet.webhook_url(), 300, Duration::from_secs(3)).await;
    load.more(50).await;
    proxy.refuse();
    load.more(100).await;
    wait_for("the worker to notice", BOUND, async || {
        fleet.worker(0).log().contains("database is away")
    })
    .await;
    let mut sent = load.all().await;
    sent.note(
        &stays_in_its_queue(&stage, &fleet.webhook_url()).await,
        None,
    );
    stop_in_time(&mut fleet, Kind::Worker).await;
    let left = stage.broker().take_all("lunas.webhooks").await;
    assert!(left.len() >= 100, "{} given back", left.len());
    for message in &left {
        // In the moment the outage begins one lane may give back what another one, which has not
        // noticed yet, takes and gives back too: at most once for each of the four lanes.
        assert_untouched(message, 4);
        put_bytes_in_queue(stage.broker(), &message.body).await;
    }
    proxy.restore();
    fleet.start(Kind::Worker, &[]).await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

/// A worker without a database takes nothing more: what it gave back later would count once more
/// for each lane and worker that it wanders through. Answers what was sent to see that.
async fn stays_in_its_queue(stage: &Stage, url: &str) -> Signed {
    let order = OrderRow::pending("LNS-LATE", AMOUNT);
    order.insert(stage.pool()).await;
    let late = Payment::new(Method::Gopay, "LNS-LATE", AMOUNT).settlement();
    let soon = Duration::from_secs(5);
    wait_for("a notification that nobody takes", soon, async || {
        assert_eq!(late.post(url).await.unwrap(), 200);
        stage.broker().depth("lunas.webhooks").await > 0
    })
    .await;
    late
}

#[tokio::test]
async fn an_ingest_that_is_told_to_stop_answers_whom_it_has_and_ends() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(1).start().await;
    let url = fleet.webhook_url();
    let addr = fleet.ingest(0).addr("INGEST_ADDR").to_string();
    let load = Load::start(&stage, &url, 600, Duration::from_secs(6)).await;
    load.more(100).await;
    stop_in_time(&mut fleet, Kind::Ingest).await;
    load.more_refused(8).await;
    fleet.start(Kind::Ingest, &[("INGEST_ADDR", &addr)]).await;
    load.more(50).await;
    let sent = load.end().await;
    sent.assert_applied_once(&stage, BOUND).await;
    sent.finish(fleet).await;
}

async fn stop_in_time(fleet: &mut Fleet, kind: Kind) {
    let process = match kind {
        Kind::Ingest => fleet.ingest(0),
        _ => fleet.worker(0),
    };
    let told = Instant::now();
    process.sigterm();
    let status = process.wait_exit(GRACE + Duration::from_secs(2)).await;
    assert!(status.success(), "{status}\n{}", process.log_end());
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
}

/// Still at its first attempt, and returned no more often than that.
fn assert_untouched(message: &TakenMessage, returns: u32) {
    let header = |name: &str| message.headers.get(name).map(String::as_str);
    assert_eq!(
        header("x-lunas-attempt"),
        Some("1"),
        "{:?}",
        message.headers
    );
    let count = header("x-delivery-count").map_or(0, |count| count.parse().unwrap());
    assert!(count <= returns, "{:?}", message.headers);
}

/// As when its machine is suspended: what it wakes up to is applied once and blames nobody.
#[tokio::test]
async fn a_worker_that_is_frozen_in_the_middle_goes_on_where_others_went_on() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).ingest(1).workers(2).start().await;
    let load = Load::start(&stage, &fleet.webhook_url(), 400, Duration::from_secs(4)).await;
    load.more(100).await;
    fleet.worker(0).freeze();
    let sent = load.all().await;
    fleet.worker(1).kill9().await;
    fleet.start(Kind::Worker, &[]).await;
    fleet.worker(0).thaw();
    sent.assert_applied_once(&stage, BOUND).await;
    let retries = fleet.worker(0).metric("lunas_retries_total", &[]).await;
    assert!(retries < 1.0, "{retries}");
    sent.finish(fleet).await;
}
