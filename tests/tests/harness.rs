//! The harness itself, against real servers: what the other suites trust must be able to fail.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

use std::time::Duration;

use bytes::Bytes;
use lunas_tests::harness::{
    BOUND, Direction, Expect, Fleet, Kind, Ledger, Method, OrderRow, OwnService, Payment, Proxy,
    SERVER_KEY, Stage, audit, order_status, try_wait_for, wait_for,
};
use shared::domain::{RawNotification, ServerKeys};
use sqlx::Connection as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = tokio::join!(Stage::new(), Stage::new());
    OrderRow::pending("LNS-1", 100).insert(one.pool()).await;
    assert_eq!(order_status(one.pool(), "LNS-1").await, "PENDING");
    let elsewhere: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(other.pool())
        .await
        .unwrap();
    assert_eq!(elsewhere, 0);
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let stage = Stage::new().await;
    let url = stage.database().url().to_owned();
    drop(stage);
    let gone = sqlx::PgConnection::connect(&url).await.unwrap_err();
    assert!(gone.to_string().contains("does not exist"), "{gone}");
}

#[tokio::test]
async fn a_virtual_host_carries_the_topology_and_goes_with_its_test() {
    let stage = Stage::new().await;
    let broker = stage.broker();
    assert!(broker.waiting().await.unwrap().is_empty());
    Payment::new(Method::Gopay, "LNS-1", 100)
        .pending()
        .put_in_queue(broker)
        .await;
    assert_eq!(broker.depth("lunas.webhooks").await, 1);
    let taken = broker.take_all("lunas.webhooks").await;
    assert_eq!(taken[0].headers["x-lunas-source"], "webhook");
    assert_eq!(broker.depth("lunas.webhooks").await, 0);

    let url = broker.url().to_owned();
    drop(stage);
    let gone = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await;
    assert!(gone.is_err());
}

#[test]
fn every_method_and_status_carries_a_signature_that_verifies() {
    let keys: ServerKeys = SERVER_KEY.parse().unwrap();
    for method in Method::ALL {
        let payment = Payment::new(method, "LNS-1", 150_000);
        let notifications = [
            payment.pending(),
            payment.settlement(),
            payment.capture("challenge"),
            payment.deny(),
            payment.expire(),
            payment.refund("key-1"),
        ];
        for sent in notifications {
            let verified = RawNotification::new(Bytes::from(sent.body())).verify(&keys);
            assert!(verified.is_ok(), "{method:?}: {:?}", verified.err());
            let forged = sent.signed_with("another key").body();
            assert!(
                RawNotification::new(Bytes::from(forged))
                    .verify(&keys)
                    .is_err()
            );
        }
    }
}

