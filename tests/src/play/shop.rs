//! How the shop sees an order: by the API, or by the store where no API runs.

use std::fmt;

use anyhow::Context as _;
use serde_json::Value;
use shared::store::Store;

/// Reads orders.
pub(super) struct Shop {
    http: reqwest::Client,
    api: Option<(String, String)>,
    store: Store,
}

/// An order at one moment; empty texts for what is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The order's status.
    pub order: String,
    /// The status of its newest payment.
    pub payment: String,
    /// Why a human must look at it.
    pub reasons: Vec<String>,
}

impl Shop {
    pub(super) fn open(http: reqwest::Client, api: Option<(String, String)>, store: Store) -> Self {
        Self { http, api, store }
    }

    /// The order now; nothing when there is none.
    pub(super) async fn order(&self, code: &str) -> anyhow::Result<Seen> {
        let found = match &self.api {
            Some((base, token)) => self.ask(base, token, code).await?,
            None => serde_json::to_value(self.store.read_order(code).await?)?,
        };
        Ok(Seen::of(&found))
    }

    async fn ask(&self, base: &str, token: &str, code: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/orders/{code}", base.trim_end_matches('/'));
        let answer = self.http.get(url).bearer_auth(token).send().await?;
        match answer.status().as_u16() {
            200 => answer.json().await.context("the API's answer is no order"),
            404 => Ok(Value::Null),
            status => anyhow::bail!("the API answered {status} for {code}"),
        }
    }
}

impl Seen {
    fn of(order: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let newest = order["payments"].as_array().and_then(|all| all.last());
        let reasons = order["review_reasons"].as_array();
        Self {
            order: text(&order["status"]),
            payment: newest
                .map(|payment| text(&payment["status"]))
                .unwrap_or_default(),
            reasons: reasons.into_iter().flatten().map(text).collect(),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.order.is_empty() {
            return f.write_str("no order");
        }
        f.write_str(&self.order)?;
        for word in std::iter::once(&self.payment).chain(&self.reasons) {
            if !word.is_empty() {
                write!(f, " {word}")?;
            }
        }
        Ok(())
    }
}
