//! The words of `orders.status` and `orders.review_reasons`.

use std::fmt;

/// What an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Waiting for the customer.
    Pending,
    /// Paid and to be fulfilled.
    Paid,
    /// Money arrived and a human must decide; nothing is fulfilled.
    Review,
    /// Not paid in time.
    Expired,
    /// Failed, or its payment was reversed.
    Failed,
    /// Cancelled, or its payment was voided.
    Cancelled,
    /// All of the money went back.
    Refunded,
    /// Part of the money went back; still fulfilled.
    PartiallyRefunded,
    /// A dispute took the money back.
    Chargeback,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Paid,
        Self::Review,
        Self::Expired,
        Self::Failed,
        Self::Cancelled,
        Self::Refunded,
        Self::PartiallyRefunded,
        Self::Chargeback,
    ];

    /// The word of the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Paid => "PAID",
            Self::Review => "REVIEW",
            Self::Expired => "EXPIRED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
            Self::PartiallyRefunded => "PARTIALLY_REFUNDED",
            Self::Chargeback => "CHARGEBACK",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// It holds nothing and is owed nothing.
    pub const fn is_closed(self) -> bool {
        match self {
            Self::Expired | Self::Failed | Self::Cancelled | Self::Refunded | Self::Chargeback => {
                true
            }
            Self::Pending | Self::Paid | Self::Review | Self::PartiallyRefunded => false,
        }
    }

    /// Its tickets are issued and its goods are the customer's.
    pub const fn is_fulfilled(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded)
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a human should look at an order. In the order of the words' spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReviewReason {
    /// No paid transaction has the amount that was asked for.
    AmountMismatch,
    /// More than one transaction is paid.
    DuplicatePayment,
    /// Paid when what it had reserved was gone.
    PaidAfterRelease,
    /// Closed after the goods were handed over.
    RefundedAfterPickup,
    /// Closed after a ticket was used.
    RefundedAfterUse,
    /// The payment network took a settlement back.
    Reversed,
}

impl ReviewReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::AmountMismatch,
        Self::DuplicatePayment,
        Self::PaidAfterRelease,
        Self::RefundedAfterPickup,
        Self::RefundedAfterUse,
        Self::Reversed,
    ];

    /// The word of the column.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AmountMismatch => "amount_mismatch",
            Self::DuplicatePayment => "duplicate_payment",
            Self::PaidAfterRelease => "paid_after_release",
            Self::RefundedAfterPickup => "refunded_after_pickup",
            Self::RefundedAfterUse => "refunded_after_use",
            Self::Reversed => "reversed",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// It keeps a paid order from being fulfilled; the others are only shown.
    pub const fn holds_fulfilment(self) -> bool {
        match self {
            Self::AmountMismatch | Self::PaidAfterRelease => true,
            Self::DuplicatePayment
            | Self::RefundedAfterPickup
            | Self::RefundedAfterUse
            | Self::Reversed => false,
        }
    }
}
