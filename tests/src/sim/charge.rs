//! From a charge request to a transaction: validation (`midtrans.md` 4.2, 4.7) and creation.
//!
//! Does not know about duplicates (the ledger does) nor about HTTP.

use serde_json::{Map, Value};
use time::macros::offset;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::methods::{self, Method, Unusable, letters};
use super::model::{Fraud, Routes, Status, Transaction};
use super::moves;
use super::wire::{parse_offset_time, parse_span};

/// Why a request was refused: body code and the list of what is wrong.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub(crate) code: u16,
    pub(crate) messages: Vec<String>,
}

/// `transaction_details` after validation.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) order_id: String,
    pub(crate) gross_amount: i64,
}

/// A transaction just made, with the title for the answer.
pub(crate) struct Created {
    pub(crate) transaction: Transaction,
    pub(crate) title: &'static str,
}

/// Builds the transaction of a charge. `transaction_id` overrides the generated id; `bi-snap`
/// stands for a generated one that is no UUID.
pub(crate) fn create(
    request: &Value,
    transaction_id: Option<String>,
    routes: Routes,
    base: &str,
    now: OffsetDateTime,
) -> Result<Created, Invalid> {
    let purchase = purchase(request)?;
    let id = match transaction_id.as_deref() {
        Some("bi-snap") => bi_snap_id(now),
        Some(literal) => literal.to_owned(),
        None if methods::runs_on_bi_snap(request) => bi_snap_id(now),
        None => Uuid::new_v4().to_string(),
    };
    let method = methods::build(request, &id, base).map_err(Invalid::from)?;
    let expiry = expiry(request, &method, now)?;
    let (status, fraud) = first_state(&method);
    let transaction = Transaction {
        id,
        order_id: purchase.order_id,
        payment_type: method.payment_type,
        status,
        fraud,
        requested: purchase.gross_amount,
        gross: purchase.gross_amount,
        created: now,
        settled: None,
        expiry,
        echoed: echoed(request),
        details: method.details,
        card: method.card,
        refunds: Vec::new(),
        charged_back: 0,
        routes,
        sent: Vec::new(),
    };
    Ok(Created {
        transaction,
        title: method.title,
    })
}

/// Checks what Snap and Core requests have in common.
pub(crate) fn purchase(request: &Value) -> Result<Purchase, Invalid> {
    let details = &request["transaction_details"];
    let mut wrong = Vec::new();
    let order_id = details["order_id"].as_str().unwrap_or_default();
    if order_id.is_empty() {
        wrong.push("transaction_details.order_id is required".to_owned());
    } else if order_id.len() > 50 {
        wrong.push("transaction_details.order_id too long".to_owned());
    } else if !order_id.chars().all(is_order_char) {
        wrong.push("transaction_details.order_id has a character that is not allowed".to_owned());
    }
    let amount = details["gross_amount"].as_i64();
    match amount {
        Some(amount) if amount > 0 => {}
        Some(_) => wrong.push("transaction_details.gross_amount must be greater than 0".into()),
        None if details["gross_amount"].is_null() => {
            wrong.push("transaction_details.gross_amount is required".into());
        }
        None => wrong.push("transaction_details.gross_amount must be an integer".into()),
    }
    let amount = amount.unwrap_or_default();
    if item_sum(request).is_some_and(|sum| sum != Some(amount)) {
        wrong.push(
            "transaction_details.gross_amount is not equal to the sum of item_details".into(),
        );
    }
    if wrong.is_empty() {
        Ok(Purchase {
            order_id: order_id.to_owned(),
            gross_amount: amount,
        })
    } else {
        Err(Invalid {
            code: 400,
            messages: wrong,
        })
    }
}

/// The sum of the items: `None` without items, `Some(None)` when an item is not countable.
fn item_sum(request: &Value) -> Option<Option<i64>> {
    let items = request["item_details"].as_array()?;
    let total = items.iter().try_fold(0_i64, |sum, item| {
        let line = item["price"]
            .as_i64()?
            .checked_mul(item["quantity"].as_i64()?)?;
        sum.checked_add(line)
    });
    Some(total)
}

fn is_order_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '.')
}

fn first_state(method: &Method) -> (Status, Option<Fraud>) {
    match &method.card {
        Some(card) if !method.three_ds => moves::decided(card.verdict, card.authorize_only),
        _ => (
            Status::Pending,
            method.fraud_checked.then_some(Fraud::Accept),
        ),
    }
}

/// Snap's `expiry` or Core's `custom_expiry`, else the method's own; cards and OVO are fixed.
fn expiry(
    request: &Value,
    method: &Method,
    now: OffsetDateTime,
) -> Result<Option<OffsetDateTime>, Invalid> {
    let default = method.expiry.map(|span| now + span);
    if method.card.is_some() || method.payment_type == "ovo" {
        return Ok(default);
    }
    let (part, start, length) = match (&request["custom_expiry"], &request["expiry"]) {
        (Value::Object(custom), _) => (custom, "order_time", "expiry_duration"),
        (_, Value::Object(snap)) => (snap, "start_time", "duration"),
        _ => return Ok(default),
    };
    let field = |name: &str| part.get(name);
    let begin = match field(start).and_then(Value::as_str) {
        Some(text) => parse_offset_time(text).ok_or_else(bad_expiry)?,
        None => now,
    };
    let amount = field(length).and_then(Value::as_i64);
    let unit = field("unit").and_then(Value::as_str);
    let span = amount.and_then(|amount| parse_span(amount, unit));
    let span = span.ok_or_else(bad_expiry)?;
    if span < Duration::seconds(20) || span > Duration::days(180) {
        return Err(bad_expiry());
    }
    Ok(Some(begin + span))
}

fn bad_expiry() -> Invalid {
    Invalid::new(400, "custom_expiry is invalid")
}

fn echoed(request: &Value) -> Map<String, Value> {
    [
        "custom_field1",
        "custom_field2",
        "custom_field3",
        "metadata",
    ]
    .into_iter()
    .filter(|name| !request[*name].is_null())
    .map(|name| (name.to_owned(), request[name].clone()))
    .collect()
}

/// An id as methods on BI-SNAP rails have it: `A120260314032834Tq7LwZr2NcID`.
fn bi_snap_id(now: OffsetDateTime) -> String {
    let at = now.to_offset(offset!(UTC));
    format!(
        "A1{:04}{:02}{:02}{:02}{:02}{:02}{}ID",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        letters(10)
    )
}

impl Invalid {
    /// A refusal with one message.
    pub(crate) fn new(code: u16, message: &str) -> Self {
        Self {
            code,
            messages: vec![message.to_owned()],
        }
    }
}

impl From<Unusable> for Invalid {
    fn from(unusable: Unusable) -> Self {
        Invalid::new(unusable.code, &unusable.message)
    }
}
