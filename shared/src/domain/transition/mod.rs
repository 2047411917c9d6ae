//! The state machine of one transaction, as data: what each pair of states is on each rail
//! (`midtrans.md` section 5).
//!
//! [`LISTED`] and [`SURPRISING`] are the whole knowledge; [`edge`] derives the rest: back along
//! the listed graph is stale, everything else is to be confirmed. Amounts, policy and authority
//! are not in here, they are [`super::decide()`]'s.

mod state;

use std::sync::LazyLock;

pub use state::{Rail, TransactionState};

use TransactionState::{
    Authorize, Cancel, Capture, Challenge, Chargeback, Created, Deny, Expire, Failure,
    PartialChargeback, PartialRefund, Pending, Refund, Reversed, Settlement,
};

/// What a pair of states is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// A documented step forward.
    Advance,
    /// The state that is there already.
    Same,
    /// A state that comes before the present one: a late or repeated notification.
    Stale,
    /// Surprising or not documented: only the status API can tell.
    Confirm,
}

/// The rails on which an edge is listed.
type Rails = &'static [Rail];

const ANY: Rails = &Rail::ALL;
const CARD: Rails = &[Rail::Card];
/// Virtual accounts, Mandiri bill and Indomaret take no refunds (`midtrans.md` 4.5).
const REFUNDABLE: Rails = &[Rail::Card, Rail::Other];
/// Where `deny` means that the payment network took a settlement back.
const REVERSING: Rails = &[Rail::PermataVa, Rail::MandiriBill, Rail::Indomaret];
/// A pre-authorisation exists for cards and for GoPay tokenization.
const PREAUTH: Rails = &[Rail::Card, Rail::Other];

/// Every documented step. A transaction nobody knew yet is `Created`. `capture` without its fraud
/// challenge is `Capture`, with it `Challenge`.
pub const LISTED: &[(TransactionState, TransactionState, Rails)] = &[
    (Created, Pending, ANY),
    (Created, Authorize, PREAUTH),
    (Created, Challenge, CARD),
    (Created, Capture, PREAUTH),
    (Created, Settlement, ANY),
    (Created, Deny, ANY),
    (Pending, Authorize, PREAUTH),
    (Pending, Challenge, CARD),
    (Pending, Capture, CARD),
    (Pending, Settlement, ANY),
    (Pending, Deny, ANY),
    (Pending, Expire, ANY),
    (Pending, Cancel, ANY),
    (Pending, Failure, ANY),
    (Authorize, Capture, PREAUTH),
    (Authorize, Cancel, PREAUTH),
    (Authorize, Expire, PREAUTH),
    (Authorize, Deny, PREAUTH),
    (Challenge, Capture, CARD),
    (Challenge, Deny, CARD),
    (Challenge, Cancel, CARD),
    (Capture, Settlement, PREAUTH),
    (Capture, Cancel, PREAUTH),
    (Settlement, PartialRefund, REFUNDABLE),
    (Settlement, Refund, REFUNDABLE),
    (PartialRefund, Refund, REFUNDABLE),
    (Settlement, PartialChargeback, CARD),
    (Settlement, Chargeback, CARD),
    (PartialChargeback, Chargeback, CARD),
    // A reversal is listed from wherever the transaction stands: the settlement that it takes
    // back may be late or lost.
    (Created, Reversed, REVERSING),
    (Pending, Reversed, REVERSING),
    (Settlement, Reversed, REVERSING),
];

/// Steps that nobody documents and that move money if they are true. They would count as stale
/// where they lead back along the graph.
pub const SURPRISING: &[(TransactionState, TransactionState)] = &[
    (Expire, Settlement),
    (Cancel, Settlement),
    (Refund, Settlement),
    (Chargeback, Settlement),
];

/// What it is when a transaction known as `from` is said to be `to`.
pub fn edge(from: Option<TransactionState>, to: TransactionState, rail: Rail) -> Edge {
    MATRIX[rail as usize][from.unwrap_or(Created) as usize][to as usize]
}

/// Whether listed steps lead from one state to the other, over any number of states between.
pub fn leads_to(from: TransactionState, to: TransactionState, rail: Rail) -> bool {
    REACHES[rail as usize][from as usize][to as usize]
}

const STATES: usize = TransactionState::ALL.len();
type PerPair<T> = [[T; STATES]; STATES];

static MATRIX: LazyLock<[PerPair<Edge>; Rail::ALL.len()]> = LazyLock::new(|| Rail::ALL.map(matrix));
static REACHES: LazyLock<[PerPair<bool>; Rail::ALL.len()]> =
    LazyLock::new(|| Rail::ALL.map(reachability));

fn matrix(rail: Rail) -> PerPair<Edge> {
    TransactionState::ALL.map(|from| {
        TransactionState::ALL.map(|to| {
            if from == to {
                Edge::Same
            } else if is_listed(from, to, rail) {
                Edge::Advance
            } else if SURPRISING.contains(&(from, to)) {
                Edge::Confirm
            } else if leads_to(to, from, rail) {
                Edge::Stale
            } else {
                Edge::Confirm
            }
        })
    })
}

fn is_listed(from: TransactionState, to: TransactionState, rail: Rail) -> bool {
    LISTED
        .iter()
        .any(|(a, b, rails)| *a == from && *b == to && rails.contains(&rail))
}

/// Which state leads to which by one or more listed steps.
fn reachability(rail: Rail) -> PerPair<bool> {
    let mut reaches =
        TransactionState::ALL.map(|a| TransactionState::ALL.map(|b| is_listed(a, b, rail)));
    for via in 0..STATES {
        let onward = reaches[via];
        for row in &mut reaches {
            if row[via] {
                for (cell, also) in row.iter_mut().zip(onward) {
                    *cell |= also;
                }
            }
        }
    }
    reaches
}

#[cfg(test)]
mod tests;
