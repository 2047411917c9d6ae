//! The api's two listeners, asked as a shop and as its operator ask them.

use anyhow::Context as _;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

/// When the events begin that are sold here.
const SOMEDAY: &str = "2099-07-18T19:00:00+07:00";

/// Rupiah for one ticket.
const TICKET: i64 = 150_000;

/// Rupiah for one piece.
const PIECE: i64 = 90_000;

/// Where the api is and what opens it.
pub(in crate::play) struct Front {
    http: Client,
    shop: (String, String),
    admin: (String, String),
}

/// What the api answered.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// How many can be had: places of a slot, pieces of a variant.
pub(super) type Left = (i64, i64);

impl Front {
    /// Base URL and token of the shop's listener, and of the operators'.
    pub(in crate::play) fn new(
        http: Client,
        shop: (String, String),
        admin: (String, String),
    ) -> Self {
        Self { http, shop, admin }
    }

    /// Asks as the shop.
    pub(super) async fn shop(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        answer(self.request(&self.shop, method, path, body)).await
    }

    /// Asks as the operator.
    pub(super) async fn operator(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        answer(self.request(&self.admin, method, path, body)).await
    }

    /// Has Midtrans asked about an order.
    pub(in crate::play) async fn sync(&self, code: &str) -> anyhow::Result<()> {
        let path = format!("/admin/orders/{code}/sync-payment");
        let synced = self.operator(Method::POST, &path, None).await?;
        synced.expect(200).context(path).map(drop)
    }

    /// The bytes of something that is no JSON.
    pub(super) async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let request = self.request(&self.shop, Method::GET, path, None);
        let answer = request.send().await?;
        anyhow::ensure!(answer.status() == 200, "{path}: {}", answer.status());
        Ok(answer.bytes().await?.to_vec())
    }

    /// Puts a slot and a variant on sale.
    pub(super) async fn stock(&self, slot: &str, sku: &str, left: Left) -> anyhow::Result<()> {
        let concert = json!({ "name": "Concert", "starts_at": SOMEDAY,
                              "capacity": left.0, "price": TICKET });
        let shirt = json!({ "name": "Shirt", "stock": left.1, "price": PIECE });
        for (path, body) in [
            (format!("/admin/catalog/slots/{slot}"), concert),
            (format!("/admin/catalog/variants/{sku}"), shirt),
        ] {
            let put = self.operator(Method::PUT, &path, Some(body)).await?;
            put.expect(200).context(path)?;
        }
        Ok(())
    }

    /// What the catalog says can be had.
    pub(super) async fn left(&self, slot: &str, sku: &str) -> anyhow::Result<Left> {
        let (mut places, mut pieces) = (None, None);
        let mut path = "/api/catalog?limit=200".to_owned();
        loop {
            let page = self.shop(Method::GET, &path, None).await?.expect(200)?;
            for ware in page["items"].as_array().into_iter().flatten() {
                if ware["slot_id"] == slot {
                    places = ware["available"].as_i64();
                } else if ware["sku"] == sku {
                    pieces = ware["available"].as_i64();
                }
            }
            match page["next_cursor"].as_str() {
                Some(next) => path = format!("/api/catalog?limit=200&cursor={next}"),
                None => break,
            }
        }
        places.zip(pieces).context("the catalog lacks them")
    }

    fn request(
        &self,
        (base, token): &(String, String),
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> RequestBuilder {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let request = self.http.request(method, url).bearer_auth(token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }
}

async fn answer(request: RequestBuilder) -> anyhow::Result<Reply> {
    let answer = request.send().await?;
    Ok(Reply {
        status: answer.status().as_u16(),
        body: answer.json().await.context("the api answers no JSON")?,
    })
}

impl Reply {
    /// The body, if the status is this one.
    pub(super) fn expect(self, status: u16) -> anyhow::Result<Value> {
        let (seen, body) = (self.status, &self.body);
        anyhow::ensure!(
            seen == status,
            "the api answered {seen}, not {status}: {body}"
        );
        Ok(self.body)
    }

    /// The problem document, if it is this one.
    pub(super) fn problem(self, status: u16, code: &str) -> anyhow::Result<Value> {
        let body = self.expect(status)?;
        anyhow::ensure!(body["code"] == code, "no {code}: {body}");
        Ok(body)
    }
}
