//! The words Midtrans uses for the state of a transaction and for the verdict of its fraud
//! system (`midtrans.md` 1.3 and 1.4). What they mean together is [`super::transition`]'s.

use std::fmt;

/// `transaction_status`, read without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// `created`: our own word for a session that Midtrans has not seen yet.
    Created,
    /// `pending`: waiting for the customer.
    Pending,
    /// `authorize`: funds reserved.
    Authorize,
    /// `capture`: card charged; read together with the fraud status.
    Capture,
    /// `settlement`: final success.
    Settlement,
    /// `deny`: rejected, or a reversal of a settlement.
    Deny,
    /// `cancel`: voided.
    Cancel,
    /// `expire`: not paid in time. Never spelled `expired`.
    Expire,
    /// `failure`: the bank gave no answer.
    Failure,
    /// `refund`: fully refunded.
    Refund,
    /// `partial_refund`: refunded in part; may repeat.
    PartialRefund,
    /// `chargeback`: a dispute took the money back.
    Chargeback,
    /// `partial_chargeback`: a dispute took part of it back.
    PartialChargeback,
    /// A word not known here, kept as it was written: recorded and never acted on.
    Unknown(String),
}

impl TransactionStatus {
    /// The known words with their spelling.
    const WORDS: [(&'static str, Self); 13] = [
        ("created", Self::Created),
        ("pending", Self::Pending),
        ("authorize", Self::Authorize),
        ("capture", Self::Capture),
        ("settlement", Self::Settlement),
        ("deny", Self::Deny),
        ("cancel", Self::Cancel),
        ("expire", Self::Expire),
        ("failure", Self::Failure),
        ("refund", Self::Refund),
        ("partial_refund", Self::PartialRefund),
        ("chargeback", Self::Chargeback),
        ("partial_chargeback", Self::PartialChargeback),
    ];

    /// Reads a word; one that is not known stays as it is.
    pub fn parse(word: &str) -> Self {
        Self::WORDS
            .into_iter()
            .find(|(spelling, _)| spelling.eq_ignore_ascii_case(word))
            .map_or_else(|| Self::Unknown(word.to_owned()), |(_, status)| status)
    }

    /// The spelling, lower case for the known words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Authorize => "authorize",
            Self::Capture => "capture",
            Self::Settlement => "settlement",
            Self::Deny => "deny",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
            Self::Failure => "failure",
            Self::Refund => "refund",
            Self::PartialRefund => "partial_refund",
            Self::Chargeback => "chargeback",
            Self::PartialChargeback => "partial_chargeback",
            Self::Unknown(word) => word,
        }
    }
}

impl fmt::Display for TransactionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `fraud_status`, read without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FraudStatus {
    /// `accept`: passed.
    Accept,
    /// `challenge`: a human must approve or deny.
    Challenge,
    /// `deny`, on one page `denied`: rejected.
    Deny,
    /// A word not known here, kept as it was written: never counts as passed.
    Unknown(String),
}

impl FraudStatus {
    /// Reads a word; one that is not known stays as it is.
    pub fn parse(word: &str) -> Self {
        if word.eq_ignore_ascii_case("accept") {
            Self::Accept
        } else if word.eq_ignore_ascii_case("challenge") {
            Self::Challenge
        } else if word.eq_ignore_ascii_case("deny") || word.eq_ignore_ascii_case("denied") {
            Self::Deny
        } else {
            Self::Unknown(word.to_owned())
        }
    }

    /// The spelling, lower case for the known words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Accept => "accept",
            Self::Challenge => "challenge",
            Self::Deny => "deny",
            Self::Unknown(word) => word,
        }
    }
}

impl fmt::Display for FraudStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_written_in_lower_case() {
        for (word, status) in TransactionStatus::WORDS {
            assert_eq!(TransactionStatus::parse(&word.to_uppercase()), status);
            assert_eq!(status.as_str(), word);
        }
        for (word, status) in [
            ("ACCEPT", FraudStatus::Accept),
            ("Challenge", FraudStatus::Challenge),
            ("deny", FraudStatus::Deny),
            ("denied", FraudStatus::Deny),
        ] {
            assert_eq!(FraudStatus::parse(word), status);
        }
    }

    #[test]
    fn a_word_that_looks_like_a_known_one_stays_unknown() {
        for word in ["expired", "settled", "", "Paid ", "partial-refund"] {
            assert_eq!(
                TransactionStatus::parse(word),
                TransactionStatus::Unknown(word.to_owned())
            );
        }
        assert_eq!(
            FraudStatus::parse("ok"),
            FraudStatus::Unknown("ok".to_owned())
        );
    }
}
