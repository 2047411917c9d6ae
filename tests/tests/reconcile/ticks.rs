//! Ticks of jobs: made once, by whoever leads, whatever dies.

use std::time::Duration;

use lunas_tests::harness::{Fleet, Kind, Stage, wait_for};
use sqlx::PgPool;

use crate::support::{LONG, until};

/// Every tick is in exactly one run: the ticks that the runs stand for are those that have passed.
async fn assert_no_tick_lost_or_doubled(pool: &PgPool, name: &str, seconds: i64) {
    let (covered, passed, runs): (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(covers)::bigint - (SELECT covers FROM job_runs WHERE name = $1
                                       ORDER BY scheduled_for LIMIT 1),
                (extract(epoch FROM max(scheduled_for) - min(scheduled_for)) / $2)::bigint,
                count(*)
         FROM job_runs WHERE name = $1 AND trigger = 'schedule'",
    )
    .bind(name)
    .bind(seconds)
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(covered, passed, "{runs} runs");
}

#[tokio::test]
async fn leaders_that_are_killed_every_three_seconds_lose_and_double_no_tick() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage)
        .workers(1)
        .schedulers(3)
        .jobs("reconcile_links=1s,expire_orders=2s")
        .start()
        .await;
    let pool = stage.pool().clone();
    for _ in 0..20 {
        if let Some(leader) = leader(&mut fleet).await {
            fleet.scheduler(leader).kill9().await;
            fleet.start_until(Kind::Scheduler, &[], "/livez").await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    wait_for("a leader after all that", LONG, async || {
        match leader(&mut fleet).await {
            Some(_) => Ok(()),
            None => Err("nobody leads"),
        }
    })
    .await;
    // One more tick, so that the last ones have been taken in.
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM job_runs")
        .fetch_one(&pool)
        .await
        .unwrap();
    wait_for("another tick", LONG, async || {
        let now: i64 =
            sqlx::query_scalar("SELECT count(*) FROM job_runs WHERE finished_at IS NOT NULL")
                .fetch_one(&pool)
                .await
                .map_err(|error| error.to_string())?;
        match now > seen {
            true => Ok(()),
            false => Err(now.to_string()),
        }
    })
    .await;
    assert_no_tick_lost_or_doubled(&pool, "reconcile_links", 1).await;
    assert_no_tick_lost_or_doubled(&pool, "expire_orders", 2).await;
    let overlapping: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM job_runs a JOIN job_runs b
         ON a.name = b.name AND a.id < b.id AND b.created_at < a.finished_at",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(overlapping, 0);
    fleet.finish().await;
}

/// The first scheduler that says it leads.
async fn leader(fleet: &mut Fleet) -> Option<usize> {
    let count = fleet
        .processes()
        .iter()
        .filter(|p| p.kind() == Kind::Scheduler)
        .count();
    for index in 0..count {
        let scheduler = fleet.scheduler(index);
        if scheduler.is_running() && scheduler.metric("lunas_scheduler_leader", &[]).await > 0.0 {
            return Some(index);
        }
    }
    None
}

#[tokio::test]
async fn a_scheduler_that_dies_between_row_and_message_loses_no_run() {
    for fault in ["scheduler.ticked=abort", "scheduler.published=abort"] {
        let stage = Stage::new().await;
        let mut fleet = Fleet::builder(&stage)
            .workers(1)
            .jobs("reconcile_links=1h")
            .start()
            .await;
        let env = [("LUNAS_FAULT", fault)];
        let dying = fleet.start_until(Kind::Scheduler, &env, "").await;
        dying.wait_exit(LONG).await;
        fleet.start(Kind::Scheduler, &[]).await;
        until(
            stage.pool(),
            "SELECT count(*) FROM job_runs WHERE status = 'done'",
            1_i64,
        )
        .await;
        let runs: i64 = sqlx::query_scalar("SELECT count(*) FROM job_runs")
            .fetch_one(stage.pool())
            .await
            .unwrap();
        assert_eq!(runs, 1, "{fault}");
        fleet.finish().await;
    }
}

#[tokio::test]
async fn no_tick_and_no_end_of_an_order_comes_before_its_time() {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage)
        .workers(1)
        .schedulers(1)
        .jobs("expire_orders=300ms")
        .start()
        .await;
    lunas_tests::harness::OrderRow::pending("LNS-1", 1_000)
        .without_session()
        .expires_in(time::Duration::minutes(50))
        .insert(stage.pool())
        .await;
    until(
        stage.pool(),
        "SELECT count(*) > 3 FROM job_runs WHERE status = 'done'",
        true,
    )
    .await;
    let status: String = sqlx::query_scalar("SELECT status FROM orders")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(status, "PENDING");
    let early: i64 =
        sqlx::query_scalar("SELECT count(*) FROM job_runs WHERE scheduled_for > created_at")
            .fetch_one(stage.pool())
            .await
            .unwrap();
    assert_eq!(early, 0);
    fleet.finish().await;
}

/// What makes a process see the time an hour too early or too late, but not its pauses.
async fn clock_off_by(hours: &str) -> Vec<(&'static str, String)> {
    let asked = tokio::process::Command::new("faketime")
        .args(["-f", hours, "printenv", "LD_PRELOAD"])
        .output();
    let library = String::from_utf8(asked.await.unwrap().stdout).unwrap();
    assert!(!library.trim().is_empty(), "faketime says no library");
    vec![
        ("LD_PRELOAD", library.trim().to_owned()),
        ("FAKETIME", hours.to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

#[tokio::test]
async fn a_wrong_clock_of_a_machine_closes_no_order_early_and_doubles_no_tick() {
    let stage = Stage::new().await;
    for (code, minutes) in [("LNS-SOON", 50), ("LNS-OVER", -10)] {
        lunas_tests::harness::OrderRow::pending(code, 1_000)
            .without_session()
            .expires_in(time::Duration::minutes(minutes))
            .insert(stage.pool())
            .await;
    }
    let jobs = "expire_orders=1s,reconcile_links=1s";
    let mut fleet = Fleet::builder(&stage).jobs(jobs).start().await;
    for (kind, hours) in [
        (Kind::Worker, "+1h"),
        (Kind::Scheduler, "+1h"),
        (Kind::Scheduler, "-1h"),
    ] {
        let env = clock_off_by(hours).await;
        let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
        fleet.start_until(kind, &env, "/livez").await;
    }
    let runs = "SELECT count(*) > 5 FROM job_runs WHERE status = 'done'";
    until(stage.pool(), runs, true).await;
    // Whoever leads, the next one sees another time.
    if let Some(leader) = leader(&mut fleet).await {
        fleet.scheduler(leader).kill9().await;
    }
    let runs = "SELECT count(*) > 15 FROM job_runs WHERE status = 'done'";
    until(stage.pool(), runs, true).await;
    assert_no_tick_lost_or_doubled(stage.pool(), "expire_orders", 1).await;
    assert_no_tick_lost_or_doubled(stage.pool(), "reconcile_links", 1).await;
    let statuses: Vec<(String, String)> =
        sqlx::query_as("SELECT order_code, status FROM orders ORDER BY order_code")
            .fetch_all(stage.pool())
            .await
            .unwrap();
    let statuses: Vec<(&str, &str)> = statuses
        .iter()
        .map(|(code, status)| (code.as_str(), status.as_str()))
        .collect();
    assert_eq!(statuses, [("LNS-OVER", "EXPIRED"), ("LNS-SOON", "PENDING")]);
    fleet.finish().await;
}
