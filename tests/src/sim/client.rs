//! A small client of the simulator for tests, in-process or against the binary.
//!
//! It speaks to gateway paths and control paths alike and interprets nothing.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

/// Calls one simulator, authenticated with its server key.
#[derive(Clone)]
pub struct SimClient {
    base: String,
    server_key: String,
    http: reqwest::Client,
}

/// What the simulator answered.
#[derive(Clone, Debug)]
pub struct SimReply {
    /// HTTP status.
    pub status: u16,
    /// The body, or `null` when it is not JSON.
    pub body: Value,
}

impl SimClient {
    /// A client for the simulator at `base`, e.g. `http://127.0.0.1:9000`.
    pub fn new(base: &str, server_key: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(90))
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            server_key: server_key.to_owned(),
            http,
        })
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> anyhow::Result<SimReply> {
        self.send(self.http.get(self.url(path))).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<SimReply> {
        self.send(self.http.post(self.url(path)).json(&body)).await
    }

    /// `POST path` with a JSON body and one more header.
    pub async fn post_with(
        &self,
        path: &str,
        body: Value,
        header: (&str, &str),
    ) -> anyhow::Result<SimReply> {
        let request = self.http.post(self.url(path)).json(&body);
        self.send(request.header(header.0, header.1)).await
    }

    /// `DELETE path`.
    pub async fn delete(&self, path: &str) -> anyhow::Result<SimReply> {
        self.send(self.http.delete(self.url(path))).await
    }

    /// Charges; `extra` holds `payment_type` and its specific part, and may be any further field.
    pub async fn charge(
        &self,
        order_id: &str,
        gross_amount: i64,
        extra: Value,
    ) -> anyhow::Result<Value> {
        let reply = self
            .post("/v2/charge", charge_body(order_id, gross_amount, extra))
            .await?;
        Ok(reply.body)
    }

    /// A step of the control API on an order: `pay`, `expire`, `refund`, …; fails unless it was
    /// done.
    pub async fn step(&self, order_id: &str, step: &str, body: Value) -> anyhow::Result<Value> {
        let path = format!("/sim/orders/{order_id}/{step}");
        let reply = self.post(&path, body).await?;
        anyhow::ensure!(reply.status == 200, "{path}: {}", reply.body);
        Ok(reply.body)
    }

    /// Arms a trick and returns its number.
    pub async fn arm(&self, trick: Value) -> anyhow::Result<u64> {
        let reply = self.post("/sim/tricks", trick).await?;
        let id = reply.body["id"].as_u64();
        id.with_context(|| format!("the trick was refused: {}", reply.body))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<SimReply> {
        let request = request.basic_auth(&self.server_key, Some(""));
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(SimReply { status, body })
    }
}

/// A charge request from its common and its specific part.
pub fn charge_body(order_id: &str, gross_amount: i64, extra: Value) -> Value {
    let mut body = extra;
    body["transaction_details"] = json!({"order_id": order_id, "gross_amount": gross_amount});
    body
}