#[tokio::test]
async fn a_wait_says_what_it_saw_last() {
    let mut looks = 0;
    let seen = try_wait_for(Duration::from_millis(50), async || {
        looks += 1;
        Err::<(), _>(format!("look {looks}"))
    });
    assert!(seen.await.unwrap_err().starts_with("look "));
    assert!(looks > 1);
    let stuck = try_wait_for(Duration::from_millis(50), async || {
        std::future::pending::<Option<()>>().await
    });
    assert!(stuck.await.unwrap_err().contains("did not end"));
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

#[tokio::test]
async fn a_proxy_breaks_the_line_in_every_way() {
    let server = echo().await;
    let proxy = Proxy::to(&server).await;
    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut line, b"one").await.unwrap(), b"one");
    assert_eq!((proxy.opened(), proxy.passed(Direction::ToClient)), (1, 3));

    proxy.stall();
    let stalled = tokio::time::timeout(Duration::from_millis(100), ask(&mut line, b"two"));
    assert!(stalled.await.is_err());
    proxy.restore();
    let mut answer = [0; 3];
    line.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"two");

    proxy.cut();
    assert!(ask(&mut line, b"x").await.is_err());

    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.cut_after(Direction::ToServer, 2);
    assert!(ask(&mut line, b"three").await.is_err());
    assert_eq!(proxy.passed(Direction::ToServer), 3 + 3 + 2);
    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut line, b"four").await.unwrap(), b"four");

    proxy.refuse();
    wait_for("connections to be refused", BOUND, async || {
        TcpStream::connect(proxy.addr()).await.is_err()
    })
    .await;
    proxy.restore();
    wait_for("connections to be taken again", BOUND, async || {
        TcpStream::connect(proxy.addr()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_private_postgresql_survives_a_crash_with_its_data() {
    let stage = Stage::with_own_postgres().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    stage.postgres().kill9().await;
    assert!(
        sqlx::PgConnection::connect(stage.database().url())
            .await
            .is_err()
    );
    stage.postgres().start().await;
    wait_for("the pool to find the server again", BOUND, async || {
        sqlx::query("SELECT 1")
            .execute(stage.pool())
            .await
            .map(|_| ())
    })
    .await;
    assert_eq!(order_status(stage.pool(), "LNS-1").await, "PENDING");
}

#[tokio::test]
async fn a_private_rabbitmq_survives_a_crash_with_its_messages() {
    let stage = Stage::with_own_rabbitmq().await;
    Payment::new(Method::Gopay, "LNS-1", 100)
        .pending()
        .put_in_queue(stage.broker())
        .await;
    stage.rabbitmq().kill9().await;
    stage.rabbitmq().start().await;
    // A quorum queue elects its leader anew after the start.
    let depth = async || {
        let waiting = stage.broker().waiting().await?;
        waiting
            .get("lunas.webhooks")
            .copied()
            .ok_or_else(|| format!("{waiting:?}"))
    };
    assert_eq!(
        wait_for("the message to be there again", BOUND, depth).await,
        1
    );
    stage.rabbitmq().raise_memory_alarm().await;
    assert!(
        stage
            .rabbitmq()
            .rabbitmqctl(&["status"])
            .await
            .contains("Memory alarm")
    );
    stage.rabbitmq().clear_memory_alarm().await;
}

#[tokio::test]
async fn a_service_leaves_no_process_behind() {
    let service = OwnService::postgres().await;
    let url = service.url().to_owned();
    drop(service);
    assert!(sqlx::PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn a_ledger_sees_what_is_missing_double_or_strange() {
    let stage = Stage::new().await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 100);
    let mut ledger = Ledger::new();
    ledger.note(&payment.pending(), Some(200));
    ledger.note(&payment.pending(), Some(200));
    ledger.note(&payment.settlement(), None);
    assert_eq!(ledger.accepted(), 1);
    let bound = Duration::from_millis(100);
    let missing = try_wait_for(bound, async || recorded(&stage).await == 1).await;
    assert!(missing.is_err());

    record(&stage, &payment.pending().body(), 1).await;
    ledger.wait_until_recorded(stage.pool(), BOUND).await;
    ledger.assert_settled(stage.pool()).await;

    record(&stage, &payment.pending().body(), 2).await;
    assert!(
        settled_fails(&ledger, &stage)
            .await
            .contains("recorded 2 times")
    );
    sqlx::query("TRUNCATE payment_webhook_events")
        .execute(stage.pool())
        .await
        .unwrap();
    assert!(
        settled_fails(&ledger, &stage)
            .await
            .contains("recorded 0 times")
    );
    record(&stage, &payment.cancel().body(), 3).await;
    assert!(settled_fails(&ledger, &stage).await.contains("never sent"));
}

#[tokio::test]
async fn the_audit_passes_an_order_that_was_paid_and_finds_what_is_wrong() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    audit::assert_invariants(stage.pool()).await;
    let broken = [
        (
            "UPDATE orders SET status = 'EXPIRED', session_id = 'elsewhere'",
            "session is a session",
        ),
        (
            "UPDATE orders SET session_id = NULL, status = 'PAID', paid_at = now()",
            "projection",
        ),
        (
            "INSERT INTO payment_transactions (payment_id, midtrans_transaction_id, status,
          gross_amount) SELECT id, 't', 'settlement', 99 FROM payments",
            "right amount",
        ),
        (
            "UPDATE payments SET status = 'settlement'",
            "without paid_at",
        ),
        (
            "UPDATE orders SET status = 'REVIEW', review_reasons = '{reversed}'",
            "in review exactly",
        ),
        (
            "UPDATE payments SET origin = 'webhook', session_id = 'LNS-2-1'",
            "belongs to",
        ),
    ];
    for (statement, finds) in broken {
        sqlx::query(statement).execute(stage.pool()).await.unwrap();
        let found = audit::violations(stage.pool()).await;
        assert!(
            found.iter().any(|line| line.contains(finds)),
            "{statement}: {found:#?}"
        );
    }
    sqlx::raw_sql(
        "UPDATE orders SET status = 'PAID', review_reasons = '{}';
         UPDATE payments SET paid_at = now(), session_id = 'LNS-1-2';
         UPDATE payment_transactions SET gross_amount = 100",
    )
    .execute(stage.pool())
    .await
    .unwrap();
    audit::assert_invariants(stage.pool()).await;
    for seconds in [1, 2] {
        record(&stage, b"{}", seconds).await;
    }
    let found = audit::violations(stage.pool()).await;
    assert!(
        found.iter().any(|line| line.contains("2 rows of")),
        "{found:#?}"
    );
}

async fn settled_fails(ledger: &Ledger, stage: &Stage) -> String {
    let (ledger, pool) = (ledger.clone(), stage.pool().clone());
    let failed = tokio::spawn(async move { ledger.assert_settled(&pool).await })
        .await
        .unwrap_err();
    *failed.into_panic().downcast::<String>().unwrap()
}

async fn recorded(stage: &Stage) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM payment_webhook_events");
    count.fetch_one(stage.pool()).await.unwrap()
}

async fn record(stage: &Stage, body: &[u8], seconds: i64) {
    sqlx::query(
        "INSERT INTO payment_webhook_events (event_key, received_at, order_id,
            midtrans_transaction_id, raw_body, processed, verdict)
         VALUES (sha256($1), now() + make_interval(secs => $2), 'LNS-1', 't',
                 convert_from($1, 'UTF8')::jsonb, true, 'applied')",
    )
    .bind(body)
    .bind(seconds as f64)
    .execute(stage.pool())
    .await
    .unwrap();
}

async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = line.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn ask(line: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
    line.write_all(words).await?;
    let mut answer = vec![0; words.len()];
    line.read_exact(&mut answer).await?;
    Ok(answer)
}
