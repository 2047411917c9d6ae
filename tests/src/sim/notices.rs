//! Notifications other than the classic one: account linking, subscriptions, payouts, BI-SNAP
//! (`midtrans.md` 2.2 to 2.5). Signed here, independently of the code under test, and sent once.
//!
//! Reference: the documentation of the module [`crate::sim`].

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::control::{Outcome, Trouble, parse};
use super::world::World;

type Shared = State<Arc<World>>;

/// The payouts' merchant key: made up.
pub const PAYOUT_KEY: &str = "IRIS-merchant-7c1d9e52-demo";

/// When everything is said to be signed.
const STAMP: &str = "2026-03-14T10:15:22+07:00";

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/notices", post(send))
        .route("/sim/bi-snap/public-key", get(async || public_key()))
}

/// The pair that signs BI-SNAP notifications: made when it is first needed, so that no private key
/// lies anywhere.
fn pair() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).expect("a key pair can be made"))
}

/// The public key of the BI-SNAP notifications of this process, as PEM.
///
/// # Panics
/// When no key can be made.
pub fn public_key() -> String {
    let der: PublicKeyX509Der<'_> = pair().public_key().as_der().expect("a key can be written");
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

/// What to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    kind: String,
    /// Replaces fields of the kind's example; `null` takes one away.
    #[serde(default)]
    fields: Value,
    /// Signs with a key that nobody knows.
    #[serde(default)]
    forged: bool,
    /// Sends these bytes instead of the example.
    raw: Option<String>,
    /// Signs the path that is asked for, prefix and all, instead of the bare one.
    #[serde(default)]
    whole_path: bool,
}

/// Sends one notification and tells what the receiver answered.
async fn send(State(world): Shared, body: axum::body::Bytes) -> Outcome {
    let order: Order = parse(&body)?;
    let url = world.notify_url();
    let origin = url.split("/webhooks/").next().unwrap_or_default();
    let path = path(&order.kind).ok_or_else(|| Trouble(400, "no such kind".into()))?;
    let mut document = example(&order.kind);
    overlay(&mut document, &order.fields);
    if order.kind == "pay_account" && document["signature_key"].is_null() {
        let key = world.merchant.server_key.as_str();
        let key = if order.forged { "another" } else { key };
        document["signature_key"] = account_signature(&document, key).into();
    }
    let sent = order.raw.clone().unwrap_or_else(|| document.to_string());
    let target = format!("{origin}{path}");
    let mut request = client()
        .post(&target)
        .header("Content-Type", "application/json")
        .header("User-Agent", "Veritrans")
        .body(sent.clone());
    for (name, value) in headers(&order, path, &sent) {
        request = request.header(name, value);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| Trouble(409, error.to_string()))?;
    let status = answer.status().as_u16();
    let stamp = answer.headers().get("X-TIMESTAMP");
    let stamp = stamp
        .and_then(|stamp| stamp.to_str().ok())
        .map(str::to_owned);
    let body = answer.bytes().await.unwrap_or_default();
    Ok(Json(json!({
        "http_status": status,
        "answer": serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null),
        "timestamp": stamp,
        "sent": serde_json::from_str::<Value>(&sent).unwrap_or(Value::Null),
    })))
}

/// One for all: a client of its own per request is slow to make.
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0);
        client.build().expect("a client can be made")
    })
}

fn path(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "pay_account" => "/webhooks/midtrans/pay-account",
        "subscription" => "/webhooks/midtrans/recurring",
        "payout" => "/webhooks/midtrans/payouts",
        "bi_snap_debit" => "/webhooks/bi-snap/v1.0/debit/notify",
        "bi_snap_qr" => "/webhooks/bi-snap/v1.0/qr/qr-mpm-notify",
        "bi_snap_va" => "/webhooks/bi-snap/v1.0/transfer-va/payment",
        "bi_snap_account" => "/webhooks/bi-snap/v1.0/registration-account/notify",
        _ => return None,
    })
}

