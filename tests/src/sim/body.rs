//! The JSON of a transaction: charge answer, status answer, notification (`midtrans.md` 1, 4).

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::model::{CardVerdict, Fraud, Refund, Status, Transaction};
use super::signature::signature_key;
use super::wire::{wib, wire};

/// Whose transactions these are, and the key that signs their notifications.
#[derive(Clone)]
pub(crate) struct Merchant {
    pub(crate) id: String,
    pub(crate) server_key: String,
}

/// The body of the notification for the transaction's present state.
pub(crate) fn notification(txn: &Transaction, merchant: &Merchant) -> Map<String, Value> {
    let mut body = common(txn, merchant);
    put(&mut body, "status_message", "midtrans payment notification");
    if txn.details.bi_snap || txn.payment_type == "ovo" {
        put_expiry(&mut body, txn);
    }
    sign(body, &txn.order_id, notified_code(txn), merchant)
}

/// The answer of GET status: the notification's shape with its own code and extras.
pub(crate) fn status(txn: &Transaction, merchant: &Merchant) -> Map<String, Value> {
    let mut body = common(txn, merchant);
    let code = match txn.status {
        Status::Expire => "407",
        Status::Cancel => "200",
        _ => notified_code(txn),
    };
    let message = if txn.status == Status::Expire {
        "Success, transaction has expired"
    } else {
        "Success, transaction is found"
    };
    put(&mut body, "status_message", message);
    put_expiry(&mut body, txn);
    let mut body = sign(body, &txn.order_id, code, merchant);
    if txn.details.bi_snap {
        put(&mut body, "order_id", &txn.id);
    }
    body
}

/// The answer to a charge.
pub(crate) fn charged(txn: &Transaction, merchant: &Merchant, title: &str) -> Map<String, Value> {
    let mut body = common(txn, merchant);
    let code = match txn.status {
        Status::Deny => "202",
        Status::Pending => "201",
        _ => notified_code(txn),
    };
    put(&mut body, "status_code", code);
    let message = match txn.status {
        Status::Deny if txn.fraud == Some(Fraud::Deny) => "Denied by the fraud system".to_owned(),
        Status::Deny => "Denied by the bank: code 05, Do not honor".to_owned(),
        _ => format!("Success, {}", title.trim_start_matches("Success, ")),
    };
    put(&mut body, "status_message", &message);
    body.remove("payment_amounts");
    body.extend(txn.details.charge.clone());
    if txn.card.is_none() {
        put_expiry(&mut body, txn);
    }
    body
}

/// The answer to an action: the common fields under the action's own code and words.
pub(crate) fn acted(
    txn: &Transaction,
    merchant: &Merchant,
    code: &str,
    message: &str,
) -> Map<String, Value> {
    let mut body = common(txn, merchant);
    put(&mut body, "status_code", code);
    put(&mut body, "status_message", message);
    if let Some(last) = txn.refunds.last() {
        put(&mut body, "refund_key", &last.key);
        body.insert("refund_chargeback_id".into(), json!(last.id));
        put(&mut body, "refund_amount", &wire(last.amount));
    }
    body
}

/// The synthetic body of the dashboard's "test notification URL" button (`midtrans.md` 1.9).
pub(crate) fn dashboard_test(merchant: &Merchant) -> Map<String, Value> {
    let order_id = format!("payment_notif_test_{}_{}", merchant.id, Uuid::new_v4());
    let Value::Object(body) = json!({
        "transaction_time": "2023-11-15 18:45:13",
        "transaction_status": "settlement",
        "transaction_id": "513f1f01-c9da-474c-9fc9-d5c64364b709",
        "status_message": "midtrans payment notification",
        "settlement_time": "2023-11-15 22:45:13",
        "payment_type": "gopay",
        "order_id": order_id,
        "merchant_id": merchant.id,
        "gross_amount": "105000.00",
        "fraud_status": "accept",
        "currency": "IDR",
    }) else {
        return Map::new();
    };
    sign(body, &order_id, "200", merchant)
}

