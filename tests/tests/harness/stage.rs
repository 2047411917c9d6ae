//! Databases, virtual hosts and private servers of tests.

use lunas_tests::harness::{
    BOUND, Method, OrderRow, OwnService, Payment, Stage, order_status, wait_for,
};
use sqlx::Connection as _;

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
