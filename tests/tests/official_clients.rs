//! Midtrans' own clients work against the simulator: PyPI's `midtransclient` and npm's
//! `midtrans-client`, at the versions pinned in `tests/clients`.
//!
//! They are installed under the target directory, once; later runs find them there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lunas_tests::sim::{SimOptions, Simulator};
use tokio::process::Command;

const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

/// Installing from a registry may be slow; running is not.
const INSTALL_BOUND: Duration = Duration::from_secs(300);
const RUN_BOUND: Duration = Duration::from_secs(60);

/// Steps both scripts print; a script that loses one fails the test.
const STEPS: usize = 10;

#[tokio::test]
async fn the_official_python_client_works() {
    let clients = clients().join("python");
    let requirements = clients.join("requirements.txt");
    let home = cache("python", &requirements);
    if !home.join("installed").exists() {
        let mut venv = Command::new("python3");
        run(
            venv.args(["-m", "venv", "--clear"]).arg(&home),
            INSTALL_BOUND,
        )
        .await;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
        run(pip.arg(&requirements), INSTALL_BOUND).await;
        std::fs::write(home.join("installed"), "").unwrap();
    }
    let mut script = Command::new(home.join("bin/python"));
    script.arg(clients.join("official_client.py"));
    run_against_simulator(&mut script, "python").await;
}

#[tokio::test]
async fn the_official_node_client_works() {
    let clients = clients().join("node");
    let lock = clients.join("package-lock.json");
    let home = cache("node", &lock);
    if !home.join("installed").exists() {
        std::fs::create_dir_all(&home).unwrap();
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(clients.join(file), home.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
        run(npm.current_dir(&home), INSTALL_BOUND).await;
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
    let printed = run(script, RUN_BOUND).await;
    let steps: Vec<&str> = printed.lines().collect();
    assert!(steps.iter().all(|line| line.ends_with(" ok")), "{printed}");
    assert_eq!(steps.len(), STEPS, "{name} printed {printed}");
    simulator.stop().await.unwrap();
}

/// Runs a command to its end within a bound and returns what it printed.
async fn run(command: &mut Command, within: Duration) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let shown = format!("{command:?}");
    let output = tokio::time::timeout(within, command.output());
    let output = output.await.unwrap_or_else(|_| panic!("{shown}: too slow"));
    let output = output.unwrap_or_else(|error| panic!("{shown}: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}:\n{printed}\n{complaint}");
    printed
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where a client is installed; another set of versions gets another place.
fn cache(name: &str, pinned_by: &Path) -> PathBuf {
    use sha2::{Digest, Sha256};
    let versions = Sha256::digest(std::fs::read(pinned_by).unwrap());
    let version = hex::encode(&versions[..6]);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("official-{name}-{version}"))
}
