//! A shop with a till: a fleet with apis, and somebody who asks them to be paid.

use std::net::SocketAddr;

use lunas_tests::harness::{FleetBuilder, Kind, OrderRow, Shop};
use lunas_tests::sim::Call;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::Duration;

const TOKEN: &str = "token-of-the-shop";

/// What everything costs here.
pub(crate) const AMOUNT: i64 = 150_000;

/// A shop whose api may be asked.
pub(crate) struct Till {
    pub(crate) shop: Shop,
    client: reqwest::Client,
}

/// An answer of the api.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Till {
    /// One api, one worker.
    pub(crate) async fn open() -> Self {
        Self::open_with(|fleet| fleet.api(1)).await
    }

    pub(crate) async fn open_with(shape: impl FnOnce(FleetBuilder) -> FleetBuilder) -> Self {
        let tokens = format!("web:shop:{}", hex::encode(Sha256::digest(TOKEN)));
        let shop = Shop::open_with(|fleet| {
            let fleet = fleet.workers(1).env("API_TOKENS", &tokens).env_of(
                Kind::Api,
                "MIDTRANS_RPS",
                "500",
            );
            shape(fleet)
        });
        Self {
            shop: shop.await,
            client: reqwest::Client::new(),
        }
    }

    /// An order that nobody has begun to pay.
    pub(crate) async fn order(&self, code: &str) {
        let order = OrderRow::pending(code, AMOUNT).without_session();
        order.insert(self.shop.stage().pool()).await;
    }

    /// The same, with so much time left.
    pub(crate) async fn order_for(&self, code: &str, left: Duration) {
        let order = OrderRow::pending(code, AMOUNT).without_session();
        order
            .expires_in(left)
            .insert(self.shop.stage().pool())
            .await;
    }

    pub(crate) fn api(&mut self, nth: usize) -> SocketAddr {
        self.shop.fleet.api(nth).addr("API_ADDR")
    }

    /// Asks the first api for a payment.
    pub(crate) async fn pay(&mut self, body: Value) -> Answer {
        let api = self.api(0);
        self.pay_at(api, &body).await.unwrap()
    }

    pub(crate) async fn pay_at(&self, api: SocketAddr, body: &Value) -> reqwest::Result<Answer> {
        post(&self.client, api, "/api/payments", body).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let api = self.api(0);
        post(&self.client, api, path, body).await.unwrap()
    }

    /// The answer to so many clicks at once, spread over the apis.
    pub(crate) async fn click(
        &self,
        apis: &[SocketAddr],
        body: &Value,
        times: usize,
    ) -> Vec<Answer> {
        let clicks = (0..times).map(|n| {
            let (client, api, body) = (self.client.clone(), apis[n % apis.len()], body.clone());
            tokio::spawn(async move { post(&client, api, "/api/payments", &body).await.unwrap() })
        });
        let clicks: Vec<_> = clicks.collect();
        let mut answers = Vec::new();
        for click in clicks {
            answers.push(click.await.unwrap());
        }
        answers
    }

    /// Asks the first api what became of a payment.
    pub(crate) async fn check(&mut self, key: &str) -> Answer {
        let api = self.api(0);
        let url = format!("http://{api}/api/payments/{key}/status");
        let asked = self.client.get(url).bearer_auth(TOKEN).send().await;
        answer(asked.unwrap()).await
    }

    /// How often a call reached the gateway.
    pub(crate) fn calls(&self, call: Call, id: &str) -> usize {
        self.shop.sim.calls(call, id)
    }

    /// The gateway's transactions of a session, oldest first.
    pub(crate) async fn transactions(&self, session: &str) -> Vec<Value> {
        let path = format!("/sim/transactions?order_id={session}");
        let reply = self.shop.midtrans.get(&path).await.unwrap();
        reply.body["transactions"].as_array().unwrap().clone()
    }

    /// Ends a claim or a pause between two checks, as time would.
    pub(crate) async fn let_time_pass(&self, session: &str) {
        let query = "UPDATE payments SET checked_at = now() - interval '1 hour'
                     WHERE session_id = $1";
        let done = sqlx::query(query).bind(session);
        done.execute(self.shop.stage().pool()).await.unwrap();
    }

    pub(crate) async fn run(&self, sql: &'static str) {
        sqlx::query(sql)
            .execute(self.shop.stage().pool())
            .await
            .unwrap();
    }
}

async fn post(
    client: &reqwest::Client,
    api: SocketAddr,
    path: &str,
    body: &Value,
) -> reqwest::Result<Answer> {
    let request = client
        .post(format!("http://{api}{path}"))
        .bearer_auth(TOKEN)
        .json(body);
    Ok(answer(request.send().await?).await)
}

async fn answer(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        body: response.json().await.unwrap(),
    }
}

impl Answer {
    /// The payment, when the status is as wanted.
    #[track_caller]
    pub(crate) fn payment(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.body);
        if matches!(status, 200 | 201) && !self.body["duplicate"].is_null() {
            assert_eq!(
                self.body["duplicate"],
                json!(status == 200),
                "{}",
                self.body
            );
        }
        &self.body["payment"]
    }

    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> &Value {
        assert_eq!(
            (self.status, &self.body["code"]),
            (status, &json!(code)),
            "{}",
            self.body
        );
        &self.body
    }
}

/// A request for a payment.
pub(crate) fn by(code: &str, method: &str) -> Value {
    json!({"order_code": code, "method": method})
}

/// A request for a virtual account.
pub(crate) fn by_bank(code: &str, bank: &str) -> Value {
    json!({"order_code": code, "method": "bank_transfer", "bank": bank})
}
