//! Every alert has its section in the runbook, and every section an alert; and its commands work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use lunas_tests::harness::{Inbox, Method, Payment, SERVER_KEY, Shop, program, root};
use serde_json::json;
use shared::domain::alerts::{RUNBOOK, Rule};

use crate::support::run;

#[test]
fn every_alert_has_a_section_that_says_what_to_do() {
    let text = std::fs::read_to_string(root().join(RUNBOOK)).unwrap();
    let mut sections = BTreeSet::new();
    for section in text.split("\n## ").skip(1) {
        let (name, body) = section.split_once('\n').unwrap();
        if Rule::parse(name).is_none() {
            continue;
        }
        assert!(sections.insert(name), "{name} is there twice");
        for part in ["**Means:**", "**Look at:**", "**Mend:**"] {
            assert!(body.contains(part), "{name} does not say {part}");
        }
        assert!(body.contains("\n```sh\n"), "{name} has no command");
        let severity = Rule::parse(name).map(|rule| rule.severity().as_str().to_uppercase());
        assert!(
            body.contains(&severity.unwrap()),
            "{name} does not say how bad it is"
        );
    }
    let rules: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(sections, rules);
}

/// The order that the runbook's commands name.
const CODE: &str = "LNS-7K2M9QXA7K2M9QXA";

/// Commands that say by exit code 1 that they found something.
const FINDERS: [&str; 5] = ["doctor", "payments", "alerts list", "dlq", "jobs"];

#[tokio::test]
async fn every_command_of_the_runbook_does_what_it_says() {
    let shop = Shop::open_with(|fleet| fleet.workers(1).schedulers(1).jobs("alerts=off")).await;
    shop.order(CODE, 150_000).await;
    shop.charge(CODE, 150_000, json!({"payment_type": "gopay"}))
        .await;
    shop.step(CODE, "pay", json!({})).await;
    shop.until_order(CODE, json!({"status": "PAID"})).await;
    // What the commands name: an alert, a letter to look at, one to replay.
    let payload = Payment::new(Method::Gopay, CODE, 150_000)
        .settlement()
        .body();
    run(
        shop.stage(),
        "INSERT INTO alerts (id, dedupe_key, rule, severity, since, summary, runbook)
         OVERRIDING SYSTEM VALUE VALUES (17, 'x', 'stuck', 'high', now(), 'x', 'y')",
    )
    .await;
    for (id, reason) in [(42, "undecodable_body"), (43, "constraint_violation")] {
        sqlx::query(
            "INSERT INTO dead_letters (id, letter_key, queue, routing_key, payload, headers, reason,
                 fingerprint, attempts, order_code, first_failed_at, last_failed_at)
             OVERRIDING SYSTEM VALUE
             VALUES ($1, encode(sha256($2::text::bytea), 'hex'), 'lunas.webhooks', 'webhook.midtrans',
                     $3, '{}', $2, 'f', 1, $4, now(), now())",
        )
        .bind(id)
        .bind(reason)
        .bind(&payload)
        .bind(CODE)
        .execute(shop.stage().pool())
        .await
        .unwrap();
    }
    let folder = own_folder();
    std::fs::write(folder.join("catalog.csv"), CATALOG).unwrap();
    let inbox = Inbox::open().await;
    let hook = format!("{}/hook", inbox.url());
    let gateway = shop.sim.base_url();
    let env = [
        ("ALERT_WEBHOOK_URL", hook.as_str()),
        ("MIDTRANS_API_URL", gateway.as_str()),
        ("MIDTRANS_SERVER_KEY", SERVER_KEY),
    ];
    let text = std::fs::read_to_string(root().join(RUNBOOK)).unwrap();
    let mut done: Vec<&str> = Vec::new();
    for command in commands(&text) {
        if done.contains(&command) {
            continue;
        }
        done.push(command);
        let (code, complaint) = execute(&shop, command, &folder, &env).await;
        let finder = FINDERS
            .iter()
            .any(|name| command.starts_with(&format!("lunas {name}")));
        assert!(
            code == 0 || (code == 1 && finder),
            "{command}: {code}\n{complaint}"
        );
    }
    assert!(done.len() > 25, "{done:?}");
    std::fs::remove_dir_all(&folder).unwrap();
    shop.until_order(CODE, json!({"status": "PAID"})).await;
}

const CATALOG: &str = "id,sku,name,starts_at,capacity,stock,price\n,shirt,Shirt,,,40,90000\n";

/// The lines of the runbook's shell blocks.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("\n```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap_or("").lines());
    lines.filter(|line| !line.is_empty())
}

/// Runs a command by the shell, as an operator would; nobody is there to say yes.
async fn execute(shop: &Shop, command: &str, folder: &Path, env: &[(&str, &str)]) -> (i32, String) {
    let asks = [
        "lunas backfill --run",
        "lunas dlq replay",
        "lunas dlq discard",
    ];
    let yes = asks.iter().any(|ask| command.starts_with(ask)) && !command.contains("--dry-run");
    let programs = program("lunas").parent().unwrap().display().to_string();
    let yes = if yes { " --yes" } else { "" };
    let line = format!("PATH='{programs}':\"$PATH\"; {command}{yes}");
    let output = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder)
        .env("DATABASE_URL", shop.stage().database().url())
        .env("AMQP_URL", shop.stage().broker().url())
        .env("USER", "budi")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), complaint)
}

/// A folder of this test's own.
fn own_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lunas-runbook-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
