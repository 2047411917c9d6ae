//! A payment as shops see it: what the customer needs to pay, whatever the method.

use serde::Serialize;
use serde_json::{Value, json};
use shared::store::checkout_read::PaymentRead;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A payment session.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CheckoutPayment {
    /// Midtrans' `order_id`.
    pub(crate) session_id: String,
    /// The order it pays for, if it does not stand alone.
    pub(crate) order_code: Option<String>,
    /// `created`, then Midtrans' word.
    pub(crate) status: String,
    /// Rupiah.
    pub(crate) gross_amount: i64,
    /// What was asked for.
    pub(crate) method: Option<String>,
    /// Midtrans' word, once known.
    pub(crate) payment_type: Option<String>,
    /// Midtrans' id, once there is a transaction.
    pub(crate) transaction_id: Option<String>,
    /// Addresses of a QR code, of an app: `name`, `method`, `url`.
    pub(crate) actions: Vec<Action>,
    /// Where to transfer to.
    pub(crate) va_numbers: Vec<VaNumber>,
    /// The QR code's content.
    pub(crate) qr_string: Option<String>,
    /// Of a Mandiri bill.
    pub(crate) biller_code: Option<String>,
    /// Of a Mandiri bill.
    pub(crate) bill_key: Option<String>,
    /// What is shown over the counter.
    pub(crate) payment_code: Option<String>,
    /// Names Midtrans' page.
    pub(crate) token: Option<String>,
    /// Where the customer pays.
    pub(crate) redirect_url: Option<String>,
    /// Until when it can be paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// Something the customer's device can open.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Action {
    /// Such as `generate-qr-code` and `deeplink-redirect`.
    pub(crate) name: String,
    /// An HTTP method.
    pub(crate) method: String,
    /// Where it is.
    pub(crate) url: String,
}

/// A virtual account.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct VaNumber {
    /// `bca`, `permata`, …
    pub(crate) bank: String,
    /// The account.
    pub(crate) va_number: String,
}

impl CheckoutPayment {
    pub(super) fn of(read: PaymentRead) -> Self {
        let answer = read.answer.unwrap_or(Value::Null);
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Self {
            actions: list(&answer["actions"], action),
            va_numbers: va_numbers(&answer),
            qr_string: text("qr_string"),
            biller_code: text("biller_code"),
            bill_key: text("bill_key"),
            payment_code: text("payment_code"),
            session_id: read.session_id,
            order_code: read.order_code,
            status: read.status,
            gross_amount: read.gross_amount,
            method: read.method,
            payment_type: read.payment_type,
            transaction_id: read.transaction_id,
            token: read.snap_token,
            redirect_url: read.redirect_url,
            expires_at: read.expires_at,
        }
    }
}

fn action(value: &Value) -> Option<Action> {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Action {
        name: text("name")?,
        method: text("method")?,
        url: text("url")?,
    })
}

fn va_numbers(answer: &Value) -> Vec<VaNumber> {
    if let Some(number) = answer["permata_va_number"].as_str() {
        return vec![VaNumber {
            bank: "permata".to_owned(),
            va_number: number.to_owned(),
        }];
    }
    list(&answer["va_numbers"], |value| {
        Some(VaNumber {
            bank: value["bank"].as_str()?.to_owned(),
            va_number: value["va_number"].as_str()?.to_owned(),
        })
    })
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(read)
        .collect()
}

/// What is kept of Midtrans' answer: everything but the signature, with which a notification of
/// this status could be forged.
pub(super) fn kept(body: &str) -> Value {
    let mut answer = serde_json::from_str(body).unwrap_or_else(|_| json!({}));
    if let Value::Object(fields) = &mut answer {
        fields.remove("signature_key");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_number_is_found() {
        let permata = json!({"permata_va_number": "8562"});
        let bca = json!({"va_numbers": [{"bank": "bca", "va_number": "90045"}, {"bank": 1}]});
        let number = |bank: &str, va_number: &str| VaNumber {
            bank: bank.to_owned(),
            va_number: va_number.to_owned(),
        };
        assert_eq!(va_numbers(&permata), [number("permata", "8562")]);
        assert_eq!(va_numbers(&bca), [number("bca", "90045")]);
        assert_eq!(va_numbers(&json!({})), []);
    }

    #[test]
    fn no_signature_is_kept() {
        let answer = kept(r#"{"signature_key": "00", "qr_string": "0002"}"#);
        assert_eq!(answer, json!({"qr_string": "0002"}));
        assert_eq!(kept("<html>"), json!({}));
    }
}
