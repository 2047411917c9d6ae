//! The relay between the outbox and `lunas.events`, and what may break on the way.

use std::collections::{BTreeMap, BTreeSet};

use lapin::options::ExchangeDeleteOptions;
use lunas_tests::harness::{BOUND, Direction, Fleet, Kind, Proxy, Stage, wait_for};
use serde_json::json;
use shared::broker::topology;

use crate::outbox::{
    Listener, TRACE, all_marked, assert_first_hearings_in_line, assert_in_line_once, event_ids,
    leads, unmarked, write_events,
};

#[tokio::test]
async fn every_event_arrives_with_what_it_tells_and_is_marked() {
    let stage = Stage::new().await;
    let listener = Listener::on(&stage, "listener").await;
    for order in 0..40 {
        write_events(stage.pool(), &format!("LNS-{order}"), 30).await;
    }
    let fleet = Fleet::builder(&stage).schedulers(1).start().await;
    all_marked(stage.pool()).await;

    let heard = listener.hear().await;
    assert_eq!(heard.len(), 1200);
    assert_in_line_once(&heard, &event_ids(stage.pool()).await);
    for one in &heard {
        assert_eq!(one.routing_key, "order.paid");
        assert_eq!(one.message_id, one.id.to_string());
        assert_eq!(one.traceparent.as_deref(), Some(TRACE));
        let body = &one.body;
        assert_eq!(
            (&body["type"], &body["status"]),
            (&json!("order.paid"), &json!("PAID"))
        );
        assert_eq!(body["at"], "2026-03-14T02:12:41Z");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn no_event_is_lost_when_the_broker_is_cut_off_again_and_again() {
    let stage = Stage::new().await;
    let listener = Listener::on(&stage, "listener").await;
    let proxy = Proxy::to(&stage.broker().server_addr()).await;
    let amqp_url = stage.broker().url_by_way_of(proxy.addr());
    let fleet = Fleet::builder(&stage)
        .schedulers(1)
        .env("AMQP_URL", &amqp_url);
    let fleet = fleet.start().await;
    for round in 0..6 {
        proxy.cut_after(Direction::ToServer, 20_000 + round * 7_000);
        for order in 0..20 {
            write_events(stage.pool(), &format!("LNS-{order}"), 10).await;
        }
        all_marked(stage.pool()).await;
    }
    proxy.refuse();
    write_events(stage.pool(), "LNS-0", 10).await;
    let opened = proxy.opened();
    proxy.restore();
    all_marked(stage.pool()).await;
    assert!(
        opened > 6 && proxy.opened() > opened,
        "the line was not cut each time"
    );

    let heard = listener.hear().await;
    let ids: BTreeSet<i64> = heard.iter().map(|one| one.id).collect();
    assert_eq!(ids, BTreeSet::from_iter(event_ids(stage.pool()).await));
    assert_first_hearings_in_line(&heard);
    fleet.finish().await;
}

#[tokio::test]
async fn a_crash_between_confirm_and_mark_publishes_again_and_loses_nothing() {
    let stage = Stage::new().await;
    let listener = Listener::on(&stage, "listener").await;
    write_events(stage.pool(), "LNS-1", 10).await;
    let mut fleet = Fleet::builder(&stage).start().await;
    let crashing = [("LUNAS_FAULT", "relay.published=abort@1")];
    let first = fleet.start_until(Kind::Scheduler, &crashing, "").await;
    assert!(!first.wait_exit(BOUND).await.success());
    assert_eq!(unmarked(stage.pool()).await, 10);

    fleet.start(Kind::Scheduler, &[]).await;
    all_marked(stage.pool()).await;
    let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
    for one in listener.hear().await {
        *counts.entry(one.id).or_default() += 1;
    }
    assert_eq!(counts.len(), 10);
    assert!(counts.values().all(|count| *count == 2), "{counts:?}");
    fleet.finish().await;
}

#[tokio::test]
async fn an_event_waits_for_transactions_that_began_before_it() {
    let stage = Stage::new().await;
    let store = stage.database().store();
    let mut running = stage.pool().begin().await.unwrap();
    write_events(&mut *running, "LNS-1", 1).await;
    write_events(stage.pool(), "LNS-2", 1).await;
    assert_eq!(store.relay_waiting(10).await.unwrap(), []);
    assert_eq!(store.relay_backlog().await.unwrap().waiting, 1);
    running.commit().await.unwrap();
    // Transactions of other tests on the same server may still be running.
    let waiting = wait_for("both events", BOUND, async || {
        let waiting = store.relay_waiting(10).await.unwrap();
        (waiting.len() == 2).then_some(waiting)
    });
    let orders: Vec<_> = waiting.await.into_iter().map(|e| e.order_code).collect();
    assert_eq!(orders, [Some("LNS-1".to_owned()), Some("LNS-2".to_owned())]);
    assert_eq!(store.relay_backlog().await.unwrap().waiting, 2);
}

#[tokio::test]
async fn it_starts_without_database_and_broker_and_recovers_by_itself() {
    let stage = Stage::new().await;
    let listener = Listener::on(&stage, "listener").await;
    write_events(stage.pool(), "LNS-1", 5).await;
    let database = Proxy::to(&stage.database().server_addr()).await;
    let broker = Proxy::to(&stage.broker().server_addr()).await;
    database.refuse();
    broker.refuse();
    let fleet = Fleet::builder(&stage)
        .schedulers(1)
        .env(
            "DATABASE_URL",
            &stage.database().url_by_way_of(database.addr()),
        )
        .env("AMQP_URL", &stage.broker().url_by_way_of(broker.addr()))
        .only_alive();
    let mut fleet = fleet.start().await;
    let (status, page) = fleet.scheduler(0).health_page("/readyz").await.unwrap();
    assert_eq!(status, 503, "{page}");

    database.restore();
    wait_for("a leader", BOUND, async || leads(&mut fleet, 0).await).await;
    assert_eq!(unmarked(stage.pool()).await, 5);
    broker.restore();
    all_marked(stage.pool()).await;
    assert_in_line_once(&listener.hear().await, &event_ids(stage.pool()).await);

    // And again, while it leads.
    database.refuse();
    write_events(stage.pool(), "LNS-1", 5).await;
    database.restore();
    all_marked(stage.pool()).await;
    fleet.finish().await;
}

#[tokio::test]
async fn the_backlog_is_measured() {
    let stage = Stage::new().await;
    let broker = Proxy::to(&stage.broker().server_addr()).await;
    broker.refuse();
    write_events(stage.pool(), "LNS-1", 7).await;
    let fleet = Fleet::builder(&stage)
        .schedulers(1)
        .env("AMQP_URL", &stage.broker().url_by_way_of(broker.addr()))
        .only_alive();
    let mut fleet = fleet.start().await;
    let measured = wait_for("the backlog", BOUND, async || {
        let scheduler = fleet.scheduler(0);
        let waiting = scheduler.metric("lunas_outbox_waiting", &[]).await;
        let oldest = scheduler.metric("lunas_outbox_oldest_seconds", &[]).await;
        waiting == 7.0 && oldest > 0.0
    });
    measured.await;
    broker.restore();
    let relayed = wait_for("the relay to be counted", BOUND, async || {
        let scheduler = fleet.scheduler(0);
        scheduler.metric("lunas_events_relayed_total", &[]).await == 7.0
            && scheduler.metric("lunas_outbox_waiting", &[]).await == 0.0
    });
    relayed.await;
    fleet.finish().await;
}

#[tokio::test]
async fn events_wait_for_an_exchange_that_is_missing() {
    let stage = Stage::new().await;
    delete_events_exchange(&stage).await;
    write_events(stage.pool(), "LNS-1", 100).await;
    let mut fleet = Fleet::builder(&stage).schedulers(1).start().await;
    let noticed = wait_for("the relay to notice", BOUND, async || {
        let waits = ["cause=\"broker\""];
        fleet.scheduler(0).metric("lunas_waits_total", &waits).await >= 2.0
    });
    noticed.await;
    assert_eq!(unmarked(stage.pool()).await, 100);
    let connection = stage.broker().connection().await;
    topology::declare(connection).await.unwrap();
    all_marked(stage.pool()).await;
    fleet.finish().await;
}

async fn delete_events_exchange(stage: &Stage) {
    let channel = stage.broker().connection().await.create_channel().await;
    let options = ExchangeDeleteOptions::default();
    let channel = channel.unwrap();
    let deleted = channel.exchange_delete("lunas.events".into(), options);
    deleted.await.unwrap();
}
