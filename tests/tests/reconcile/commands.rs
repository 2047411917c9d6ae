//! `lunas jobs`.

use std::process::Stdio;

use lunas_tests::harness::{Fleet, Stage, program};
use serde_json::{Value, json};

use crate::support::until;

/// Runs `lunas jobs`; its exit code and what it printed.
async fn jobs(stage: &Stage, arguments: &[&str]) -> (i32, Value) {
    let output = tokio::process::Command::new(program("lunas"))
        .arg("jobs")
        .args(arguments)
        .arg("--json")
        .env("DATABASE_URL", stage.database().url())
        .env("USER", "budi")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), printed)
}

#[tokio::test]
async fn a_job_is_run_by_hand_and_waited_for() {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage)
        .workers(1)
        .schedulers(1)
        .jobs("alerts=off")
        .start()
        .await;
    let (code, run) = jobs(&stage, &["run", "reconcile_links", "--wait"]).await;
    assert_eq!(
        (code, &run["status"], &run["requested_by"]),
        (0, &json!("done"), &json!("budi"))
    );
    let (code, listed) = jobs(&stage, &["list"]).await;
    assert_eq!(code, 0);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 6);
    let links = items
        .iter()
        .find(|item| item["name"] == "reconcile_links")
        .unwrap();
    assert_eq!(links["last_run"]["trigger"], "operator");
    assert_eq!(links["schedule"], "every 300s");
    fleet.finish().await;
}

#[tokio::test]
async fn a_second_run_is_refused_while_the_first_waits() {
    let stage = Stage::new().await;
    assert_eq!(jobs(&stage, &["run", "reconcile_links"]).await.0, 0);
    assert_eq!(jobs(&stage, &["run", "reconcile_links"]).await.0, 1);
    assert_eq!(jobs(&stage, &["run", "tea"]).await.0, 2);
}

#[tokio::test]
async fn a_paused_job_has_no_ticks_until_it_is_resumed() {
    let stage = Stage::new().await;
    let (code, told) = jobs(&stage, &["pause", "reconcile_links", "--why", "a restore"]).await;
    assert_eq!((code, told["changed"].as_bool()), (0, Some(true)));
    let fleet = Fleet::builder(&stage)
        .workers(1)
        .schedulers(1)
        .jobs("reconcile_links=300ms,expire_orders=300ms")
        .start()
        .await;
    let others = "SELECT count(*) > 3 FROM job_runs WHERE name = 'expire_orders'";
    until(stage.pool(), others, true).await;
    let links = "SELECT count(*) FROM job_runs WHERE name = 'reconcile_links'";
    until(stage.pool(), links, 0_i64).await;
    let (_, listed) = jobs(&stage, &["list"]).await;
    let items = listed["items"].as_array().unwrap();
    let paused = items
        .iter()
        .find(|item| item["name"] == "reconcile_links")
        .unwrap();
    assert_eq!(paused["pause"]["paused_by"], "budi");
    jobs(&stage, &["resume", "reconcile_links"]).await;
    let links = "SELECT count(*) > 0 FROM job_runs WHERE name = 'reconcile_links'";
    until(stage.pool(), links, true).await;
    fleet.finish().await;
}
