//! A BI-SNAP payment as an observation, so that it goes the one way of all.
//!
//! Codes become Midtrans' words. Where a body does not say enough to be an observation (a payment
//! without our reference, a virtual account that is not paid yet, a refund without its amount), the
//! status API is asked instead of guessing.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::super::event_key::EventKey;
use super::super::super::notification::{DecodeError, amount};
use super::super::super::observation::{Authority, LinkHints, Observation, Source};
use super::super::super::rupiah::Rupiah;
use super::super::super::signature::is_test;
use super::super::super::status::TransactionStatus;
use super::super::NoticeKind;
use super::super::read::{NoticeReading, Question, event_key, needed, parse, text};
use super::Product;

/// What a payment notification comes to.
#[derive(Debug)]
pub enum Payment {
    /// It says all that there is to know.
    Seen(Box<Observation>),
    /// The status API must be asked.
    Ask(NoticeReading),
}

/// Reads the body of a verified payment notification.
///
/// # Errors
/// [`DecodeError`]: the notification is a dead letter.
pub fn observe(
    product: Product,
    body: &[u8],
    received_at: OffsetDateTime,
    source: Source,
) -> Result<Payment, DecodeError> {
    let value = parse(body)?;
    let said = Said::read(&value)?;
    match said.observation(Some(product), &value, body, received_at, source) {
        Some(seen) => Ok(Payment::Seen(Box::new(seen))),
        None => incomplete(NoticeKind::BiSnap(product), &value).map(Payment::Ask),
    }
}

/// Reads a body that was stored without its kind; `None` when it is no BI-SNAP payment.
pub fn observe_stored(body: &[u8], received_at: OffsetDateTime) -> Option<Observation> {
    let value = parse(body).ok()?;
    let said = Said::read(&value).ok()?;
    said.observation(None, &value, body, received_at, Source::Webhook)
}

/// A payment notification that the status API must complete.
pub(in super::super) fn incomplete(
    kind: NoticeKind,
    value: &Value,
) -> Result<NoticeReading, DecodeError> {
    let said = Said::read(value)?;
    let id = said.transaction_id.clone().or(said.session_id.clone());
    let id = needed("originalReferenceNo", id)?;
    let mut parts = vec![
        said.transaction_id.clone(),
        said.session_id.clone(),
        Some(said.code.clone()),
        said.amount.map(Rupiah::wire),
    ];
    parts.extend(said.refund_parts.iter().cloned());
    Ok(NoticeReading {
        event_key: event_key(kind, &parts),
        external_id: id.clone(),
        // A refund without its amount claims neither a full nor a partial one.
        status: (!said.refund_untold()).then(|| said.status().as_str().to_owned()),
        question: Some(Question {
            id,
            session_id: said.session_id,
            merchant_id: text(value, "/merchantId")
                .or_else(|| text(value, "/additionalInfo/merchantId")),
        }),
    })
}

/// The fields that count, whatever they are called in the product's body.
struct Said {
    transaction_id: Option<String>,
    session_id: Option<String>,
    code: String,
    amount: Option<Rupiah>,
    refunded: Option<Rupiah>,
    /// What tells one refund from the next.
    refund_parts: Vec<Option<String>>,
}

impl Said {
    fn read(value: &Value) -> Result<Self, DecodeError> {
        let first = |paths: &[&str]| paths.iter().find_map(|path| text(value, path));
        let code = first(&[
            "/latestTransactionStatus",
            "/additionalInfo/paymentFlagStatus",
        ]);
        let history = value.pointer("/additionalInfo/refundHistory");
        let history = history
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let total = money(value, "/additionalInfo/totalRefundAmount")?;
        let refunded = match total {
            Some(total) => Some(total),
            None => sum(history)?,
        };
        let mut refund_parts = vec![refunded.map(Rupiah::wire)];
        for refund in history {
            let named = |paths: [&str; 2]| paths.iter().find_map(|path| text(refund, path));
            refund_parts.push(named(["/refundNo", "/partnerRefundNo"]));
            refund_parts.push(text(refund, "/refundStatus"));
        }
        let mut amount = None;
        for path in ["/paidAmount", "/amount", "/totalAmount"] {
            amount = amount.or(money(value, path)?);
        }
        Ok(Self {
            transaction_id: first(&["/originalReferenceNo", "/referenceNo"]),
            session_id: first(&["/originalPartnerReferenceNo", "/trxId"]),
            code: needed("latestTransactionStatus", code)?,
            amount,
            refunded,
            refund_parts,
        })
    }

    fn refund_untold(&self) -> bool {
        self.code == "04" && self.refunded.is_none()
    }

