//! A PostgreSQL or RabbitMQ that belongs to one test, which may therefore kill, freeze and restart
//! it. Made by `deploy/local/service.sh`, as the shared ones are.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::ground::{root, run_folder, unique_word};

/// A private server; it is destroyed with this value.
#[derive(Debug)]
pub struct OwnService {
    folder: PathBuf,
    start: &'static str,
    url: String,
    api: Option<String>,
}

impl OwnService {
    /// Starts a PostgreSQL.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn postgres() -> Self {
        Self::begin("start-postgres").await
    }

    /// Starts a RabbitMQ node; takes some seconds.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn rabbitmq() -> Self {
        Self::begin("start-rabbitmq").await
    }

    async fn begin(start: &'static str) -> Self {
        let folder = run_folder().join("services").join(unique_word());
        let mut service = Self {
            folder,
            start,
            url: String::new(),
            api: None,
        };
        let said = service.start().await;
        let value = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::to_owned)
        };
        service.url = value("url=").expect("a service says where it is");
        service.api = value("api=");
        service
    }

    /// Its address, as a user who may do everything.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of RabbitMQ's management API.
    ///
    /// # Panics
    /// When this is not a RabbitMQ.
    pub fn api(&self) -> &str {
        self.api
            .as_deref()
            .expect("only RabbitMQ has a management API")
    }

    /// Starts it again, on the same port with the same data; returns when it lets clients in.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) -> String {
        let mut arguments = Vec::new();
        if self.start == "start-postgres" {
            arguments.push("--throwaway");
        }
        self.tell(self.start, &arguments).await
    }

    /// Ends it in an orderly way; data stays.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&self) {
        self.tell("stop", &[]).await;
    }

    /// Ends it as a crash does; data stays.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn kill9(&self) {
        self.tell("kill", &[]).await;
    }

    /// Freezes it: connections stay open and nobody answers.
    ///
    /// # Panics
    /// When it cannot be frozen.
    pub async fn freeze(&self) {
        self.tell("pause", &[]).await;
    }

    /// Ends the freeze.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn thaw(&self) {
        self.tell("resume", &[]).await;
    }

    /// Raises RabbitMQ's memory alarm, which blocks every publishing connection.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn raise_memory_alarm(&self) {
        self.rabbitmqctl(&["set_vm_memory_high_watermark", "0.000001"])
            .await;
    }

    /// Ends the memory alarm.
    ///
    /// # Panics
    /// When the node refuses.
    pub async fn clear_memory_alarm(&self) {
        self.rabbitmqctl(&["set_vm_memory_high_watermark", "0.4"])
            .await;
    }

    /// Runs `rabbitmqctl` for the node and returns what it said.
    ///
    /// # Panics
    /// When it fails.
    pub async fn rabbitmqctl(&self, arguments: &[&str]) -> String {
        self.tell("rabbitmqctl", arguments).await
    }

    async fn tell(&self, command: &str, arguments: &[&str]) -> String {
        let mut call = tokio::process::Command::from(self.call(command));
        let output = call.args(arguments).output().await;
        said(command, output)
    }

    fn call(&self, command: &str) -> Command {
        let mut call = Command::new(root().join("deploy/local/service.sh"));
        call.arg(command).arg(&self.folder).stdin(Stdio::null());
        call
    }
}

impl Drop for OwnService {
    fn drop(&mut self) {
        // Nothing to do about a failure here; `tests/run.sh` goes through the folder at its end.
        let _ = self.call("destroy").output();
    }
}

fn said(command: &str, output: std::io::Result<Output>) -> String {
    let output = output.expect("deploy/local/service.sh can be run");
    assert!(
        output.status.success(),
        "service.sh {command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
