//! What a charge and a page are asked for with (`midtrans.md` 4.2, 4.3, 4.7).

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use crate::domain::checkout::PayMethod;
use crate::domain::{Rupiah, wib};

/// Midtrans opens a page for this long at least.
const SHORTEST_PAGE: i64 = 5;

/// A payment to make.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Midtrans' order id.
    pub session_id: &'a str,
    /// What it costs.
    pub gross_amount: Rupiah,
    /// How the customer pays.
    pub method: PayMethod,
    /// The order it is for; told in the merchant's own fields.
    pub order_code: Option<&'a str>,
    /// The database's clock.
    pub now: OffsetDateTime,
    /// How long the customer may take.
    pub life: Duration,
}

impl Charge<'_> {
    /// The body of `POST /v2/charge`.
    pub(super) fn core_body(&self) -> Vec<u8> {
        let mut body = self.common();
        let method = self.method.as_str();
        body.insert("payment_type".into(), method.into());
        let part = match self.method {
            // No callback: the shop's app is not ours to know.
            PayMethod::Gopay | PayMethod::Snap | PayMethod::Shopeepay => json!({}),
            PayMethod::Qris => json!({"acquirer": "gopay"}),
            PayMethod::BankTransfer(bank) => json!({"bank": bank.as_str()}),
            PayMethod::Echannel => json!({
                "bill_info1": "Order:",
                "bill_info2": self.order_code.unwrap_or(self.session_id),
            }),
            PayMethod::Cstore(shop) => json!({"store": shop.as_str()}),
        };
        body.insert(method.into(), part);
        body.insert(
            "custom_expiry".into(),
            json!({
                "order_time": self.began(),
                "expiry_duration": self.life.whole_seconds(),
                "unit": "second",
            }),
        );
        Value::Object(body).to_string().into_bytes()
    }

    /// The body of `POST {snap}/transactions`. Page and payment end together; without
    /// `start_time` the payment's time would begin when the customer picks a method.
    pub(super) fn snap_body(&self) -> Vec<u8> {
        let mut body = self.common();
        let minutes = self.life.whole_minutes().max(1);
        body.insert(
            "expiry".into(),
            json!({"start_time": self.began(), "duration": minutes, "unit": "minute"}),
        );
        body.insert(
            "page_expiry".into(),
            json!({"duration": minutes.max(SHORTEST_PAGE), "unit": "minute"}),
        );
        Value::Object(body).to_string().into_bytes()
    }

    fn common(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert(
            "transaction_details".into(),
            json!({"order_id": self.session_id, "gross_amount": self.gross_amount.get()}),
        );
        if let Some(code) = self.order_code {
            body.insert("custom_field1".into(), code.into());
            body.insert("metadata".into(), json!({"order_id": code}));
        }
        body
    }

    fn began(&self) -> String {
        format!("{} +0700", wib::format(self.now))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::checkout::{Bank, Shop};

    fn charge(method: PayMethod) -> Charge<'static> {
        Charge {
            session_id: "LNS-1-2",
            gross_amount: Rupiah::new(150_000),
            method,
            order_code: Some("LNS-1"),
            now: datetime!(2026-03-14 03:20:00 UTC),
            life: Duration::minutes(90),
        }
    }

    fn read(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn a_charge_carries_its_method_its_order_and_its_time() {
        let methods = [
            (PayMethod::Gopay, "gopay", json!({})),
            (PayMethod::Qris, "qris", json!({"acquirer": "gopay"})),
            (PayMethod::Shopeepay, "shopeepay", json!({})),
            (
                PayMethod::BankTransfer(Bank::Cimb),
                "bank_transfer",
                json!({"bank": "cimb"}),
            ),
            (
                PayMethod::Echannel,
                "echannel",
                json!({"bill_info1": "Order:", "bill_info2": "LNS-1"}),
            ),
            (
                PayMethod::Cstore(Shop::Indomaret),
                "cstore",
                json!({"store": "indomaret"}),
            ),
        ];
        for (method, word, part) in methods {
            let body = read(&charge(method).core_body());
            let expected = json!({
                "payment_type": word,
                word: part,
                "transaction_details": {"order_id": "LNS-1-2", "gross_amount": 150_000},
                "custom_field1": "LNS-1",
                "metadata": {"order_id": "LNS-1"},
                "custom_expiry": {"order_time": "2026-03-14 10:20:00 +0700",
                                  "expiry_duration": 5_400, "unit": "second"},
            });
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn a_page_and_what_is_paid_in_it_end_together() {
        let body = read(&charge(PayMethod::Snap).snap_body());
        assert_eq!(
            body["expiry"],
            json!({"start_time": "2026-03-14 10:20:00 +0700", "duration": 90, "unit": "minute"})
        );
        assert_eq!(
            body["page_expiry"],
            json!({"duration": 90, "unit": "minute"})
        );
        let short = Charge {
            life: Duration::seconds(61),
            ..charge(PayMethod::Snap)
        };
        let body = read(&short.snap_body());
        assert_eq!(
            (
                &body["expiry"]["duration"],
                &body["page_expiry"]["duration"]
            ),
            (&json!(1), &json!(5))
        );
    }

    #[test]
    fn a_payment_without_an_order_names_none() {
        let alone = Charge {
            order_code: None,
            ..charge(PayMethod::Qris)
        };
        let body = read(&alone.core_body());
        assert!(body["custom_field1"].is_null() && body["metadata"].is_null());
    }
}
