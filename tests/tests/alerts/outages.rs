//! Database and broker away: told by the one that led last, without the database if it must.

use lunas_tests::harness::{BOUND, Fleet, Inbox, Kind, Proxy, Stage, wait_for};

use crate::support::{about, count_of, kinds, lunas, told, watched};

async fn leads(fleet: &mut Fleet, index: usize) -> bool {
    let leads = fleet.scheduler(index).metric("lunas_scheduler_leader", &[]);
    leads.await > 0.5
}

/// Waits until one of the schedulers has noticed an outage as well and left it to the other.
async fn the_others_stay_silent(fleet: &mut Fleet) {
    wait_for("one to stay silent", BOUND, async || {
        let log = |fleet: &mut Fleet, index| fleet.scheduler(index).log();
        (0..2).any(|index| log(fleet, index).contains("for another scheduler to tell"))
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_away_is_told_once_though_nothing_can_be_stored() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let line = Proxy::to(&stage.database().server_addr()).await;
    let url = stage.database().url_by_way_of(line.addr());
    let mut fleet = watched(&stage, &inbox)
        .env_of(Kind::Scheduler, "DATABASE_URL", &url)
        .env("ALERT_DOWN_AFTER", "1s")
        .schedulers(2)
        .start()
        .await;
    let first = usize::from(!leads(&mut fleet, 0).await);
    wait_for("one to lead", BOUND, async || {
        leads(&mut fleet, first).await
    })
    .await;
    line.refuse();
    let alert = told(&inbox, "database_down", "opened").await;
    assert_eq!(alert["severity"], "critical");
    assert!(alert["id"].is_null(), "{alert}");
    the_others_stay_silent(&mut fleet).await;
    line.restore();
    let ended = told(&inbox, "database_down", "resolved").await;
    assert!(ended["resolved_at"].is_string());
    // It is part of the history all the same.
    wait_for("the record", BOUND, async || {
        count_of(&stage, "database_down", "resolved_at IS NOT NULL").await == 1
    })
    .await;
    assert_eq!(
        kinds(&about(&inbox, "database_down")),
        ["opened", "resolved"]
    );
    let (code, listed, _) = lunas(&stage, &["alerts", "list", "--all"], &[]).await;
    assert_eq!(
        (code, &listed["items"][0]["rule"]),
        (0, &"database_down".into())
    );
    assert!(!format!("{listed}").contains("postgres://"));
    fleet.finish().await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_told_once() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let line = Proxy::to(&stage.broker().server_addr()).await;
    let url = stage.broker().url_by_way_of(line.addr());
    let mut fleet = watched(&stage, &inbox)
        .env_of(Kind::Scheduler, "AMQP_URL", &url)
        .env("ALERT_DOWN_AFTER", "1s")
        .schedulers(2)
        .start()
        .await;
    line.refuse();
    let alert = told(&inbox, "broker_down", "opened").await;
    assert!(alert["id"].is_i64(), "{alert}");
    crate::support::seen_again(&stage, "broker_down").await;
    the_others_stay_silent(&mut fleet).await;
    line.restore();
    told(&inbox, "broker_down", "resolved").await;
    crate::support::only_opened_and_resolved(&stage, &inbox, "broker_down").await;
    fleet.finish().await;
}

#[tokio::test]
async fn a_broker_that_goes_after_the_database_is_told_without_it() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let database = Proxy::to(&stage.database().server_addr()).await;
    let broker = Proxy::to(&stage.broker().server_addr()).await;
    let fleet = watched(&stage, &inbox)
        .env_of(
            Kind::Scheduler,
            "DATABASE_URL",
            &stage.database().url_by_way_of(database.addr()),
        )
        .env_of(
            Kind::Scheduler,
            "AMQP_URL",
            &stage.broker().url_by_way_of(broker.addr()),
        )
        .env("ALERT_DOWN_AFTER", "1s")
        .schedulers(1)
        .start()
        .await;
    wait_for("a look", BOUND, async || {
        let leases = "SELECT count(*) FROM scheduler_lease";
        sqlx::query_scalar::<_, i64>(leases)
            .fetch_one(stage.pool())
            .await
            .unwrap()
            == 1
    })
    .await;
    database.stall();
    told(&inbox, "database_down", "opened").await;
    broker.refuse();
    told(&inbox, "broker_down", "opened").await;
    broker.restore();
    told(&inbox, "broker_down", "resolved").await;
    database.restore();
    told(&inbox, "database_down", "resolved").await;
    for rule in ["database_down", "broker_down"] {
        assert_eq!(kinds(&about(&inbox, rule)), ["opened", "resolved"]);
        wait_for("the record", BOUND, async || {
            count_of(&stage, rule, "resolved_at IS NOT NULL").await == 1
        })
        .await;
    }
    fleet.finish().await;
}

#[tokio::test]
async fn the_end_of_an_outage_is_told_by_whoever_leads_when_its_teller_died() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let line = Proxy::to(&stage.broker().server_addr()).await;
    let url = stage.broker().url_by_way_of(line.addr());
    let mut fleet = watched(&stage, &inbox)
        .env_of(Kind::Scheduler, "AMQP_URL", &url)
        .env("ALERT_DOWN_AFTER", "1s")
        .schedulers(1)
        .start()
        .await;
    line.refuse();
    told(&inbox, "broker_down", "opened").await;
    wait_for("the message to be marked", BOUND, async || {
        let sent = "SELECT count(*) FROM alert_messages WHERE sent_at IS NOT NULL";
        sqlx::query_scalar::<_, i64>(sent)
            .fetch_one(stage.pool())
            .await
            .unwrap()
            == 1
    })
    .await;
    fleet.scheduler(0).kill9().await;
    fleet.start_until(Kind::Scheduler, &[], "/livez").await;
    // The successor finds the broker away as well, and says nothing of it.
    wait_for("the successor to lead", BOUND, async || {
        leads(&mut fleet, 1).await
    })
    .await;
    line.restore();
    told(&inbox, "broker_down", "resolved").await;
    crate::support::only_opened_and_resolved(&stage, &inbox, "broker_down").await;
    fleet.finish().await;
}
