//! What operators see and say of alerts: the admin API and `lunas alerts`.

use lunas_tests::harness::{Fleet, Inbox, MailServer, Stage, Storefront};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{lunas, run};

/// Three alerts that are open, and one that has ended.
async fn alerts(stage: &Stage) {
    run(
        stage,
        "INSERT INTO alerts (dedupe_key, rule, severity, order_code, amount, since, summary,
                             runbook, resolved_at)
         SELECT rule || n, rule, severity, 'LNS-' || n, 1000, now(), 'x', 'y',
                CASE WHEN n = 1 THEN now() END
         FROM (VALUES (1, 'stuck', 'high'), (2, 'order_in_review', 'critical'),
                      (3, 'order_in_review', 'critical'), (4, 'stuck', 'high'))
              AS v (n, rule, severity) ORDER BY n",
    )
    .await;
}

fn orders(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap().iter();
    items
        .map(|item| item["order_code"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_admin_api_lists_alerts_by_filter_and_page() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let front = Storefront::of(&mut fleet);
    alerts(&stage).await;
    for (query, expected) in [
        ("", vec!["LNS-4", "LNS-3", "LNS-2"]),
        ("?status=open&rule=stuck", vec!["LNS-4"]),
        ("?status=all&rule=stuck", vec!["LNS-4", "LNS-1"]),
        ("?severity=critical&limit=50", vec!["LNS-3", "LNS-2"]),
        ("?rule=database_down", vec![]),
    ] {
        let path = format!("/admin/alerts{query}");
        let answer = front.viewer(Method::GET, &path, None).await.expect(200);
        assert_eq!(orders(&answer), expected, "{query}");
        assert!(answer["next_cursor"].is_null());
    }
    let first = front
        .viewer(Method::GET, "/admin/alerts?limit=2", None)
        .await
        .expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/admin/alerts?limit=2&cursor={cursor}");
    let second = front.viewer(Method::GET, &path, None).await.expect(200);
    assert_eq!(
        (orders(&second), &second["next_cursor"]),
        (vec!["LNS-2".to_owned()], &Value::Null)
    );
    for query in ["status=new", "rule=x", "severity=low", "cursor=x"] {
        let path = format!("/admin/alerts?{query}");
        front
            .viewer(Method::GET, &path, None)
            .await
            .problem(400, "invalid_parameter");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn an_operator_acknowledges_an_alert_and_the_first_word_stays() {
    let stage = Stage::new().await;
    let mut fleet = Fleet::builder(&stage).selling().start().await;
    let front = Storefront::of(&mut fleet);
    alerts(&stage).await;
    let body = |why: &str| Some(json!({ "why": why }));
    let path = "/admin/alerts/2/ack";
    front
        .viewer(Method::POST, path, body("x"))
        .await
        .problem(403, "forbidden");
    let answer = front
        .operator(Method::POST, path, body("calling them"))
        .await
        .expect(200);
    assert_eq!(
        (&answer["acked_by"], &answer["ack_why"]),
        (&json!("budi"), &json!("calling them"))
    );
    let again = front
        .operator(Method::POST, path, body("me too"))
        .await
        .expect(200);
    assert_eq!(again, answer);
    for nobody in ["999", "x", "99999999999999999999"] {
        let path = format!("/admin/alerts/{nobody}/ack");
        front
            .operator(Method::POST, &path, body("x"))
            .await
            .problem(404, "alert_not_found");
    }
    for bad in [
        json!({}),
        json!({"why": " "}),
        json!({"why": "x", "by": "y"}),
    ] {
        front
            .operator(Method::POST, path, Some(bad))
            .await
            .problem(400, "invalid_body");
    }
    fleet.finish().await;
}

#[tokio::test]
async fn lunas_lists_and_acknowledges_alerts() {
    let stage = Stage::new().await;
    let (code, listed, _) = lunas(&stage, &["alerts", "list"], &[]).await;
    assert_eq!((code, listed), (0, json!({"items": []})));
    alerts(&stage).await;
    let (code, listed, _) = lunas(&stage, &["alerts", "list", "--severity", "high"], &[]).await;
    assert_eq!((code, orders(&listed)), (1, vec!["LNS-4".to_owned()]));
    let (_, listed, _) = lunas(&stage, &["alerts", "list", "--all"], &[]).await;
    assert_eq!(orders(&listed).len(), 4);

    let ack = ["alerts", "ack", "2", "3", "--why", "on it"];
    let (code, _, complaint) = lunas(&stage, &ack, &[]).await;
    assert!(code == 2 && complaint.contains("--yes"), "{complaint}");
    let ack = [&ack[..], &["--yes"]].concat();
    let (code, said, _) = lunas(&stage, &ack, &[]).await;
    assert_eq!(
        (code, said),
        (0, json!({"acked": [2, 3], "already": [], "unknown": []}))
    );
    let ack = ["alerts", "ack", "3", "77", "--why", "on it", "--yes"];
    let (code, said, complaint) = lunas(&stage, &ack, &[]).await;
    assert_eq!(
        (code, said),
        (1, json!({"acked": [], "already": [3], "unknown": [77]}))
    );
    assert!(complaint.contains("no alert 77"));
    let (code, _, _) = lunas(&stage, &["alerts", "ack", "2", "--why", " "], &[]).await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn lunas_tries_every_channel_and_says_how_each_answered() {
    let stage = Stage::new().await;
    let (http, smtp) = (Inbox::open().await, MailServer::open().await);
    let (code, _, complaint) = lunas(&stage, &["alerts", "test"], &[]).await;
    assert!(code == 2 && complaint.contains("No channel"), "{complaint}");
    let (code, _, complaint) = lunas(
        &stage,
        &["alerts", "test"],
        &[("RESEND_API_KEY", "re_s3cret")],
    )
    .await;
    assert!(
        code == 2 && complaint.contains("ALERT_EMAIL"),
        "{complaint}"
    );
    let env = [("ALERT_EMAIL", "ops@example.com")];
    let (code, _, complaint) = lunas(&stage, &["alerts", "test"], &env).await;
    assert!(code == 2 && complaint.contains("neither"), "{complaint}");

    let (base, hook, mail) = (http.url(), format!("{}/hook/t0ken", http.url()), smtp.url());
    let mut env = vec![
        ("ALERT_EMAIL", "ops@example.com"),
        ("RESEND_API_KEY", "re_s3cret"),
        ("RESEND_API_URL", base.as_str()),
        ("SMTP_URL", mail.as_str()),
        ("ALERT_WEBHOOK_URL", hook.as_str()),
    ];
    let (code, said, complaint) = lunas(&stage, &["alerts", "test"], &env).await;
    assert_eq!(code, 0, "{said} {complaint}");
    let sent = said["items"].as_array().unwrap().iter();
    let sent: Vec<Value> = sent
        .map(|item| json!([item["channel"], item["sent"]]))
        .collect();
    assert_eq!(
        json!(sent),
        json!([["resend", true], ["smtp", true], ["webhook", true]])
    );
    assert_eq!((http.letters().len(), smtp.mails().len()), (2, 1));

    http.answer_with(401);
    // Nobody listens there.
    env[3] = ("SMTP_URL", "smtp://user:p4ssw0rd@127.0.0.1:9");
    let (code, said, complaint) = lunas(&stage, &["alerts", "test"], &env).await;
    assert_eq!(code, 1, "{said} {complaint}");
    let errors = said.to_string() + &complaint;
    assert!(
        errors.contains("answered 401") && errors.contains("mail server"),
        "{errors}"
    );
    for secret in ["re_s3cret", "p4ssw0rd", "t0ken"] {
        assert!(!errors.contains(secret), "{secret} is shown: {errors}");
    }
}
