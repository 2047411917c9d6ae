//! A fleet that is watched, and the inboxes that its alerts go to.

use std::process::Stdio;
use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, FleetBuilder, Inbox, Letter, Stage, program, wait_for};
use serde_json::Value;
use tokio::process::Command;

/// A fleet whose scheduler looks for conditions all the time and tells a webhook.
pub(crate) fn watched(stage: &Stage, inbox: &Inbox) -> FleetBuilder {
    Fleet::builder(stage)
        .env("ALERT_WEBHOOK_URL", &format!("{}/hook", inbox.url()))
        .jobs("alerts=200ms")
        // What is unlisted or risky is trusted: there is no gateway to ask.
        .env("CONFIRM_POLICY", "never")
}

/// The letters about a rule.
pub(crate) fn about(inbox: &Inbox, rule: &str) -> Vec<Letter> {
    let mut letters = inbox.letters();
    letters.retain(|letter| letter.body["alert"]["rule"] == rule);
    letters
}

/// Their kinds, in the order of arrival.
pub(crate) fn kinds(letters: &[Letter]) -> Vec<&str> {
    let kinds = letters.iter().map(|letter| letter.body["kind"].as_str());
    kinds.map(|kind| kind.unwrap_or("?")).collect()
}

/// Waits until the newest letter about a rule is of this kind; its alert.
pub(crate) async fn told(inbox: &Inbox, rule: &str, kind: &str) -> Value {
    let what = format!("{rule} to be {kind}");
    let letter = wait_for(&what, BOUND, async || {
        let letters = about(inbox, rule);
        match letters.last() {
            Some(last) if last.body["kind"] == kind => Ok(last.clone()),
            _ => Err(format!("{:?} of {:?}", kinds(&letters), inbox.letters())),
        }
    });
    letter.await.body["alert"].clone()
}

/// Waits until a condition that holds was looked for once more since its alert was opened.
pub(crate) async fn seen_again(stage: &Stage, rule: &str) {
    let what = format!("{rule} to be seen again");
    wait_for(&what, BOUND, async || {
        count_of(stage, rule, "last_seen_at > opened_at").await > 0
    })
    .await;
}

/// The story of a condition, told whole: it was opened and goes on; once `mend` is done it is
/// resolved; and nothing else was ever said or is still to be said of it.
pub(crate) async fn told_once(
    stage: &Stage,
    inbox: &Inbox,
    rule: &str,
    mend: impl AsyncFnOnce(),
) -> Value {
    let opened = told(inbox, rule, "opened").await;
    assert_eq!(opened["runbook"], format!("deploy/RUNBOOK.md#{rule}"));
    assert!(opened["since"].is_string() && opened["summary"].is_string());
    seen_again(stage, rule).await;
    mend().await;
    told(inbox, rule, "resolved").await;
    only_opened_and_resolved(stage, inbox, rule).await;
    opened
}

/// Nothing but one beginning and one end was told of a rule, or waits to be told.
pub(crate) async fn only_opened_and_resolved(stage: &Stage, inbox: &Inbox, rule: &str) {
    let letters = about(inbox, rule);
    assert_eq!(kinds(&letters), ["opened", "resolved"], "{letters:#?}");
    let messages: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM alert_messages m JOIN alerts a ON a.id = m.alert_id
         WHERE a.rule = $1",
    )
    .bind(rule)
    .fetch_one(stage.pool())
    .await
    .unwrap();
    assert_eq!(messages, 2);
}

/// Counts alerts of a rule.
pub(crate) async fn count_of(stage: &Stage, rule: &str, condition: &'static str) -> i64 {
    let query = format!("SELECT count(*) FROM alerts WHERE rule = $1 AND {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .bind(rule)
        .fetch_one(stage.pool())
        .await
        .unwrap()
}

/// Runs a statement, as something that happened elsewhere.
pub(crate) async fn run(stage: &Stage, statement: &'static str) {
    sqlx::raw_sql(statement)
        .execute(stage.pool())
        .await
        .unwrap();
}

/// Waits until an order has this status.
pub(crate) async fn until_order(stage: &Stage, code: &str, status: &str) {
    wait_for(&format!("{code} to be {status}"), BOUND, async || {
        let now = lunas_tests::harness::order_status(stage.pool(), code).await;
        if now == status { Ok(()) } else { Err(now) }
    })
    .await;
}

/// `lunas` with the stage's database; its exit code, what it printed, what it complained of.
pub(crate) async fn lunas(
    stage: &Stage,
    arguments: &[&str],
    env: &[(&str, &str)],
) -> (i32, Value, String) {
    let mut command = Command::new(program("lunas"));
    command
        .args(arguments)
        .arg("--json")
        .env("DATABASE_URL", stage.database().url())
        .env("AMQP_URL", stage.broker().url())
        .env("USER", "budi")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.expect("lunas ends in time").expect("lunas starts");
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), printed, complaint)
}
