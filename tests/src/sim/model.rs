//! One transaction as the gateway knows it, with the words of the wire.
//!
//! Holds data only: what may follow what is in `moves`, how it looks as JSON in `body`.

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// One attempt to pay: one Midtrans `transaction_id`.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: String,
    pub(crate) order_id: String,
    pub(crate) payment_type: &'static str,
    pub(crate) status: Status,
    pub(crate) fraud: Option<Fraud>,
    /// What the merchant asked for, in rupiah.
    pub(crate) requested: i64,
    /// What the customer pays: with a fee imposed it is more, after a partial capture less.
    pub(crate) gross: i64,
    pub(crate) created: OffsetDateTime,
    pub(crate) settled: Option<OffsetDateTime>,
    pub(crate) expiry: Option<OffsetDateTime>,
    pub(crate) echoed: Map<String, Value>,
    pub(crate) details: Details,
    pub(crate) card: Option<Card>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) charged_back: i64,
    /// Where notifications of this transaction go besides or instead of the configured URL.
    pub(crate) routes: Routes,
    /// The bodies sent so far, for sending the same bytes again.
    pub(crate) sent: Vec<(Status, Bytes)>,
}

/// The fields a payment type adds, by the moment from which they are visible.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    /// In every answer and notification.
    pub(crate) always: Map<String, Value>,
    /// In the answer to the charge only.
    pub(crate) charge: Map<String, Value>,
    /// From the settlement on.
    pub(crate) paid: Map<String, Value>,
    /// Whether the method runs on BI-SNAP underneath: another kind of id, expiry in the
    /// notification, and a status API that knows it by transaction id only.
    pub(crate) bi_snap: bool,
}

/// What a card token decided.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) verdict: CardVerdict,
    /// Pre-authorisation: funds are reserved and captured later.
    pub(crate) authorize_only: bool,
    pub(crate) approval_code: String,
}

/// The bank's and the fraud system's answer for a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CardVerdict {
    Accept,
    Challenge,
    BankDeny,
    FraudDeny,
}

/// One refund; the second notification of the pair follows once `confirmed` is set.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) amount: i64,
    pub(crate) reason: String,
    pub(crate) created: OffsetDateTime,
    pub(crate) confirmed: Option<OffsetDateTime>,
}

/// URLs from `X-Append-Notification` and `X-Override-Notification`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    pub(crate) append: Vec<String>,
    pub(crate) replace: Vec<String>,
}

/// `transaction_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Authorize,
    Capture,
    Settlement,
    Deny,
    Cancel,
    Expire,
    Failure,
    Refund,
    PartialRefund,
    Chargeback,
    PartialChargeback,
}

/// `fraud_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fraud {
    Accept,
    Challenge,
    Deny,
}

/// Bodies kept per transaction; no documented history is longer.
const MOST_SENT: usize = 16;

impl Transaction {
    /// The sum of all refunds so far.
    pub(crate) fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }

    /// Keeps the last few bodies.
    pub(crate) fn remember_sent(&mut self, body: Bytes) {
        if self.sent.len() >= MOST_SENT {
            self.sent.remove(0);
        }
        self.sent.push((self.status, body));
    }

    /// Whether the order id may be charged again (`midtrans.md` 4.7).
    pub(crate) fn frees_order_id(&self) -> bool {
        matches!(
            self.status,
            Status::Deny | Status::Cancel | Status::Expire | Status::Failure
        )
    }

    /// Raises what the customer pays and says so in the metadata, as "automatic fee imposition"
    /// does (`midtrans.md` 1.10).
    pub(crate) fn impose_fee(&mut self, fee: i64) {
        if self.gross != self.requested {
            return;
        }
        self.gross = self.requested + fee;
        let info = serde_json::json!({
            "gross_amount_info": {
                "original_amount": self.requested.to_string(),
                "gross_amount": self.gross.to_string(),
                "customer_imposed_payment_fee": fee.to_string(),
            }
        });
        let metadata = self
            .echoed
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            metadata.insert("extra_info".into(), info);
        }
    }
}

impl Status {
    /// Every status, for parsing.
    const ALL: [Status; 12] = [
        Status::Pending,
        Status::Authorize,
        Status::Capture,
        Status::Settlement,
        Status::Deny,
        Status::Cancel,
        Status::Expire,
        Status::Failure,
        Status::Refund,
        Status::PartialRefund,
        Status::Chargeback,
        Status::PartialChargeback,
    ];

    /// Midtrans' word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Authorize => "authorize",
            Status::Capture => "capture",
            Status::Settlement => "settlement",
            Status::Deny => "deny",
            Status::Cancel => "cancel",
            Status::Expire => "expire",
            Status::Failure => "failure",
            Status::Refund => "refund",
            Status::PartialRefund => "partial_refund",
            Status::Chargeback => "chargeback",
            Status::PartialChargeback => "partial_chargeback",
        }
    }

    /// The status of a word, spelled exactly.
    pub(crate) fn parse(word: &str) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

impl Fraud {
    /// Midtrans' word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Fraud::Accept => "accept",
            Fraud::Challenge => "challenge",
            Fraud::Deny => "deny",
        }
    }

    /// The fraud status of a word.
    pub(crate) fn parse(word: &str) -> Option<Fraud> {
        [Fraud::Accept, Fraud::Challenge, Fraud::Deny]
            .into_iter()
            .find(|fraud| fraud.as_str() == word)
    }
}
