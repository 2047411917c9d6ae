//! Midtrans' own clients work against the simulator: PyPI's `midtransclient` and npm's
//! `midtrans-client`, at the versions pinned in `tests/clients`.
//!
//! They are installed under the target directory, once; later runs find them there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use lunas_tests::harness::tools::{self, INSTALL_BOUND};
use lunas_tests::sim::{SimOptions, Simulator};
use tokio::process::Command;

const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

/// Installing from a registry may be slow; running is not.
const RUN_BOUND: Duration = Duration::from_secs(60);

/// Steps both scripts print; a script that loses one fails the test.
const STEPS: usize = 10;

#[tokio::test]
async fn the_official_python_client_works() {
    let clients = clients().join("python");
    let requirements = clients.join("requirements.txt");
    let home = tools::python_home(cache(), "official-python", &requirements).await;
    let mut script = Command::new(home.join("bin/python"));
    script.arg(clients.join("official_client.py"));
    run_against_simulator(&mut script, "python").await;
}

#[tokio::test]
async fn the_official_node_client_works() {
    let clients = clients().join("node");
    let lock = clients.join("package-lock.json");
    let home = tools::home_of(cache(), "official-node", &lock);
    if !home.join("installed").exists() {
        std::fs::create_dir_all(&home).unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(clients.join(file), home.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
        tools::run_to_success(npm.current_dir(&home), INSTALL_BOUND).await;
        std::fs::write(home.join("installed"), "").unwrap();
    }
    let mut script = Command::new("node");
    script.arg(clients.join("official_client.js"));
    script.env("NODE_PATH", home.join("node_modules"));
    run_against_simulator(&mut script, "node").await;
}

/// Runs a script and checks that each of its steps said ok.
async fn run_against_simulator(script: &mut Command, name: &str) {
    let simulator = Simulator::start(SimOptions {
        server_key: KEY.into(),
        time_scale: 1_000.0,
        expiry_scale: Some(0.0),
        ..SimOptions::default()
    });
    let simulator = simulator.await.unwrap();
    script.arg(simulator.base_url()).arg(KEY);
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        script.env_remove(proxy);
    }
    let printed = tools::run_to_success(script, RUN_BOUND).await;
    let steps: Vec<&str> = printed.lines().collect();
    assert!(steps.iter().all(|line| line.ends_with(" ok")), "{printed}");
    assert_eq!(steps.len(), STEPS, "{name} printed {printed}");
    simulator.stop().await.unwrap();
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where clients are installed.
fn cache() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}
