//! The scheduler as real processes: one leads, another follows, and every domain event reaches
//! `lunas.events`, whatever breaks in between.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lunas_tests::harness::{BOUND, Fleet, Kind, Proxy, Stage, wait_for};
use serde_json::{Value, json};
use shared::store::lease::Hold;
use sqlx::PgPool;

/// A leader that was killed must be followed within this time (issue A, design section 8).
const TAKEOVER: Duration = Duration::from_secs(15);

const LEADER: &str = "lunas_scheduler_leader";

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn of_two_schedulers_one_leads_and_the_other_follows_a_kill() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).schedulers(2).start().await;
    let first = leader(&mut fleet).await;
    assert!(!leads(&mut fleet, 1 - first).await);

    let killed = Instant::now();
    fleet.scheduler(first).kill9().await;
    let following = wait_for("the standby to lead", TAKEOVER, async || {
        leads(&mut fleet, 1 - first).await
    });
    following.await;
    assert!(killed.elapsed() < TAKEOVER, "{:?}", killed.elapsed());

    // The new leader does the work, too.
    write_events(stage.pool(), "LNS-1", 1).await;
    all_marked(stage.pool()).await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_hands_over_at_once() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).schedulers(2).start().await;
    let first = leader(&mut fleet).await;
    fleet.scheduler(first).sigterm();
    // Well below the 9 s that a lease lasts.
    let following = wait_for("the standby to lead", Duration::from_secs(5), async || {
        leads(&mut fleet, 1 - first).await
    });
    following.await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_leader_that_was_frozen_steps_down_when_it_wakes() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).schedulers(2).start().await;
    let first = leader(&mut fleet).await;
    fleet.scheduler(first).freeze();
    let following = wait_for("the standby to lead", TAKEOVER, async || {
        leads(&mut fleet, 1 - first).await
    });
    following.await;
    fleet.scheduler(first).thaw();
    let stepped_down = wait_for("the woken leader to step down", BOUND, async || {
        !leads(&mut fleet, first).await
    });
    stepped_down.await;
    assert!(leads(&mut fleet, 1 - first).await);
    let token: i64 = sqlx::query_scalar("SELECT token FROM scheduler_lease")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(token, 2);
    fleet.finish().await;
}

