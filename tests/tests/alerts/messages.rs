//! Messages: said again after the cooldown unless somebody knows, carried by whichever channel
//! works, and lost by no crash.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Fleet, Inbox, Kind, MailServer, OrderRow, Stage, wait_for};

use crate::support::{about, kinds, lunas, run, told, watched};

/// An order in review, put there by hand.
async fn trouble(stage: &Stage) {
    run(
        stage,
        "INSERT INTO orders (order_code, user_id, status, gross_amount, expires_at, review_reasons)
         VALUES ('LNS-A', 'u', 'REVIEW', 1000, now() + interval '1 day', '{amount_mismatch}')",
    )
    .await;
}

async fn end_of_trouble(stage: &Stage) {
    run(stage, "DELETE FROM orders").await;
}

fn mail_by(stage: &Stage, resend: &Inbox, smtp: &str) -> lunas_tests::harness::FleetBuilder {
    Fleet::builder(stage)
        .jobs("alerts=200ms")
        .env("ALERT_EMAIL", "ops@example.com,boss@example.com")
        .env("RESEND_API_KEY", "re_s3cret")
        .env("RESEND_FROM_EMAIL", "lunas@example.com")
        .env("RESEND_API_URL", &resend.url())
        .env("SMTP_URL", smtp)
        .schedulers(1)
}

#[tokio::test]
async fn what_holds_is_said_again_after_the_cooldown_until_somebody_knows() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let builder = watched(&stage, &inbox).env("ALERT_COOLDOWN", "1s");
    let fleet = builder.schedulers(1).start().await;
    trouble(&stage).await;
    let alert = told(&inbox, "order_in_review", "repeated").await;
    let id = alert["id"].to_string();
    let ack = [
        "alerts",
        "ack",
        id.as_str(),
        "--why",
        "calling the customer",
    ];
    let (code, printed, complaint) = lunas(&stage, &ack, &[]).await;
    assert_eq!(code, 0, "{printed} {complaint}");
    let acked = "SELECT count(*) FROM alert_messages";
    let before: i64 = sqlx::query_scalar(acked)
        .fetch_one(stage.pool())
        .await
        .unwrap();
    // Two cooldowns of looking bring nothing new.
    wait_for("two cooldowns", BOUND, async || {
        let passed = "SELECT last_seen_at > acked_at + interval '2 s' FROM alerts";
        sqlx::query_scalar::<_, bool>(passed)
            .fetch_one(stage.pool())
            .await
            .unwrap()
    })
    .await;
    let after: i64 = sqlx::query_scalar(acked)
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(before, after);
    end_of_trouble(&stage).await;
    told(&inbox, "order_in_review", "resolved").await;
    // Every message had a key of its own.
    let mut keys: Vec<String> = inbox
        .letters()
        .into_iter()
        .map(|letter| letter.key)
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), inbox.letters().len());
    fleet.finish().await;
}

#[tokio::test]
async fn mail_goes_by_resend_and_by_smtp_when_resend_refuses() {
    let (resend, smtp) = (Inbox::open().await, MailServer::open().await);
    let stage = Stage::new().await;
    let mut fleet = mail_by(&stage, &resend, &smtp.url()).start().await;
    trouble(&stage).await;
    wait_for("a mail by Resend", BOUND, async || {
        resend.letters().len() == 1
    })
    .await;
    let letter = resend.letters().remove(0);
    assert_eq!(
        (letter.path.as_str(), letter.authorization.as_str()),
        ("/emails", "Bearer re_s3cret")
    );
    assert_eq!(letter.body["from"], "lunas@example.com");
    assert_eq!(letter.body["to"].as_array().unwrap().len(), 2);
    assert_eq!(
        letter.body["subject"],
        "[Lunas] CRITICAL: order_in_review LNS-A"
    );
    assert!(
        letter.body["text"]
            .as_str()
            .unwrap()
            .contains("deploy/RUNBOOK.md#order_in_review")
    );
    assert_eq!(letter.body["headers"]["X-Entity-Ref-ID"], letter.key);
    assert!(smtp.mails().is_empty());

    resend.answer_with(500);
    end_of_trouble(&stage).await;
    wait_for("a mail by SMTP", BOUND, async || smtp.mails().len() == 1).await;
    let mail = smtp.mails().remove(0);
    assert_eq!(mail.receivers.len(), 2);
    assert!(
        mail.data
            .contains("Subject: [Lunas] RESOLVED: order_in_review LNS-A"),
        "{mail:?}"
    );
    assert!(mail.data.contains("Message-ID: <"), "{mail:?}");
    let metric = "lunas_alert_messages_total";
    let scheduler = fleet.scheduler(0);
    for labels in [
        ["channel=\"resend\"", "outcome=\"sent\""],
        ["channel=\"resend\"", "outcome=\"failed\""],
        ["channel=\"smtp\"", "outcome=\"sent\""],
    ] {
        assert!(scheduler.metric(metric, &labels).await >= 1.0, "{labels:?}");
    }
    let log = scheduler.log();
    assert!(!log.contains("re_s3cret"), "a key is in the log");
    fleet.finish().await;
}

