//! Whether an order may be paid, and what becomes of the payments it has.

use time::Duration;

use super::super::projection::OrderStatus;
use super::super::transition::TransactionState;
use super::PayMethod;

/// An order with less time than this is given new time: nobody could pay within it.
pub const MIN_LEFT: Duration = Duration::minutes(1);

/// What matters of an order that somebody wants to pay.
#[derive(Debug, Clone, Copy)]
pub struct OrderToPay {
    /// What it is.
    pub status: OrderStatus,
    /// It was paid at some time.
    pub was_paid: bool,
    /// An operator closed it.
    pub closed_by_operator: bool,
    /// What it had reserved was given back.
    pub released: bool,
    /// The time until it closes.
    pub left: Duration,
    /// An event it holds tickets for has begun.
    pub event_past: bool,
    /// It costs nothing.
    pub is_free: bool,
}

/// How an order may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// As it is.
    Open,
    /// With new time: it is open, and almost over.
    Extended,
    /// With new time, and with everything reserved for it again.
    Renewed,
}

/// Why an order may not be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPayable {
    /// It is paid.
    AlreadyPaid,
    /// Money arrived, and a human must decide.
    InReview,
    /// It was paid once and the money went back, or an operator closed it.
    Ended,
    /// What it holds tickets for has begun.
    EventPast,
    /// There is nothing to pay.
    NothingToPay,
}

/// Whether and how an order may be paid.
///
/// # Errors
/// Why it may not.
pub fn payable(order: &OrderToPay) -> Result<Life, NotPayable> {
    match order.status {
        OrderStatus::Paid | OrderStatus::PartiallyRefunded => return Err(NotPayable::AlreadyPaid),
        OrderStatus::Review => return Err(NotPayable::InReview),
        OrderStatus::Refunded | OrderStatus::Chargeback => return Err(NotPayable::Ended),
        OrderStatus::Expired | OrderStatus::Failed | OrderStatus::Cancelled
            if order.was_paid || order.closed_by_operator =>
        {
            return Err(NotPayable::Ended);
        }
        OrderStatus::Pending
        | OrderStatus::Expired
        | OrderStatus::Failed
        | OrderStatus::Cancelled => {}
    }
    if order.event_past {
        return Err(NotPayable::EventPast);
    }
    if order.is_free {
        return Err(NotPayable::NothingToPay);
    }
    Ok(if order.status.is_closed() || order.released {
        Life::Renewed
    } else if order.left < MIN_LEFT {
        Life::Extended
    } else {
        Life::Open
    })
}

/// What matters of a session the order has.
#[derive(Debug, Clone, Copy)]
pub struct OpenSession {
    /// The state that decided about it.
    pub state: TransactionState,
    /// What was asked for, or what it turned out to be; `None` when nobody can say.
    pub method: Option<PayMethod>,
    /// Checkout has what Midtrans answered.
    pub answered: bool,
    /// Somebody is getting that answer now.
    pub busy: bool,
    /// Its time is over.
    pub over: bool,
}

/// What to do. Numbers are places in the list of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Somebody else is making this one: look again when it is done.
    Wait(usize),
    /// End the sessions of `close` at Midtrans, then `target`.
    Go {
        /// What the customer pays with.
        target: Target,
        /// What must not be payable beside it, newest first.
        close: Vec<usize>,
    },
}

/// What the customer pays with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This session, as it is.
    Reuse(usize),
    /// This session, of which nobody knows whether Midtrans has it.
    Adopt(usize),
    /// A new session.
    New,
}

/// What a wish to pay by `method` comes to for an order with these sessions, newest first. With
/// [`Life::Renewed`] no session is used again: what it was to pay for was given back. With
/// [`Life::Extended`] one is that the customer may be paying right now, but none is made: its time
/// was the order's.
pub fn plan(sessions: &[OpenSession], method: PayMethod, life: Life) -> Plan {
    let open: Vec<usize> = (0..sessions.len())
        .filter(|place| is_open(&sessions[*place], *place == 0))
        .collect();
    if let Some(busy) = open.iter().find(|place| sessions[**place].busy) {
        return Plan::Wait(*busy);
    }
    let fits = |place: &&usize| {
        let session = &sessions[**place];
        let timely = match life {
            Life::Open => true,
            Life::Extended => session.answered,
            Life::Renewed => false,
        };
        timely && !session.over && session.method == Some(method)
    };
    let target = match open.iter().find(fits) {
        Some(place) if sessions[*place].answered => Target::Reuse(*place),
        Some(place) => Target::Adopt(*place),
        None => Target::New,
    };
    let close = open
        .into_iter()
        .filter(|place| !matches!(target, Target::Reuse(p) | Target::Adopt(p) if p == *place))
        .collect();
    Plan::Go { target, close }
}

/// Whether a customer could pay through it.
fn is_open(session: &OpenSession, newest: bool) -> bool {
    match session.state {
        // A notification that nobody believed yet makes a session too; nobody asked for that one.
        TransactionState::Created => session.method.is_some(),
        TransactionState::Pending | TransactionState::Authorize | TransactionState::Challenge => {
            true
        }
        // In Midtrans' page the customer may try again.
        TransactionState::Deny => {
            newest && session.answered && !session.over && session.method == Some(PayMethod::Snap)
        }
        TransactionState::Capture
        | TransactionState::Settlement
        | TransactionState::Reversed
        | TransactionState::Cancel
        | TransactionState::Expire
        | TransactionState::Failure
        | TransactionState::PartialRefund
        | TransactionState::Refund
        | TransactionState::PartialChargeback
        | TransactionState::Chargeback => false,
    }
}

#[cfg(test)]
mod tests;
