//! The payment methods as their notifications differ (`midtrans.md` 1.7).

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// How a customer pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Any card.
    Card,
    /// The wallet.
    Gopay,
    /// A QR code; the acquirer is GoPay.
    Qris,
    /// The wallet.
    Shopeepay,
    /// Virtual account at BCA.
    BcaVa,
    /// Virtual account at BNI, which fills `payment_amounts`.
    BniVa,
    /// Virtual account at Permata, without `va_numbers`; can be reversed.
    PermataVa,
    /// Virtual account at BSI, whose `transaction_id` is not a UUID.
    BsiVa,
    /// Mandiri bill; can be reversed.
    MandiriBill,
    /// Paid at the counter, without `fraud_status`; can be reversed.
    Indomaret,
    /// Paid at the counter.
    Alfamart,
    /// Pay later.
    Akulaku,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 12] = [
        Self::Card,
        Self::Gopay,
        Self::Qris,
        Self::Shopeepay,
        Self::BcaVa,
        Self::BniVa,
        Self::PermataVa,
        Self::BsiVa,
        Self::MandiriBill,
        Self::Indomaret,
        Self::Alfamart,
        Self::Akulaku,
    ];

    /// A fresh `transaction_id` of the method's kind.
    pub(super) fn transaction_id(self) -> String {
        let id = Uuid::new_v4();
        match self {
            Self::BsiVa => format!("A120260314{}ID", &id.simple().to_string()[..16]),
            _ => id.to_string(),
        }
    }

    /// The fields that are this method's own.
    pub(super) fn fields(self, status: &str) -> Map<String, Value> {
        let mut fields = json!({ "payment_type": self.payment_type() });
        for part in [self.own_fields(), self.fields_of_status(status)] {
            let (Some(fields), Some(part)) = (fields.as_object_mut(), part.as_object()) else {
                continue;
            };
            fields.extend(part.clone());
        }
        fields.as_object().cloned().unwrap_or_default()
    }

    const fn payment_type(self) -> &'static str {
        match self {
            Self::Card => "credit_card",
            Self::Gopay => "gopay",
            Self::Qris => "qris",
            Self::Shopeepay => "shopeepay",
            Self::BcaVa | Self::BniVa | Self::PermataVa | Self::BsiVa => "bank_transfer",
            Self::MandiriBill => "echannel",
            Self::Indomaret | Self::Alfamart => "cstore",
            Self::Akulaku => "akulaku",
        }
    }

    fn own_fields(self) -> Value {
        match self {
            Self::Card => json!({
                "masked_card": "48111111-1114", "card_type": "credit", "bank": "bni",
                "approval_code": "1773454361927", "channel_response_code": "00",
                "channel_response_message": "Approved", "on_us": false,
            }),
            Self::Qris => json!({ "acquirer": "gopay" }),
            Self::Shopeepay => json!({ "shopeepay_reference_number": "203998114507726418" }),
            Self::BcaVa => va("bca", "90045187700012345"),
            Self::BniVa => va("bni", "9880045187700456"),
            Self::BsiVa => va("bsi", "90140045187700880"),
            Self::PermataVa => json!({ "permata_va_number": "8562004518770789" }),
            Self::MandiriBill => json!({ "biller_code": "70012", "bill_key": "451877008812" }),
            Self::Indomaret => json!({ "store": "indomaret", "payment_code": "451877002286" }),
            Self::Alfamart => json!({ "store": "alfamart", "payment_code": "4518770088341975" }),
            Self::Gopay | Self::Akulaku => json!({}),
        }
    }

    fn fields_of_status(self, status: &str) -> Value {
        match (self, status) {
            (Self::Indomaret, "settlement") => json!({ "approval_code": "70912603141215070042" }),
            (Self::Indomaret, _) => json!({}),
            (Self::Gopay, "settlement") => {
                json!({ "fraud_status": "accept", "payment_option_type": "GOPAY_WALLET" })
            }
            (Self::Qris, "settlement") => json!({
                "fraud_status": "accept", "issuer": "dana", "transaction_type": "off-us",
            }),
            (Self::BniVa, "settlement") => json!({
                "fraud_status": "accept",
                "payment_amounts": [{ "paid_at": "2026-03-14 10:41:17", "amount": "310000.00" }],
            }),
            _ => json!({ "fraud_status": "accept" }),
        }
    }
}

fn va(bank: &str, number: &str) -> Value {
    json!({ "va_numbers": [{ "bank": bank, "va_number": number }], "payment_amounts": [] })
}