fn common(txn: &Transaction, merchant: &Merchant) -> Map<String, Value> {
    let mut body = txn.echoed.clone();
    put(&mut body, "transaction_time", &wib(txn.created));
    put(&mut body, "transaction_status", txn.status.as_str());
    put(&mut body, "transaction_id", &txn.id);
    put(&mut body, "payment_type", txn.payment_type);
    put(&mut body, "order_id", &txn.order_id);
    put(&mut body, "merchant_id", &merchant.id);
    put(&mut body, "gross_amount", &wire(txn.gross));
    put(&mut body, "currency", "IDR");
    if let Some(fraud) = txn.fraud {
        put(&mut body, "fraud_status", fraud.as_str());
    }
    body.extend(txn.details.always.clone());
    put_card(&mut body, txn);
    if let Some(settled) = txn.settled {
        put_paid(&mut body, txn, settled);
    }
    if !txn.refunds.is_empty() {
        put(&mut body, "refund_amount", &wire(txn.refunded()));
        let refunds = txn.refunds.iter().map(refund).collect();
        body.insert("refunds".into(), Value::Array(refunds));
    }
    body
}

fn put_paid(body: &mut Map<String, Value>, txn: &Transaction, settled: OffsetDateTime) {
    put(body, "settlement_time", &wib(settled));
    body.extend(txn.details.paid.clone());
    let account = txn.details.always.get("va_numbers");
    let bank = account.and_then(|numbers| numbers[0]["bank"].as_str());
    if bank == Some("bni") {
        let amounts = json!([{"paid_at": wib(settled), "amount": wire(txn.gross)}]);
        body.insert("payment_amounts".into(), amounts);
    }
}

/// What the bank said about a card; nothing before it was asked.
fn put_card(body: &mut Map<String, Value>, txn: &Transaction) {
    let Some(card) = &txn.card else { return };
    let asked = !matches!(
        txn.status,
        Status::Pending | Status::Expire | Status::Failure
    );
    if !asked {
        return;
    }
    let refused = matches!(card.verdict, CardVerdict::BankDeny | CardVerdict::FraudDeny);
    if refused {
        put(body, "channel_response_code", "05");
        put(body, "channel_response_message", "Do not honor");
        return;
    }
    put(body, "approval_code", &card.approval_code);
    put(body, "channel_response_code", "00");
    put(body, "channel_response_message", "Approved");
    if txn.fraud == Some(Fraud::Accept) {
        put(body, "eci", "05");
        put(body, "three_ds_version", "2");
        body.insert("on_us".into(), Value::Bool(false));
    }
}

fn refund(refund: &Refund) -> Value {
    let mut body = json!({
        "refund_chargeback_id": refund.id,
        "refund_amount": wire(refund.amount),
        "created_at": wib(refund.created),
        "reason": refund.reason,
        "refund_key": refund.key,
        "refund_method": "online",
    });
    if let Some(confirmed) = refund.confirmed {
        body["bank_confirmed_at"] = Value::String(wib(confirmed));
    }
    body
}

fn notified_code(txn: &Transaction) -> &'static str {
    match (txn.status, txn.fraud) {
        (Status::Pending, _) | (Status::Capture, Some(Fraud::Challenge)) => "201",
        (Status::Deny | Status::Cancel | Status::Expire | Status::Failure, _) => "202",
        _ => "200",
    }
}

fn sign(
    mut body: Map<String, Value>,
    order_id: &str,
    code: &str,
    merchant: &Merchant,
) -> Map<String, Value> {
    let gross = body["gross_amount"].as_str().unwrap_or_default();
    let signature = signature_key(order_id, code, gross, &merchant.server_key);
    put(&mut body, "status_code", code);
    put(&mut body, "signature_key", &signature);
    body
}

fn put_expiry(body: &mut Map<String, Value>, txn: &Transaction) {
    if let Some(expiry) = txn.expiry {
        put(body, "expiry_time", &wib(expiry));
    }
}

fn put(body: &mut Map<String, Value>, name: &str, value: &str) {
    body.insert(name.to_owned(), Value::String(value.to_owned()));
}
