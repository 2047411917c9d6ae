//! What the tests of this story share: clients of the gateway, `lunas` as a process, a stand.

use std::process::Stdio;
use std::time::Duration;

use clap::Parser;
use lunas_tests::harness::{OrderRow, SERVER_KEY, Shop, Stage, TestDatabase, insert_slot, program};
use lunas_tests::sim::Simulator;
use serde_json::{Value, json};
use shared::config::GatewaySettings;
use shared::midtrans::Gateway;
use tokio::process::Command;

pub(crate) const PRICE: i64 = 150_000;
pub(crate) const SLOT: &str = "slot-1";

#[derive(Debug, Parser)]
struct Settings {
    #[command(flatten)]
    gateway: GatewaySettings,
}

/// A client as a process of its own has it: nothing is shared with others but the database.
pub(crate) fn gateway(database: &TestDatabase, sim: &Simulator, per_second: u32) -> Gateway {
    let settings = [
        "test".to_owned(),
        format!("--midtrans-api-url={}", sim.base_url()),
        format!("--midtrans-server-key={SERVER_KEY}"),
        format!("--midtrans-rps={per_second}"),
    ];
    let settings = Settings::parse_from(settings).gateway;
    Gateway::new(&settings, database.store()).unwrap()
}

/// Time that passes for the budget without anybody waiting for it.
pub(crate) async fn let_pass(database: &TestDatabase, seconds: f64) {
    let query = "UPDATE gateway_budget SET due_at = due_at - make_interval(secs => $1),
                     closed_until = closed_until - make_interval(secs => $1),
                     reduced_at = reduced_at - make_interval(secs => $1)";
    let shifted = sqlx::query(query).bind(seconds).execute(database.pool());
    shifted.await.unwrap();
}

/// An order of two tickets.
pub(crate) async fn order(shop: &Shop, code: &str) {
    let order = OrderRow::pending(code, PRICE).tickets(SLOT, 2);
    order.insert(shop.stage().pool()).await;
}

/// A slot with ten places.
pub(crate) async fn open_slot(shop: &Shop) {
    insert_slot(shop.stage().pool(), SLOT, 10).await;
}

/// A charge, and a payment, of which no notification tells.
pub(crate) async fn paid_in_silence(shop: &Shop, session: &str) {
    shop.trick(json!({"order_id": session, "drop": true})).await;
    shop.charge(session, PRICE, json!({"payment_type": "gopay"}))
        .await;
    shop.step(session, "pay", json!({})).await;
}

/// How many valid tickets an order has.
pub(crate) async fn tickets(shop: &Shop, code: &str) -> Value {
    let query = "SELECT to_jsonb(count(*)) FROM tickets t
                 JOIN order_items i ON i.id = t.order_item_id JOIN orders o ON o.id = i.order_id
                 WHERE o.order_code = $1 AND t.voided_at IS NULL";
    shop.row(query, code).await
}

/// What the log says operators did to an order: what, who, and the status before and after.
pub(crate) async fn log(shop: &Shop, name: &str) -> Value {
    let query = "SELECT coalesce(jsonb_agg(jsonb_build_array(
                     event_type, actor, from_status, to_status) ORDER BY id), '[]')
                 FROM payment_sync_logs
                 WHERE sync_type = 'admin' AND actor IS NOT NULL
                   AND (order_code = $1 OR session_id = $1)";
    shop.row(query, name).await
}

/// How a run of `lunas` ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The JSON it printed; fails unless it ended with the given code.
    #[track_caller]
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `lunas` to its end, with this gateway.
pub(crate) async fn lunas(stage: &Stage, gateway: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(program("lunas"));
    command
        .args(arguments)
        .env("DATABASE_URL", stage.database().url())
        .env("MIDTRANS_SERVER_KEY", SERVER_KEY)
        .env("MIDTRANS_API_URL", gateway)
        .env("MIDTRANS_RPS", "500")
        .env("USER", "siti")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let output = output.expect("lunas ends in time").expect("lunas starts");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
