//! Live events: nothing is lost, whatever happens to writers, listeners and the database.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Proxy, Stage, wait_for};
use serde_json::json;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::client::{OPERATOR, SHOP, VIEWER, api, assert_problem};
use crate::sse::{Heard, ask_for_stream, listen, tell};

const SHOP_STREAM: (&str, &str, &str) = ("API_ADDR", "/api/events", SHOP);
const ALL: (&str, &str, &str) = ("ADMIN_ADDR", "/admin/events", VIEWER);

/// Heartbeats come every 15 s.
const HEARTBEAT_BOUND: Duration = Duration::from_secs(25);

#[tokio::test]
async fn a_shop_hears_of_its_orders_and_operators_hear_everything() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    tell(pool, Some("LNS-1"), "order.reopened").await;
    let mut fleet = api(&stage).start().await;
    let path = "/api/events?order_code=LNS-1";
    let mut one = listen(&mut fleet, "API_ADDR", path, SHOP, None).await;
    let (listener, path, token) = SHOP_STREAM;
    let mut orders = listen(&mut fleet, listener, path, token, None).await;
    let (listener, path, token) = ALL;
    let mut all = listen(&mut fleet, listener, path, token, None).await;

    let orphan = tell(pool, None, "payment.refunded").await;
    let other = tell(pool, Some("LNS-2"), "order.paid").await;
    let own = tell(pool, Some("LNS-1"), "order.paid").await;
    let data = json!({"id": own, "type": "order.paid", "order_code": "LNS-1", "status": "PAID",
                      "at": "2026-03-14T02:12:41Z"});
    assert_eq!(one.event().await, (own, "order.paid".to_owned(), data));
    assert_eq!(orders.ids(2).await, [other, own]);
    let (id, event_type, data) = all.event().await;
    assert_eq!((id, event_type.as_str()), (orphan, "payment.refunded"));
    assert_eq!(data["order_code"], json!(null));
    assert_eq!(all.ids(2).await, [other, own]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_listener_resumes_after_what_it_heard_last() {
    let stage = Stage::new().await;
    let insert = "INSERT INTO domain_events (event_type, order_code, data)
                  SELECT 'order.paid', 'LNS-' || n % 2, '{}' FROM generate_series(1, 600) AS n";
    sqlx::query(insert).execute(stage.pool()).await.unwrap();
    let mut fleet = api(&stage).start().await;
    let (listener, path, token) = ALL;

    let mut after = listen(&mut fleet, listener, path, token, Some("5")).await;
    assert_eq!(after.ids(595).await, (6..=600).collect::<Vec<_>>());
    // The query says it too, and the header wins.
    let path = "/admin/events?last_event_id=1&order_code=LNS-0";
    let mut one = listen(&mut fleet, listener, path, token, Some("300")).await;
    let even: Vec<i64> = (302..=600).step_by(2).collect();
    assert_eq!(one.ids(even.len()).await, even);
    let path = "/api/events?last_event_id=597";
    let mut orders = listen(&mut fleet, "API_ADDR", path, SHOP, None).await;
    assert_eq!(orders.ids(3).await, [598, 599, 600]);

    // What happens now follows without a gap, and an id that never was begins from now.
    let mut restored = listen(&mut fleet, listener, "/admin/events", token, Some("9999")).await;
    let next = tell(stage.pool(), Some("LNS-0"), "order.paid").await;
    for stream in [&mut after, &mut one, &mut orders, &mut restored] {
        assert_eq!(stream.ids(1).await, [next]);
    }
    for bad in ["x", "-1", "1.5", "99999999999999999999"] {
        let answer = ask_for_stream(&mut fleet, listener, "/admin/events", token, Some(bad)).await;
        assert_problem(answer, 400, "invalid_parameter").await;
        let path = format!("/api/events?last_event_id={bad}");
        let answer = ask_for_stream(&mut fleet, "API_ADDR", &path, SHOP, None).await;
        assert_problem(answer, 400, "invalid_parameter").await;
    }
    let answer = ask_for_stream(&mut fleet, "API_ADDR", "/api/events", VIEWER, None).await;
    assert_problem(answer, 403, "forbidden").await;
    fleet.stop().await;
}

#[tokio::test]
async fn an_event_that_commits_after_one_with_a_higher_id_is_heard_in_its_place() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let mut fleet = api(&stage).start().await;
    let (listener, path, token) = ALL;
    let mut all = listen(&mut fleet, listener, path, token, None).await;

    // The younger transaction draws the smaller id and stays open.
    let mut older = writer(&stage).await;
    let mut younger = writer(&stage).await;
    let first = insert(&mut younger).await;
    let second = insert(&mut older).await;
    commit(older, "COMMIT").await;
    let third = tell(pool, Some("LNS-3"), "order.paid").await;
    looked_again(pool).await;
    commit(younger, "COMMIT").await;
    assert_eq!(all.ids(3).await, [first, second, third]);

    // The other way round, and one that rolls back holds nobody up for good.
    let mut older = writer(&stage).await;
    let mut younger = writer(&stage).await;
    let mut given_up = writer(&stage).await;
    let first = insert(&mut older).await;
    insert(&mut given_up).await;
    let third = insert(&mut younger).await;
    commit(younger, "COMMIT").await;
    looked_again(pool).await;
    commit(older, "COMMIT").await;
    assert_eq!(all.ids(1).await, [first]);
    looked_again(pool).await;
    commit(given_up, "ROLLBACK").await;
    assert_eq!(all.ids(1).await, [third]);

    // A transaction that wrote no event holds nobody up where there is no gap.
    let idle = writer(&stage).await;
    let next = tell(pool, Some("LNS-3"), "order.paid").await;
    assert_eq!(all.ids(1).await, [next]);
    commit(idle, "COMMIT").await;
    fleet.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_database_is_bridged_and_nothing_is_missed() {
    let stage = Stage::new().await;
    let proxy = Proxy::to(&stage.database().server_addr()).await;
    let url = stage.database().url_by_way_of(proxy.addr());
    let mut fleet = api(&stage).env("DATABASE_URL", &url).start().await;
    let (listener, path, token) = ALL;
    let mut all = listen(&mut fleet, listener, path, token, None).await;
    let before = tell(stage.pool(), Some("LNS-1"), "order.paid").await;
    assert_eq!(all.ids(1).await, [before]);

    proxy.refuse();
    let meanwhile = tell(stage.pool(), Some("LNS-1"), "order.refunded").await;
    let heartbeat = all.heard(HEARTBEAT_BOUND).await;
    assert_eq!(heartbeat, Some(Heard::Comment(String::new())));
    // A place that was known before the outage is known still; history cannot be read.
    let mut late = listen(&mut fleet, listener, path, token, Some("0")).await;
    proxy.restore();
    assert_eq!(all.ids(1).await, [meanwhile]);
    assert_eq!(late.ids(2).await, [before, meanwhile]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_listener_that_does_not_read_costs_nothing_and_catches_up() {
    const EVENTS: usize = 6_000;
    let stage = Stage::new().await;
    let mut fleet = api(&stage).start().await;
    let (listener, path, token) = ALL;
    let mut slow = listen(&mut fleet, listener, path, token, None).await;
    let mut quick = listen(&mut fleet, listener, path, token, None).await;
    let before = fleet.api(0).rss();
    for _ in 0..EVENTS / 1_000 {
        // 4 KiB each: far more than the buffers of a connection hold.
        let insert = "INSERT INTO domain_events (event_type, order_code, data)
                      SELECT 'order.paid', 'LNS-1', jsonb_build_object('pad', repeat('x', 4096))
                      FROM generate_series(1, 1000)";
        sqlx::query(insert).execute(stage.pool()).await.unwrap();
    }
    let expected: Vec<i64> = (1..=i64::try_from(EVENTS).unwrap()).collect();
    assert_eq!(quick.ids(EVENTS).await, expected);
    let grown = fleet.api(0).rss().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more");
    assert_eq!(slow.ids(EVENTS).await, expected);
    fleet.stop().await;
}

#[tokio::test]
async fn a_token_may_have_only_so_many_streams_and_they_end_when_the_api_does() {
    let stage = Stage::new().await;
    let mut fleet = api(&stage).env("API_STREAMS", "2").start().await;
    let (listener, path, token) = ALL;
    let mut first = listen(&mut fleet, listener, path, token, None).await;
    let second = listen(&mut fleet, listener, path, token, None).await;
    let third = ask_for_stream(&mut fleet, listener, path, token, None).await;
    assert_eq!(third.headers()["retry-after"], "60");
    assert_problem(third, 429, "too_many_streams").await;
    // Another token is not concerned, and a stream that ends makes room.
    let other = listen(&mut fleet, listener, path, OPERATOR, None).await;
    drop(second);
    wait_for("the stream's place to be free", BOUND, async || {
        let again = ask_for_stream(&mut fleet, listener, path, token, None).await;
        again.status() == 200
    })
    .await;

    fleet.api(0).sigterm();
    assert_eq!(first.heard(BOUND).await, None);
    // Well within what requests in hand may take: nothing had to be cut off.
    let ended = fleet.api(0).wait_exit(Duration::from_secs(10)).await;
    assert!(ended.success(), "{ended}");
    assert!(!fleet.api(0).log().contains("cut off"));
    drop(other);
}

/// A connection in a transaction that has its id.
async fn writer(stage: &Stage) -> PgConnection {
    let mut writer = PgConnection::connect(stage.database().url()).await.unwrap();
    let begin = "BEGIN; SELECT pg_current_xact_id()";
    sqlx::raw_sql(begin).execute(&mut writer).await.unwrap();
    writer
}

async fn insert(writer: &mut PgConnection) -> i64 {
    let insert = "INSERT INTO domain_events (event_type, order_code, data)
                  VALUES ('order.paid', 'LNS-3', '{}') RETURNING id";
    sqlx::query_scalar(insert).fetch_one(writer).await.unwrap()
}

async fn commit(mut writer: PgConnection, how: &'static str) {
    sqlx::raw_sql(how).execute(&mut writer).await.unwrap();
    writer.close().await.unwrap();
}

/// Returns when the api has asked for events twice from now on.
async fn looked_again(pool: &PgPool) {
    for _ in 0..2 {
        let now: time::OffsetDateTime = sqlx::query_scalar("SELECT clock_timestamp()")
            .fetch_one(pool)
            .await
            .unwrap();
        wait_for("the api to look for events", BOUND, async || {
            let looked = sqlx::query_scalar::<_, bool>(
                "SELECT EXISTS (SELECT FROM pg_stat_activity
                                WHERE datname = current_database()
                                  AND application_name = 'lunas-api' AND query_start > $1
                                  AND query LIKE '%FROM domain_events%')",
            );
            looked.bind(now).fetch_one(pool).await.unwrap()
        })
        .await;
    }
}
