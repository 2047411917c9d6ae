//! Who leads, for how long, and what somebody who does not lead any more can no longer do.

use std::time::{Duration, Instant};

use lunas_tests::harness::{BOUND, Fleet, Stage, wait_for};
use shared::store::lease::Hold;

use crate::outbox::{all_marked, event_ids, leads, unmarked, write_events};

/// A leader that was killed must be followed within this time.
const TAKEOVER: Duration = Duration::from_secs(15);

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

async fn expire_lease(pool: &sqlx::PgPool) {
    sqlx::query("UPDATE scheduler_lease SET expires_at = now() - interval '1 second'")
        .execute(pool)
        .await
        .unwrap();
}
