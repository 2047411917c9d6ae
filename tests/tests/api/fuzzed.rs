//! A client made from `/openapi.json` asks for everything it says, in every way it says and in many
//! it does not: there is no answer that the document does not know, and none is an error of ours.
//!
//! The client is `schemathesis`, at the version pinned in `tests/clients`. It picks up whatever the
//! documents list; only streams, which do not end, are left to tests of their own.

use std::path::Path;
use std::time::Duration;

use lunas_tests::harness::tools::{python_home, run_to_end};
use lunas_tests::harness::{Fleet, OrderRow, SERVER_KEY, Stage, insert_slot, insert_variant};
use lunas_tests::sim::{SimOptions, Simulator};
use serde_json::Value;
use tokio::process::Command;

use crate::client::{OPERATOR, SHOP, api};
use crate::described::{document, operations};

/// What each answer is checked for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Most requests of the random phase for each operation.
const EXAMPLES: &str = "25";

/// Deterministic in what it asks; a run takes seconds for each dozen of operations.
const RUN_BOUND: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_client_made_from_the_description_meets_no_surprise() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/schemathesis");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = python_home(cache, "schemathesis", &clients.join("requirements.txt")).await;
    let stage = Stage::new().await;
    // What the examples of the document speak of: some requests find something.
    insert_slot(stage.pool(), "concert-1", 1_000).await;
    insert_variant(stage.pool(), "shirt-m", 1_000).await;
    let order = OrderRow::pending("LNS-7K2M9QXA", 150_000).tickets("concert-1", 2);
    order.insert(stage.pool()).await;
    let options = SimOptions {
        server_key: SERVER_KEY.to_owned(),
        expiry_scale: Some(0.0),
        ..SimOptions::default()
    };
    let midtrans = Simulator::start(options).await.unwrap();
    let mut fleet = api(&stage)
        .gateway(&midtrans.base_url())
        .env("MIDTRANS_RPS", "1000")
        .env("API_RPS", "100000")
        .start()
        .await;
    for (listener, token) in [("API_ADDR", SHOP), ("ADMIN_ADDR", OPERATOR)] {
        let described = document(&mut fleet, listener).await;
        let tested = operations(&described)
            .into_iter()
            .filter(|(_, _, operation)| !is_stream(operation))
            .count();
        let report = fuzz(&home, &mut fleet, listener, token, &described).await;
        // A client that tested nothing finds nothing.
        let said = format!("{tested} selected");
        assert!(report.contains(&said), "{listener}: not {said}:\n{report}");
    }
    assert!(!fleet.api(0).log().contains("panicked"));
    fleet.stop().await;
    midtrans.stop().await.unwrap();
}

/// Runs the client against a listener; what it reports.
async fn fuzz(
    home: &Path,
    fleet: &mut Fleet,
    listener: &str,
    token: &str,
    described: &Value,
) -> String {
    let addr = fleet.api(0).addr(listener);
    let mut client = Command::new(home.join("bin/st"));
    client
        .args(["--no-color", "run"])
        .arg(format!("http://{addr}/openapi.json"))
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--seed", "7", "--generation-deterministic"])
        .args(["--suppress-health-check", "all", "--warnings", "off"])
        // Side by side the client stumbles over its own interpreter.
        .args(["--workers", "1", "--request-timeout", "20"])
        .args(["--continue-on-failure"])
        .current_dir(home);
    for (path, _, operation) in operations(described) {
        if is_stream(&operation) {
            client.args(["--exclude-path", &path]);
        }
    }
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        client.env_remove(proxy);
    }
    let output = run_to_end(&mut client, RUN_BOUND).await;
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let found_nothing = output.status.success();
    assert!(found_nothing, "{listener}:\n{report}\n{complaint}");
    report
}

fn is_stream(operation: &Value) -> bool {
    operation["responses"]["200"]["content"]["text/event-stream"].is_object()
}