    /// The code in Midtrans' words; a code that is not known stays as it is.
    fn status(&self) -> TransactionStatus {
        match self.code.as_str() {
            "00" => TransactionStatus::Settlement,
            "01" | "02" | "03" => TransactionStatus::Pending,
            // There is no code of its own for a part: only the totals tell.
            "04" if self.refunded.zip(self.amount).is_some_and(|(r, a)| r < a) => {
                TransactionStatus::PartialRefund
            }
            "04" => TransactionStatus::Refund,
            "05" => TransactionStatus::Cancel,
            "06" => TransactionStatus::Failure,
            "08" => TransactionStatus::Expire,
            "09" => TransactionStatus::Deny,
            other => TransactionStatus::Unknown(other.to_owned()),
        }
    }

    fn observation(
        self,
        product: Option<Product>,
        value: &Value,
        body: &[u8],
        received_at: OffsetDateTime,
        source: Source,
    ) -> Option<Observation> {
        let status = self.status();
        let refund_untold = self.refund_untold();
        let (session_id, transaction_id) = (self.session_id?, self.transaction_id?);
        let gross_amount = self.amount.filter(|_| !refund_untold)?;
        let wire = gross_amount.wire();
        let mut parts = vec![
            Some(session_id.as_str()),
            Some(transaction_id.as_str()),
            Some(self.code.as_str()),
            Some(wire.as_str()),
        ];
        parts.extend(self.refund_parts.iter().map(Option::as_deref));
        let paid = status == TransactionStatus::Settlement;
        let finished = time(value, "/finishedTime")
            .or_else(|| time(value, "/additionalInfo/paidTime"))
            .or_else(|| time(value, "/additionalInfo/paymentTime"));
        let (payment_type, payment_channel) = method(product, value);
        Some(Observation {
            authority: Authority::Notified,
            source,
            is_test: is_test(&session_id),
            event_key: EventKey::of_parts(b"bi-snap payment", &parts),
            session_id,
            transaction_id,
            status,
            fraud: None,
            status_code: self.code,
            gross_amount,
            refund_amount: self.refunded,
            payment_type,
            payment_channel,
            transaction_time: time(value, "/createdTime"),
            settlement_time: finished.filter(|_| paid),
            expiry_time: None,
            link_hints: LinkHints {
                metadata_order_id: None,
                custom_field1: text(value, "/additionalInfo/customField/1"),
            },
            fee: None,
            signature_key: None,
            raw_body: String::from_utf8_lossy(body).into_owned(),
            received_at,
        })
    }
}

/// Midtrans' words for method and channel, as far as the body tells them.
fn method(product: Option<Product>, value: &Value) -> (Option<String>, Option<String>) {
    let lower = |path| text(value, path).map(|word| word.to_ascii_lowercase());
    match product {
        Some(Product::Qr) => (
            Some("qris".to_owned()),
            lower("/additionalInfo/qris/acquirerName"),
        ),
        Some(Product::VirtualAccount) => (
            Some("bank_transfer".to_owned()),
            lower("/additionalInfo/bank"),
        ),
        Some(Product::Debit) => {
            let wallet = lower("/additionalInfo/userPaymentDetails/0/payMethod");
            let known = ["gopay", "shopeepay", "dana", "ovo"];
            let wallet = wallet.filter(|word| known.contains(&word.as_str()));
            (wallet, None)
        }
        Some(Product::Account) | None => (None, None),
    }
}

/// An amount `{"value":"150000.00","currency":"IDR"}`; `None` where there is none.
fn money(value: &Value, path: &'static str) -> Result<Option<Rupiah>, DecodeError> {
    let Some(found) = value.pointer(path).filter(|found| !found.is_null()) else {
        return Ok(None);
    };
    rupiah(found, path.trim_start_matches('/'))
}

fn rupiah(found: &Value, field: &'static str) -> Result<Option<Rupiah>, DecodeError> {
    let currency = text(found, "/currency");
    if currency.is_some_and(|word| !word.eq_ignore_ascii_case("IDR")) {
        return Err(DecodeError::WrongCurrency);
    }
    let Some(digits) = text(found, "/value") else {
        return Ok(None);
    };
    amount(field, &digits).map(Some)
}

/// The sum of the refunds listed; `None` when there is none, or one does not say how much.
fn sum(history: &[Value]) -> Result<Option<Rupiah>, DecodeError> {
    let mut sum = None;
    for refund in history {
        let part = refund.pointer("/refundAmount");
        let part = part.map(|part| rupiah(part, "refundHistory.refundAmount"));
        let Some(part) = part.transpose()?.flatten() else {
            return Ok(None);
        };
        sum = sum.unwrap_or(Rupiah::ZERO).checked_add(part);
        if sum.is_none() {
            return Ok(None);
        }
    }
    Ok(sum)
}

/// A time of the standard: with its offset, unlike the classic ones.
fn time(value: &Value, path: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text(value, path)?, &Rfc3339).ok()
}