fn headers(order: &Order, path: &str, sent: &str) -> Vec<(&'static str, String)> {
    if order.kind == "payout" {
        let key = if order.forged { "another" } else { PAYOUT_KEY };
        let signature = hex::encode(Sha512::digest(format!("{sent}{key}")));
        return vec![("Iris-Signature", signature)];
    }
    if !order.kind.starts_with("bi_snap") {
        return Vec::new();
    }
    let bare = path.strip_prefix("/webhooks/bi-snap").unwrap_or(path);
    let signed_path = if order.whole_path { path } else { bare };
    let hash = hex::encode(Sha256::digest(sent));
    let text = format!("POST:{signed_path}:{hash}:{STAMP}");
    let mut signature = vec![0; pair().public_modulus_len()];
    let signed = pair().sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        text.as_bytes(),
        &mut signature,
    );
    signed.expect("a text can be signed");
    if order.forged {
        signature[0] ^= 1;
    }
    vec![
        ("X-TIMESTAMP", STAMP.to_owned()),
        ("X-SIGNATURE", STANDARD.encode(signature)),
        ("X-PARTNER-ID", "lunas".to_owned()),
        ("X-EXTERNAL-ID", "1773458122001".to_owned()),
    ]
}

fn account_signature(document: &Value, key: &str) -> String {
    let mut hash = Sha512::new();
    for name in ["account_id", "account_status", "status_code"] {
        hash.update(document[name].as_str().unwrap_or_default());
    }
    hash.update(key);
    hex::encode(hash.finalize())
}

fn overlay(document: &mut Value, fields: &Value) {
    let (Some(document), Some(fields)) = (document.as_object_mut(), fields.as_object()) else {
        return;
    };
    for (name, value) in fields {
        match value {
            Value::Null => {
                document.remove(name);
            }
            value => {
                document.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The example of the fact sheet for a kind.
fn example(kind: &str) -> Value {
    match kind {
        "pay_account" => json!({
            "account_id": "7d0c4b1e-2f63-4a95-b0d8-51ce9a37f204", "merchant_id": "G812900451",
            "payment_type": "gopay", "account_status": "ENABLED", "status_code": "200",
            "status_message": "Midtrans account linked notification"}),
        "subscription" => json!({
            "event_name": "subscription.charge",
            "transaction": {"transaction_id": "bc517d6f-c8e9-4604-a537-19b2d4f6370e",
                            "transaction_status": "capture", "status_code": "200"},
            "subscription": {"id": "5e9a1c77-30b4-4d2e-8c61-f2079b6ad815",
                             "name": "PRO-MONTHLY-000118", "status": "active",
                             "amount": "150000", "currency": "IDR",
                             "token": "48111111QwErTyUiOpAsDfGhJk1114",
                             "payment_type": "credit_card", "merchant_id": "G812900451",
                             "schedule": {"interval": 1, "interval_unit": "month",
                                          "current_interval": 3}}}),
        "payout" => json!({"reference_no": "PO8K2M71", "amount": "1250000.00",
                           "status": "completed", "updated_at": "2026-03-14T04:21:09Z"}),
        "bi_snap_va" => json!({
            "partnerServiceId": "   70045", "customerNo": "00000000451877000877",
            "virtualAccountNo": "   7004500000000451877000877", "virtualAccountName": "Budi",
            "trxId": "INV-20260314-000877", "paymentRequestId": "pr-1", "referenceNo": "va-txn-1",
            "paidAmount": {"value": "150000.00", "currency": "IDR"},
            "additionalInfo": {"paymentFlagStatus": "00", "bank": "BCA",
                               "paidTime": "2026-03-14T10:15:20+07:00"}}),
        "bi_snap_account" => json!({"additionalInfo": {
            "accessToken": "canary-access-token-of-a-customer", "merchantId": "G812900451",
            "paymentType": "gopay", "accountStatus": "ENABLED",
            "statusMessage": "Account linked"}}),
        _ => json!({
            "originalReferenceNo": "A120260314031509QmR7TzKeLuID",
            "originalPartnerReferenceNo": "INV-20260314-000871",
            "latestTransactionStatus": "00", "transactionStatusDesc": "SUCCESS",
            "amount": {"value": "150000.00", "currency": "IDR"},
            "additionalInfo": {"refundHistory": []}}),
    }
}