#[tokio::test]
async fn who_lost_the_lease_can_neither_mark_nor_renew_nor_release() {
    let stage = Stage::new().await;
    let store = stage.database().store();
    let term = Duration::from_secs(60);
    let stale = store.lease_acquire("x", "a", term).await.unwrap().unwrap();
    assert_eq!(store.lease_acquire("x", "b", term).await.unwrap(), None);
    assert_eq!(store.lease_renew(&stale, term).await.unwrap(), Hold::Held);

    expire_lease(stage.pool()).await;
    write_events(stage.pool(), "LNS-1", 2).await;
    let ids = event_ids(stage.pool()).await;
    let mark = async |lease| store.relay_mark_published(lease, &ids).await.unwrap();
    // Run out, though nobody has taken it yet.
    assert_eq!(mark(&stale).await, Hold::Lost);
    assert_eq!(store.lease_renew(&stale, term).await.unwrap(), Hold::Lost);

    let fresh = store.lease_acquire("x", "b", term).await.unwrap().unwrap();
    assert!(fresh.token() > stale.token());
    assert_eq!(mark(&stale).await, Hold::Lost);
    assert_eq!(unmarked(stage.pool()).await, 2);
    let mut txn = store.begin().await.unwrap();
    let guard = store.lease_guard_in_txn(&mut txn, &stale).await.unwrap();
    assert_eq!(guard, Hold::Lost);
    drop(txn);
    assert_eq!(
        store.lease_release(stale.clone()).await.unwrap(),
        Hold::Lost
    );

    assert_eq!(mark(&fresh).await, Hold::Held);
    assert_eq!(unmarked(stage.pool()).await, 0);
    assert_eq!(store.lease_release(fresh).await.unwrap(), Hold::Held);
    assert!(store.lease_acquire("x", "c", term).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lease_does_not_change_hands_under_a_transaction_that_guards_it() {
    let stage = Stage::new().await;
    let store = stage.database().store();
    let term = Duration::from_secs(60);
    let lease = store.lease_acquire("x", "a", term).await.unwrap().unwrap();
    let mut txn = store.begin().await.unwrap();
    let guard = store.lease_guard_in_txn(&mut txn, &lease).await.unwrap();
    assert_eq!(guard, Hold::Held);
    let mut other = stage.pool().begin().await.unwrap();
    sqlx::query("SET LOCAL lock_timeout = '100ms'")
        .execute(&mut *other)
        .await
        .unwrap();
    let taking = sqlx::query("UPDATE scheduler_lease SET token = token + 1")
        .execute(&mut *other)
        .await
        .unwrap_err();
    assert!(taking.to_string().contains("lock timeout"), "{taking}");
    store.commit(txn).await.unwrap();
}

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
        proxy.cut_after(
            lunas_tests::harness::Direction::ToServer,
            20_000 + round * 7_000,
        );
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
    assert!(proxy.opened() > opened, "the line was never cut");

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
async fn a_duty_that_panics_ends_the_term_and_the_next_goes_on() {
    let stage = Stage::new().await;
    write_events(stage.pool(), "LNS-1", 3).await;
    let fleet = Fleet::builder(&stage)
        .schedulers(1)
        .env("LUNAS_FAULT", "relay.published=panic@1");
    let mut fleet = fleet.start().await;
    all_marked(stage.pool()).await;
    assert!(fleet.scheduler(0).log().contains("A duty panicked"));
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
async fn partitions_that_are_missing_are_made() {
    let stage = Stage::new().await;
    let newest: String = sqlx::query_scalar(
        "SELECT 'payment_sync_logs_y' || to_char(month, 'YYYY') || 'm' || to_char(month, 'MM')
         FROM (SELECT (now() AT TIME ZONE 'UTC') + interval '2 months' AS month) AS newest",
    )
    .fetch_one(stage.pool())
    .await
    .unwrap();
    let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {newest}"));
    sqlx::raw_sql(drop).execute(stage.pool()).await.unwrap();
    let fleet = Fleet::builder(&stage).schedulers(1).start().await;
    let made = wait_for("the partition", BOUND, async || {
        sqlx::query_scalar::<_, bool>("SELECT to_regclass($1) IS NOT NULL")
            .bind(&newest)
            .fetch_one(stage.pool())
            .await
            .unwrap()
    });
    made.await;
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

async fn leads(fleet: &mut Fleet, index: usize) -> bool {
    fleet.scheduler(index).metric(LEADER, &[]).await == 1.0
}

/// Which of two schedulers leads.
async fn leader(fleet: &mut Fleet) -> usize {
    let found = wait_for("a leader", BOUND, async || {
        for index in 0..2 {
            if leads(fleet, index).await {
                return Some(index);
            }
        }
        None
    });
    found.await
}

async fn write_events<'e>(executor: impl sqlx::PgExecutor<'e>, order_code: &str, count: i32) {
    sqlx::query(
        "INSERT INTO domain_events (event_type, order_code, data, traceparent)
         SELECT 'order.paid', $1, $2, $3 FROM generate_series(1, $4)",
    )
    .bind(order_code)
    .bind(json!({"order_code": order_code, "status": "PAID", "at": "2026-03-14T02:12:41Z"}))
    .bind(TRACE)
    .bind(count)
    .execute(executor)
    .await
    .unwrap();
}

async fn event_ids(pool: &PgPool) -> Vec<i64> {
    let ids = sqlx::query_scalar("SELECT id FROM domain_events ORDER BY id");
    ids.fetch_all(pool).await.unwrap()
}

async fn unmarked(pool: &PgPool) -> i64 {
    let count = "SELECT count(*) FROM domain_events WHERE published_at IS NULL";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

async fn all_marked(pool: &PgPool) {
    let marked = wait_for(
        "every event to be marked",
        BOUND,
        async || match unmarked(pool).await {
            0 => Ok(()),
            waiting => Err(format!("{waiting} wait")),
        },
    );
    marked.await;
}

async fn expire_lease(pool: &PgPool) {
    sqlx::query("UPDATE scheduler_lease SET expires_at = now() - interval '1 second'")
        .execute(pool)
        .await
        .unwrap();
}

/// Somebody who listens to `lunas.events`.
struct Listener<'a> {
    stage: &'a Stage,
    queue: &'static str,
}

/// An event as a listener gets it.
struct Heard {
    id: i64,
    message_id: String,
    routing_key: String,
    traceparent: Option<String>,
    body: Value,
}

impl<'a> Listener<'a> {
    async fn on(stage: &'a Stage, queue: &'static str) -> Self {
        let channel = stage.broker().connection().await.create_channel().await;
        let channel = channel.unwrap();
        let options = QueueDeclareOptions::durable();
        let none = FieldTable::default;
        channel
            .queue_declare(queue.into(), options, none())
            .await
            .unwrap();
        let binding = QueueBindOptions::default();
        channel
            .queue_bind(
                queue.into(),
                "lunas.events".into(),
                "#".into(),
                binding,
                none(),
            )
            .await
            .unwrap();
        Self { stage, queue }
    }

    /// Everything that has arrived, in the order of arrival.
    async fn hear(&self) -> Vec<Heard> {
        let connection = self.stage.broker().connection().await;
        let channel = connection.create_channel().await.unwrap();
        let mut heard = Vec::new();
        loop {
            let got = channel
                .basic_get(self.queue.into(), BasicGetOptions::default())
                .await
                .unwrap();
            let Some(message) = got else { return heard };
            message.acker.ack(BasicAckOptions::default()).await.unwrap();
            let body: Value = serde_json::from_slice(&message.data).unwrap();
            let properties = &message.properties;
            let headers = properties.headers().as_ref().unwrap().inner();
            heard.push(Heard {
                id: body["id"].as_i64().unwrap(),
                message_id: properties.message_id().as_ref().unwrap().to_string(),
                routing_key: message.routing_key.to_string(),
                traceparent: match headers.get("traceparent") {
                    Some(AMQPValue::LongString(text)) => Some(text.to_string()),
                    _ => None,
                },
                body,
            });
        }
    }
}

/// Each exactly once, and those of one order in the order of their ids.
fn assert_in_line_once(heard: &[Heard], ids: &[i64]) {
    let mut all: Vec<i64> = heard.iter().map(|one| one.id).collect();
    all.sort_unstable();
    assert_eq!(all, ids);
    assert_first_hearings_in_line(heard);
}

/// Those of one order are heard for the first time in the order of their ids.
fn assert_first_hearings_in_line(heard: &[Heard]) {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for one in heard.iter().filter(|one| seen.insert(one.id)) {
        let order = one.body["order_code"].as_str().unwrap().to_owned();
        let before = newest.insert(order.clone(), one.id).unwrap_or(0);
        assert!(before < one.id, "{order}: {} after {before}", one.id);
    }
}
