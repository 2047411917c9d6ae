//! One word for what a transaction is, made of status, fraud status and rail.

use std::fmt;

use super::super::status::{FraudStatus, TransactionStatus};

/// The state of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// A session that Midtrans has not seen yet.
    Created,
    /// Waiting for the customer.
    Pending,
    /// Funds reserved.
    Authorize,
    /// Charged or settled, but the fraud system has not let it pass: alive, not paid.
    Challenge,
    /// Card charged, accepted: paid.
    Capture,
    /// Final success: paid.
    Settlement,
    /// Rejected.
    Deny,
    /// `deny` where it means that a settlement was taken back, or will be when it arrives.
    Reversed,
    /// Voided.
    Cancel,
    /// Not paid in time.
    Expire,
    /// The bank gave no answer.
    Failure,
    /// Refunded in part: still a paid transaction.
    PartialRefund,
    /// Fully refunded.
    Refund,
    /// Part of it taken back by a dispute: still a paid transaction.
    PartialChargeback,
    /// Taken back by a dispute.
    Chargeback,
}

impl TransactionState {
    /// Every state.
    pub const ALL: [Self; 15] = [
        Self::Created,
        Self::Pending,
        Self::Authorize,
        Self::Challenge,
        Self::Capture,
        Self::Settlement,
        Self::Deny,
        Self::Reversed,
        Self::Cancel,
        Self::Expire,
        Self::Failure,
        Self::PartialRefund,
        Self::Refund,
        Self::PartialChargeback,
        Self::Chargeback,
    ];

    /// The state of a session from its row and that of the transaction that decided; a word that is
    /// not known counts as not begun.
    pub fn of_stored(
        status: &str,
        fraud: Option<&str>,
        payment_type: Option<&str>,
        channel: Option<&str>,
    ) -> Self {
        let status = TransactionStatus::parse(status);
        let fraud = fraud.map(FraudStatus::parse);
        Self::of(&status, fraud.as_ref(), Rail::of(payment_type, channel)).unwrap_or(Self::Created)
    }

    /// What status and fraud status say together (`midtrans.md` 1.4), or `None` for a status that
    /// is not known. The same function reads stored rows, which keep Midtrans' words.
    pub fn of(status: &TransactionStatus, fraud: Option<&FraudStatus>, rail: Rail) -> Option<Self> {
        Some(match status {
            TransactionStatus::Created => Self::Created,
            TransactionStatus::Pending => Self::Pending,
            TransactionStatus::Authorize => Self::Authorize,
            TransactionStatus::Capture => charged(Self::Capture, fraud, rail),
            TransactionStatus::Settlement => charged(Self::Settlement, fraud, rail),
            TransactionStatus::Deny => denied(rail),
            TransactionStatus::Cancel => Self::Cancel,
            TransactionStatus::Expire => Self::Expire,
            TransactionStatus::Failure => Self::Failure,
            TransactionStatus::Refund => Self::Refund,
            TransactionStatus::PartialRefund => Self::PartialRefund,
            TransactionStatus::Chargeback => Self::Chargeback,
            TransactionStatus::PartialChargeback => Self::PartialChargeback,
            TransactionStatus::Unknown(_) => return None,
        })
    }

    /// Midtrans' word for it, as rows keep it. A held settlement reads `capture` here; rows keep
    /// the word that was observed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Authorize => "authorize",
            Self::Challenge | Self::Capture => "capture",
            Self::Settlement => "settlement",
            Self::Deny | Self::Reversed => "deny",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
            Self::Failure => "failure",
            Self::PartialRefund => "partial_refund",
            Self::Refund => "refund",
            Self::PartialChargeback => "partial_chargeback",
            Self::Chargeback => "chargeback",
        }
    }

    /// The money is with the merchant, at least in part.
    pub const fn is_paid(self) -> bool {
        match self {
            Self::Capture | Self::Settlement | Self::PartialRefund | Self::PartialChargeback => {
                true
            }
            Self::Created
            | Self::Pending
            | Self::Authorize
            | Self::Challenge
            | Self::Deny
            | Self::Reversed
            | Self::Cancel
            | Self::Expire
            | Self::Failure
            | Self::Refund
            | Self::Chargeback => false,
        }
    }

    /// It may still become paid.
    pub const fn is_alive(self) -> bool {
        matches!(
            self,
            Self::Created | Self::Pending | Self::Authorize | Self::Challenge
        )
    }

    /// Money went back, or will.
    pub const fn takes_money_back(self) -> bool {
        matches!(
            self,
            Self::Refund | Self::PartialRefund | Self::Chargeback | Self::PartialChargeback
        )
    }
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word of the fraud system that we do not know holds the money back like a challenge does:
/// only `accept` and silence pass.
fn charged(
    accepted: TransactionState,
    fraud: Option<&FraudStatus>,
    rail: Rail,
) -> TransactionState {
    match fraud {
        None | Some(FraudStatus::Accept) => accepted,
        Some(FraudStatus::Challenge | FraudStatus::Unknown(_)) => TransactionState::Challenge,
        Some(FraudStatus::Deny) => denied(rail),
    }
}

const fn denied(rail: Rail) -> TransactionState {
    match rail {
        Rail::PermataVa | Rail::MandiriBill | Rail::Indomaret => TransactionState::Reversed,
        Rail::Card | Rail::Other => TransactionState::Deny,
    }
}

/// The kinds of payment that the state machine distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rail {
    /// Cards, debit too.
    Card,
    /// Virtual account of Permata.
    PermataVa,
    /// Mandiri bill payment, `echannel`.
    MandiriBill,
    /// Indomaret's counters.
    Indomaret,
    /// Every other method, or not known.
    Other,
}

impl Rail {
    /// Every rail.
    pub const ALL: [Self; 5] = [
        Self::Card,
        Self::PermataVa,
        Self::MandiriBill,
        Self::Indomaret,
        Self::Other,
    ];

    /// Reads method and channel, as a body or a row has them.
    pub fn of(payment_type: Option<&str>, payment_channel: Option<&str>) -> Self {
        let channel_is =
            |word: &str| payment_channel.is_some_and(|channel| channel.eq_ignore_ascii_case(word));
        match payment_type {
            Some("credit_card") => Self::Card,
            Some("echannel") => Self::MandiriBill,
            Some("cstore") if channel_is("indomaret") => Self::Indomaret,
            Some("bank_transfer") if channel_is("permata") => Self::PermataVa,
            Some(_) | None => Self::Other,
        }
    }
}
