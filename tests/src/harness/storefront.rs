//! Somebody who asks the api as the shop or as an operator does, and fills its shelves.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Fleet, FleetBuilder};

/// The token of the shop.
pub const SHOP_TOKEN: &str = "token-of-the-shop";
/// The token of an operator who may act.
pub const OPERATOR_TOKEN: &str = "token-of-an-operator";
/// The token of an operator who may look.
pub const VIEWER_TOKEN: &str = "token-of-a-viewer";

/// When the events of tests begin, unless they say otherwise.
const SOMEDAY: &str = "2099-07-18T19:00:00+07:00";

impl FleetBuilder {
    /// One api that knows the tokens of a [`Storefront`].
    #[must_use]
    pub fn selling(self) -> Self {
        let entry = |name: &str, role: &str, token: &str| {
            format!("{name}:{role}:{}", hex::encode(Sha256::digest(token)))
        };
        let tokens = [
            entry("web", "shop", SHOP_TOKEN),
            entry("ana", "viewer", VIEWER_TOKEN),
            entry("budi", "operator", OPERATOR_TOKEN),
        ];
        self.api(1).env("API_TOKENS", &tokens.join(","))
    }
}

/// The listeners of an api.
#[derive(Debug, Clone)]
pub struct Storefront {
    shop: SocketAddr,
    admin: SocketAddr,
    http: reqwest::Client,
}

/// What the api said.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// The content type.
    pub media: String,
    /// The JSON, or null for anything else.
    pub body: Value,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Storefront {
    /// That of the first api of a fleet.
    pub fn of(fleet: &mut Fleet) -> Self {
        let api = fleet.api(0);
        Self {
            shop: api.addr("API_ADDR"),
            admin: api.addr("ADMIN_ADDR"),
            http: reqwest::Client::new(),
        }
    }

    /// Asks with the shop's token.
    pub async fn shop(&self, method: Method, path: &str, body: Option<Value>) -> Said {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.ask(self.shop, SHOP_TOKEN, method, path, bytes, &[])
            .await
    }

    /// Asks with an operator's token.
    pub async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> Said {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.ask(self.admin, OPERATOR_TOKEN, method, path, bytes, &[])
            .await
    }

    /// Asks with the token of somebody who may only look.
    pub async fn viewer(&self, method: Method, path: &str, body: Option<Value>) -> Said {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.ask(self.admin, VIEWER_TOKEN, method, path, bytes, &[])
            .await
    }

    /// Posts any bytes as the shop, with headers.
    pub async fn post_raw(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Said {
        let body = Some(body.to_vec());
        self.ask(self.shop, SHOP_TOKEN, Method::POST, path, body, headers)
            .await
    }

    /// Places an order.
    pub async fn place(&self, user: &str, key: &str, items: Value) -> Said {
        let body = json!({ "user_id": user, "items": items, "idempotency_key": key });
        self.shop(Method::POST, "/api/orders", Some(body)).await
    }

    /// Reads an order.
    pub async fn order(&self, code: &str) -> Value {
        let said = self
            .shop(Method::GET, &format!("/api/orders/{code}"), None)
            .await;
        said.expect(200)
    }

    /// Puts a slot into the catalog, of an event that begins some day.
    pub async fn put_slot(&self, id: &str, capacity: i64, price: i64) {
        self.put_slot_at(id, SOMEDAY, capacity, price).await;
    }

    /// The same with the event's beginning.
    pub async fn put_slot_at(&self, id: &str, starts_at: &str, capacity: i64, price: i64) {
        let body = json!({ "name": format!("Slot {id}"), "starts_at": starts_at,
                           "capacity": capacity, "price": price });
        let path = format!("/admin/catalog/slots/{id}");
        self.operator(Method::PUT, &path, Some(body))
            .await
            .expect(200);
    }

    /// Puts a variant into the catalog.
    pub async fn put_variant(&self, sku: &str, stock: i64, price: i64) {
        let body = json!({ "name": format!("Variant {sku}"), "stock": stock, "price": price });
        let path = format!("/admin/catalog/variants/{sku}");
        self.operator(Method::PUT, &path, Some(body))
            .await
            .expect(200);
    }

    async fn ask(
        &self,
        addr: SocketAddr,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Said {
        let url = format!("http://{addr}{path}");
        let mut request = self.http.request(method, url).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.expect("the api answers");
        let status = answer.status().as_u16();
        let media = answer.headers().get("content-type");
        let media = media.and_then(|value| value.to_str().ok());
        let media = media.unwrap_or_default().to_owned();
        let bytes = answer.bytes().await.expect("a whole answer").to_vec();
        Said {
            status,
            media,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }
}

impl Said {
    /// The body, provided that the status is this one.
    ///
    /// # Panics
    /// When it is another one.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The problem document, provided that it is one with this status and code.
    ///
    /// # Panics
    /// When it is not.
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "wanted {code}: {}", self.body);
        assert_eq!(self.media, "application/problem+json");
        assert_eq!(self.body["code"], code, "{}", self.body);
        assert_eq!(self.body["type"], format!("urn:lunas:problem:{code}"));
        assert_eq!(self.body["status"], status);
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        self.body
    }
}

/// A line of an order: tickets.
pub fn tickets(slot_id: &str, quantity: i64) -> Value {
    json!({ "kind": "ticket", "slot_id": slot_id, "quantity": quantity })
}

/// A line of an order: products.
pub fn products(sku: &str, quantity: i64) -> Value {
    json!({ "kind": "product", "sku": sku, "quantity": quantity })
}
