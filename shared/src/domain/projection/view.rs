//! The transactions of several sessions side by side, and which of them decides.

use super::super::linking::SessionOrigin;
use super::super::rupiah::Rupiah;
use super::super::transition::{Rail, TransactionState};
use super::{SessionFacts, TransactionFacts};

/// The rows of the table in design 4.1, in its order: the first that any transaction gives counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    Paid,
    PartlyReturned,
    Chargeback,
    Refund,
    Reversed,
    Alive,
    Cancel,
    Expire,
    Failure,
    /// Refused, or a card's expiry (an abandoned 3-D Secure page, a pre-authorisation): the
    /// customer may try again in the same page.
    Refused,
}

/// A transaction within its session, or a session without one.
pub(super) struct View<'s, 'a> {
    session: &'s SessionFacts<'a>,
    transaction: Option<&'s TransactionFacts<'a>>,
}

/// Every transaction of the sessions; a session without any stands for itself.
pub(super) fn views<'s, 'a>(
    sessions: &'s [SessionFacts<'a>],
) -> impl Iterator<Item = View<'s, 'a>> {
    sessions.iter().flat_map(|session| {
        let itself = session.transactions.is_empty().then_some(None);
        let transactions = session.transactions.iter().map(Some);
        transactions.chain(itself).map(move |transaction| View {
            session,
            transaction,
        })
    })
}

/// The one that decides: by row, then the one further along, then by id so that nothing depends
/// on the order of the input.
pub(super) fn deciding<'s, 'a: 's>(
    views: impl Iterator<Item = View<'s, 'a>>,
) -> Option<View<'s, 'a>> {
    views.min_by(|a, b| {
        let by_row = a.row().cmp(&b.row()).then(b.state().cmp(&a.state()));
        let by_id = a.transaction_id().cmp(&b.transaction_id());
        by_row.then(by_id).then(a.session_id().cmp(b.session_id()))
    })
}

impl<'a> View<'_, 'a> {
    pub(super) fn session_id(&self) -> &'a str {
        self.session.session_id
    }

    pub(super) fn transaction_id(&self) -> Option<&'a str> {
        self.transaction
            .map(|transaction| transaction.transaction_id)
    }

    pub(super) fn state(&self) -> TransactionState {
        self.transaction
            .map_or(self.session.unstarted, |transaction| transaction.state)
    }

    pub(super) fn row(&self) -> Row {
        use TransactionState as State;
        let card = self
            .transaction
            .is_some_and(|transaction| transaction.rail == Rail::Card);
        match self.state() {
            State::Capture | State::Settlement => Row::Paid,
            State::PartialRefund | State::PartialChargeback => Row::PartlyReturned,
            State::Chargeback => Row::Chargeback,
            State::Refund => Row::Refund,
            State::Reversed => Row::Reversed,
            State::Created | State::Pending | State::Authorize | State::Challenge => Row::Alive,
            State::Cancel => Row::Cancel,
            State::Expire if card => Row::Refused,
            State::Expire => Row::Expire,
            State::Failure => Row::Failure,
            State::Deny => Row::Refused,
        }
    }

    /// Whether exactly what was asked for was paid, apart from a fee that the gateway explains.
    /// What was asked for is the session's amount; a session that a notification brought has no
    /// amount of its own that we ever asked for, so the order's counts.
    pub(super) fn has_right_amount(&self, order_amount: Rupiah) -> bool {
        let asked = match self.session.origin {
            SessionOrigin::Checkout => self.session.gross_amount,
            SessionOrigin::Webhook => order_amount,
        };
        self.transaction.is_some_and(|transaction| {
            transaction.gross_amount == asked || transaction.original_amount == Some(asked)
        })
    }
}
