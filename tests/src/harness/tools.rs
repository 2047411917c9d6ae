//! Programs of others that tests run: installed once, at pinned versions, and run within a bound.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::process::Command;

/// Installing from a registry may be slow.
pub const INSTALL_BOUND: Duration = Duration::from_secs(300);

/// Where something is installed under `cache`; another set of versions gets another place.
///
/// # Panics
/// When the file that names the versions cannot be read.
pub fn home_of(cache: &Path, name: &str, pinned_by: &Path) -> PathBuf {
    let pinned = std::fs::read(pinned_by).expect("the versions are pinned by a file");
    let versions = Sha256::digest(pinned);
    cache.join(format!("{name}-{}", hex::encode(&versions[..6])))
}

/// A Python environment with what `requirements` lists, made by whoever comes first.
///
/// # Panics
/// When it cannot be installed.
pub async fn python_home(cache: &Path, name: &str, requirements: &Path) -> PathBuf {
    let home = home_of(cache, name, requirements);
    if !home.join("installed").exists() {
        let mut venv = Command::new("python3");
        let venv = venv.args(["-m", "venv", "--clear"]).arg(&home);
        run_to_success(venv, INSTALL_BOUND).await;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
        run_to_success(pip.arg(requirements), INSTALL_BOUND).await;
        std::fs::write(home.join("installed"), "").expect("the mark can be written");
    }
    home
}

/// Runs a command to its end within a bound; what it printed.
///
/// # Panics
/// When it cannot be run, fails or takes too long.
pub async fn run_to_success(command: &mut Command, within: Duration) -> String {
    let output = run_to_end(command, within).await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let ended_well = output.status.success();
    assert!(ended_well, "{command:?}:\n{printed}\n{complaint}");
    printed
}

/// Runs a command to its end within a bound, however it ends.
///
/// # Panics
/// When it cannot be run or takes too long.
pub async fn run_to_end(command: &mut Command, within: Duration) -> Output {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let shown = format!("{command:?}");
    let output = tokio::time::timeout(within, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{shown}: too slow"));
    output.unwrap_or_else(|error| panic!("{shown}: {error}"))
}