#[tokio::test]
async fn a_message_that_no_channel_takes_is_tried_until_one_does() {
    let inbox = Inbox::open().await;
    inbox.answer_with(503);
    let stage = Stage::new().await;
    let fleet = watched(&stage, &inbox).schedulers(1).start().await;
    trouble(&stage).await;
    wait_for("a second attempt", BOUND, async || {
        let tried = "SELECT count(*) FROM alert_messages
                     WHERE attempts >= 2 AND last_error = 'answered 503'";
        sqlx::query_scalar::<_, i64>(tried)
            .fetch_one(stage.pool())
            .await
            .unwrap()
            == 1
    })
    .await;
    // Its end waits for its beginning, even when both are due.
    end_of_trouble(&stage).await;
    inbox.answer_with(204);
    told(&inbox, "order_in_review", "resolved").await;
    assert_eq!(
        kinds(&about(&inbox, "order_in_review")),
        ["opened", "resolved"]
    );
    fleet.finish().await;
}

#[tokio::test]
async fn a_crash_between_sending_and_marking_sends_the_same_message_again() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let mut fleet = watched(&stage, &inbox).workers(1).start().await;
    let env = [("LUNAS_FAULT", "alerts.sent=abort")];
    fleet.start(Kind::Scheduler, &env).await;
    trouble(&stage).await;
    fleet.scheduler(0).wait_exit(BOUND).await;
    assert_eq!(kinds(&about(&inbox, "order_in_review")), ["opened"]);
    fleet.start(Kind::Scheduler, &[]).await;
    // The claim of the one that died has to run out, after its lease.
    let bound = Duration::from_secs(90);
    wait_for("the same letter again", bound, async || {
        inbox.letters().len() == 2
    })
    .await;
    let letters = inbox.letters();
    assert_eq!(letters[0].key, letters[1].key);
    assert_eq!(letters[0].body["id"], letters[1].body["id"]);
    end_of_trouble(&stage).await;
    told(&inbox, "order_in_review", "resolved").await;
    assert_eq!(inbox.letters().len(), 3);
    fleet.stop().await;
}

#[tokio::test]
async fn a_crash_between_storing_and_sending_loses_nothing() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let mut fleet = watched(&stage, &inbox).workers(1).start().await;
    // Nothing gets out before the crash.
    let env = [
        ("LUNAS_FAULT", "alerts.stored=abort"),
        ("ALERT_WEBHOOK_URL", "http://127.0.0.1:9"),
    ];
    fleet.start(Kind::Scheduler, &env).await;
    trouble(&stage).await;
    fleet.scheduler(0).wait_exit(BOUND).await;
    assert!(inbox.letters().is_empty());
    fleet.start(Kind::Scheduler, &[]).await;
    crate::support::told_once(&stage, &inbox, "order_in_review", async || {
        end_of_trouble(&stage).await;
    })
    .await;
    fleet.finish().await;
}

#[tokio::test]
async fn of_two_schedulers_one_tells() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let fleet = watched(&stage, &inbox).schedulers(2).start().await;
    trouble(&stage).await;
    crate::support::told_once(&stage, &inbox, "order_in_review", async || {
        end_of_trouble(&stage).await;
    })
    .await;
    fleet.finish().await;
}

#[tokio::test]
async fn without_a_channel_alerts_are_stored_and_logged() {
    let stage = Stage::new().await;
    let builder = Fleet::builder(&stage).jobs("alerts=200ms");
    let mut fleet = builder.schedulers(1).start().await;
    OrderRow::pending("LNS-B", 1).insert(stage.pool()).await;
    trouble(&stage).await;
    crate::support::seen_again(&stage, "order_in_review").await;
    let log = fleet.scheduler(0).log();
    assert!(log.contains("No channel for alerts is set up"), "{log}");
    let opened = log
        .lines()
        .find(|line| line.contains("Alert opened"))
        .unwrap();
    assert!(
        opened.contains("WARN") && opened.contains("LNS-A"),
        "{opened}"
    );
    let open = ["rule=\"order_in_review\"", "severity=\"critical\""];
    let scheduler = fleet.scheduler(0);
    wait_for("the gauge", BOUND, async || {
        (scheduler.metric("lunas_alerts_open", &open).await - 1.0).abs() < 0.1
    })
    .await;
    end_of_trouble_but(&stage).await;
    fleet.finish().await;
}

async fn end_of_trouble_but(stage: &Stage) {
    run(stage, "DELETE FROM orders WHERE order_code = 'LNS-A'").await;
}
