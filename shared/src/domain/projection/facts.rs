//! The inputs of a projection, as plain values that the store fills in under its locks.

use time::OffsetDateTime;

use super::super::linking::SessionOrigin;
use super::super::rupiah::Rupiah;
use super::super::transition::{Rail, TransactionState};
use super::OrderStatus;

/// One transaction.
#[derive(Debug, Clone, Copy)]
pub struct TransactionFacts<'a> {
    /// Midtrans' id.
    pub transaction_id: &'a str,
    /// What it is.
    pub state: TransactionState,
    /// How it was paid.
    pub rail: Rail,
    /// What the customer paid, a refund not taken off.
    pub gross_amount: Rupiah,
    /// What was asked for before the gateway added its fee, where the body explained it exactly
    /// ([`FeeInfo::original`](super::super::observation::FeeInfo::original)).
    pub original_amount: Option<Rupiah>,
}

/// One payment session with its transactions.
#[derive(Debug, Clone)]
pub struct SessionFacts<'a> {
    /// Midtrans' order id.
    pub session_id: &'a str,
    /// Where it comes from.
    pub origin: SessionOrigin,
    /// What it asks for.
    pub gross_amount: Rupiah,
    /// What it is while it has no transaction: `Created`, or how it ended without one, such as
    /// `Cancel` for a page that nobody started.
    pub unstarted: TransactionState,
    /// Its transactions, in any order.
    pub transactions: Vec<TransactionFacts<'a>>,
}

/// What there is of the order.
#[derive(Debug, Clone)]
pub struct OrderFacts<'a> {
    /// Its present status.
    pub status: OrderStatus,
    /// What it costs.
    pub gross_amount: Rupiah,
    /// Until when it may be paid.
    pub expires_at: OffsetDateTime,
    /// The database's clock.
    pub now: OffsetDateTime,
    /// Its capacity and stock.
    pub hold: Hold,
    /// Goods were handed over.
    pub picked_up: bool,
    /// A ticket was used.
    pub ticket_used: bool,
    /// It is past its time, Midtrans was asked, and it is being closed now.
    pub closing: bool,
    /// The last word of an operator.
    pub resolution: Option<Resolution<'a>>,
}

/// Whether what an order needs is reserved for it, or sold to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// All of it.
    Held,
    /// It was given back.
    Released {
        /// All of it could be taken again now.
        available: bool,
    },
}

/// What an operator decided about an order in review.
#[derive(Debug, Clone, Copy)]
pub struct Resolution<'a> {
    /// The decision.
    pub action: ResolutionAction,
    /// The transactions that were paid when it was made, in any order.
    pub paid: &'a [&'a str],
}

/// The two ways out of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResolutionAction {
    /// Fulfil it as it is.
    Fulfil,
    /// Close it.
    Close,
}

impl ResolutionAction {
    /// The word of `orders.resolution`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fulfil => "fulfil",
            Self::Close => "close",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Fulfil, Self::Close]
            .into_iter()
            .find(|action| action.as_str() == word)
    }
}

impl Resolution<'_> {
    /// Whether the set of paid transactions is still the one that was decided about.
    pub(super) fn holds_for(&self, paid_sorted: &[&str]) -> bool {
        let mut decided_about = self.paid.to_vec();
        decided_about.sort_unstable();
        decided_about.dedup();
        decided_about == paid_sorted
    }
}
