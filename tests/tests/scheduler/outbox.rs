//! Both ends of the relay: rows put into the outbox, and somebody who listens to `lunas.events`.

use std::collections::{BTreeMap, BTreeSet};

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lunas_tests::harness::{BOUND, Fleet, Stage, wait_for};
use serde_json::{Value, json};
use sqlx::PgPool;

const LEADER: &str = "lunas_scheduler_leader";

/// The trace that every event belongs to.
pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) async fn leads(fleet: &mut Fleet, index: usize) -> bool {
    fleet.scheduler(index).metric(LEADER, &[]).await == 1.0
}

pub(crate) async fn write_events<'e>(
    executor: impl sqlx::PgExecutor<'e>,
    order_code: &str,
    count: i32,
) {
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

pub(crate) async fn event_ids(pool: &PgPool) -> Vec<i64> {
    let ids = sqlx::query_scalar("SELECT id FROM domain_events ORDER BY id");
    ids.fetch_all(pool).await.unwrap()
}

pub(crate) async fn unmarked(pool: &PgPool) -> i64 {
    let count = "SELECT count(*) FROM domain_events WHERE published_at IS NULL";
    sqlx::query_scalar(count).fetch_one(pool).await.unwrap()
}

pub(crate) async fn all_marked(pool: &PgPool) {
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

/// Somebody who listens to `lunas.events`.
pub(crate) struct Listener<'a> {
    stage: &'a Stage,
    queue: &'static str,
}

/// An event as a listener gets it.
pub(crate) struct Heard {
    pub(crate) id: i64,
    pub(crate) message_id: String,
    pub(crate) routing_key: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) body: Value,
}

impl<'a> Listener<'a> {
    pub(crate) async fn on(stage: &'a Stage, queue: &'static str) -> Self {
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
    pub(crate) async fn hear(&self) -> Vec<Heard> {
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
pub(crate) fn assert_in_line_once(heard: &[Heard], ids: &[i64]) {
    let mut all: Vec<i64> = heard.iter().map(|one| one.id).collect();
    all.sort_unstable();
    assert_eq!(all, ids);
    assert_first_hearings_in_line(heard);
}

/// Those of one order are heard for the first time in the order of their ids.
pub(crate) fn assert_first_hearings_in_line(heard: &[Heard]) {
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for one in heard.iter().filter(|one| seen.insert(one.id)) {
        let order = one.body["order_code"].as_str().unwrap().to_owned();
        let before = newest.insert(order.clone(), one.id).unwrap_or(0);
        assert!(before < one.id, "{order}: {} after {before}", one.id);
    }
}
