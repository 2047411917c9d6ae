//! Notifications as Midtrans sends them, built without the code under test.
//!
//! A [`Payment`] is one transaction: it keeps its ids and gives a [`Signed`] notification for each
//! status. What is special about a test is changed with [`Signed::field`] and its kin; the
//! signature is made when the body is asked for, so that it fits what was changed.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};

use super::fleet::SERVER_KEY;
use super::method::Method;
use super::{TestBroker, ledger::Identity};

/// One transaction of Midtrans for one session.
#[derive(Debug, Clone)]
pub struct Payment {
    method: Method,
    session: String,
    transaction_id: String,
    amount: i64,
}

impl Payment {
    /// A transaction with an id of its own; `session` is Midtrans' `order_id`.
    pub fn new(method: Method, session: &str, amount: i64) -> Self {
        Self {
            method,
            session: session.to_owned(),
            transaction_id: method.transaction_id(),
            amount,
        }
    }

    /// Midtrans' `order_id`.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Midtrans' `transaction_id`.
    pub fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    /// Rupiah.
    pub fn amount(&self) -> i64 {
        self.amount
    }

    /// Waiting for the customer.
    pub fn pending(&self) -> Signed {
        self.status("pending", "201")
    }

    /// Paid.
    pub fn settlement(&self) -> Signed {
        self.status("settlement", "200")
            .field("settlement_time", "2026-03-14 10:41:18")
    }

    /// A card charged; `accept`, or `challenge` for a human to look at.
    pub fn capture(&self, fraud: &str) -> Signed {
        let code = if fraud == "challenge" { "201" } else { "200" };
        self.status("capture", code).field("fraud_status", fraud)
    }

    /// A card's funds reserved.
    pub fn authorize(&self) -> Signed {
        self.status("authorize", "200")
    }

    /// Refused, or reversed after the settlement.
    pub fn deny(&self) -> Signed {
        self.status("deny", "202")
    }

    /// Voided.
    pub fn cancel(&self) -> Signed {
        self.status("cancel", "202")
    }

    /// Not paid in time.
    pub fn expire(&self) -> Signed {
        self.status("expire", "202")
    }

    /// The bank gave no answer.
    pub fn failure(&self) -> Signed {
        self.status("failure", "202")
    }

    /// The whole amount returned, with the refund's key `key`.
    pub fn refund(&self, key: &str) -> Signed {
        self.returned("refund", self.amount, key)
    }

    /// So much returned so far, the last part with the refund's key `key`.
    pub fn partial_refund(&self, so_far: i64, key: &str) -> Signed {
        self.returned("partial_refund", so_far, key)
    }

    /// A dispute took the money back.
    pub fn chargeback(&self) -> Signed {
        self.status("chargeback", "200")
    }

    /// Any status with any code.
    pub fn status(&self, status: &str, code: &str) -> Signed {
        let mut fields = self.method.fields(status);
        let common = json!({
            "transaction_time": "2026-03-14 10:20:11",
            "transaction_status": status,
            "transaction_id": self.transaction_id,
            "status_message": "midtrans payment notification",
            "status_code": code,
            "order_id": self.session,
            "merchant_id": "G812900451",
            "gross_amount": wire(self.amount),
            "currency": "IDR",
        });
        fields.extend(common.as_object().cloned().unwrap_or_default());
        Signed {
            fields,
            key: SERVER_KEY.to_owned(),
            signature: None,
        }
    }

    fn returned(&self, status: &str, so_far: i64, key: &str) -> Signed {
        let refunds = json!([{
            "refund_chargeback_id": 910_021,
            "refund_amount": wire(so_far),
            "created_at": "2026-03-15 09:00:11",
            "reason": "item out of stock",
            "refund_key": key,
        }]);
        let notification = self
            .status(status, "200")
            .field("refund_amount", wire(so_far));
        notification.field("refunds", refunds)
    }
}

/// A notification that will be signed with a server key.
#[derive(Debug, Clone)]
pub struct Signed {
    fields: Map<String, Value>,
    key: String,
    signature: Option<String>,
}

impl Signed {
    /// Sets or adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a field out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.remove(name);
        self
    }

    /// Signs with another server key.
    #[must_use]
    pub fn signed_with(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Carries this text instead of a genuine signature.
    #[must_use]
    pub fn with_signature(mut self, signature: &str) -> Self {
        self.signature = Some(signature.to_owned());
        self
    }

    /// The bytes on the wire; the same each time.
    pub fn body(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let signature = self
            .signature
            .clone()
            .unwrap_or_else(|| self.genuine_signature());
        fields.insert("signature_key".to_owned(), signature.into());
        Value::Object(fields).to_string().into_bytes()
    }

    /// What makes it distinct from other notifications.
    pub fn identity(&self) -> Identity {
        Identity::of(&Value::Object(self.fields.clone()))
    }

    /// The text of a field, empty when it is not a text.
    pub fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Posts it as Midtrans does; the answer's status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, url: &str) -> Result<u16, reqwest::Error> {
        post_bytes(&reqwest::Client::new(), url, self.body()).await
    }

    /// Puts it into the work queue as ingest does, without passing ingest.
    ///
    /// # Panics
    /// When the broker does not confirm it.
    pub async fn put_in_queue(&self, broker: &TestBroker) {
        put_bytes_in_queue(broker, &self.body()).await;
    }

    /// The signature over the four signed fields as they are on the wire.
    fn genuine_signature(&self) -> String {
        let mut hash = Sha512::new();
        for name in ["order_id", "status_code", "gross_amount"] {
            hash.update(self.text(name));
        }
        hash.update(&self.key);
        hex::encode(hash.finalize())
    }
}

/// Posts any bytes with the headers of a notification; the answer's status.
///
/// # Errors
/// When there is no answer.
pub async fn post_bytes(
    client: &reqwest::Client,
    url: &str,
    body: Vec<u8>,
) -> Result<u16, reqwest::Error> {
    let request = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("User-Agent", "Veritrans")
        .body(body);
    Ok(request.send().await?.status().as_u16())
}

/// Puts any bytes into the work queue with the headers that ingest gives.
///
/// # Panics
/// When the broker does not confirm the message.
pub async fn put_bytes_in_queue(broker: &TestBroker, body: &[u8]) {
    let now = time::OffsetDateTime::now_utc();
    let now = now.format(&time::format_description::well_known::Rfc3339);
    let now = now.expect("the present can be written as RFC 3339");
    let headers = [
        ("x-lunas-version", "1"),
        ("x-lunas-received-at", now.as_str()),
        ("x-lunas-source", "webhook"),
        ("x-lunas-attempt", "1"),
    ];
    broker
        .publish("lunas", "webhook.midtrans", &headers, body)
        .await;
}

/// The page of an ingest that takes notifications.
pub fn webhook_url(ingest: SocketAddr) -> String {
    format!("http://{ingest}/webhooks/midtrans")
}

/// An amount as Midtrans writes it.
pub fn wire(rupiah: i64) -> String {
    format!("{rupiah}.00")
}
