//! What session and order are, given what their transactions are: a projection over all of them,
//! never a history (design 4.1), so that no order of arrival can leave a trace.
//!
//! Which effects a status demands is the planner's; which transaction states there are is
//! [`super::transition`]'s.

mod facts;
mod view;
mod words;

pub use facts::{Hold, OrderFacts, Resolution, ResolutionAction, SessionFacts, TransactionFacts};
pub use words::{OrderStatus, ReviewReason};

use super::transition::TransactionState;
use view::{Row, View, deciding, views};

/// What a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionProjection<'a> {
    /// The state that decided; its word is `payments.status`.
    pub state: TransactionState,
    /// The transaction that decided; `None` while there is none.
    pub transaction_id: Option<&'a str>,
    /// Whether the session is paid, also when part of it went back.
    pub paid: bool,
}

/// What an order is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderProjection<'a> {
    /// `orders.status`.
    pub status: OrderStatus,
    /// What a human should look at, sorted.
    pub reasons: Vec<ReviewReason>,
    /// The session and transaction that decided; `None` without any session.
    pub decided_by: Option<(&'a str, Option<&'a str>)>,
    /// Every transaction that is paid now, sorted: what a resolution is made for.
    pub paid: Vec<&'a str>,
    /// The hold was released, this status needs it back, and it can be taken.
    pub reserve_again: bool,
}

/// Projects one session; needs no order, so that an orphan has a status too.
pub fn project_session<'a>(session: &SessionFacts<'a>) -> SessionProjection<'a> {
    let decided = deciding(views(std::slice::from_ref(session)));
    let state = decided.as_ref().map_or(session.unstarted, View::state);
    SessionProjection {
        state,
        transaction_id: decided.and_then(|view| view.transaction_id()),
        paid: state.is_paid(),
    }
}

/// Projects one order over the transactions of all its sessions.
pub fn project_order<'a>(
    order: &OrderFacts<'_>,
    sessions: &[SessionFacts<'a>],
) -> OrderProjection<'a> {
    let decided = deciding(views(sessions));
    let row = decided.as_ref().map(View::row);
    let paid: Vec<_> = views(sessions)
        .filter(|view| view.state().is_paid())
        .collect();
    let mut ids: Vec<_> = paid.iter().filter_map(View::transaction_id).collect();
    ids.sort_unstable();
    let (status, reasons) = match &order.resolution {
        // Nobody's word brings back what is gone: then it is a matter for review again.
        Some(resolution)
            if resolution.holds_for(&ids)
                && (resolution.action == ResolutionAction::Close
                    || order.hold != (Hold::Released { available: false })) =>
        {
            (resolved_status(resolution.action, row), Vec::new())
        }
        Some(_) | None => {
            let mut reasons = money_reasons(order, row, &paid);
            let status = judged_status(order, row, sessions, &reasons);
            reasons.extend(handed_over_reasons(order, status));
            reasons.sort_unstable();
            (status, reasons)
        }
    };
    OrderProjection {
        status,
        reasons,
        decided_by: decided.map(|view| (view.session_id(), view.transaction_id())),
        paid: ids,
        reserve_again: !status.is_closed() && order.hold == Hold::Released { available: true },
    }
}

/// What the operator's word makes of it; a partial refund stays visible.
fn resolved_status(action: ResolutionAction, row: Option<Row>) -> OrderStatus {
    match (action, row) {
        (ResolutionAction::Close, _) => OrderStatus::Cancelled,
        (ResolutionAction::Fulfil, Some(Row::PartlyReturned)) => OrderStatus::PartiallyRefunded,
        (ResolutionAction::Fulfil, _) => OrderStatus::Paid,
    }
}

fn judged_status(
    order: &OrderFacts<'_>,
    row: Option<Row>,
    sessions: &[SessionFacts<'_>],
    reasons: &[ReviewReason],
) -> OrderStatus {
    let held_for_review = reasons.iter().any(|reason| reason.holds_fulfilment());
    match row {
        Some(Row::Paid | Row::PartlyReturned) if held_for_review => OrderStatus::Review,
        Some(Row::Paid) => OrderStatus::Paid,
        Some(Row::PartlyReturned) => OrderStatus::PartiallyRefunded,
        Some(Row::Chargeback) => OrderStatus::Chargeback,
        Some(Row::Refund) => OrderStatus::Refunded,
        Some(Row::Reversed | Row::Failure) => OrderStatus::Failed,
        Some(Row::Cancel) => OrderStatus::Cancelled,
        Some(Row::Expire) => OrderStatus::Expired,
        Some(Row::Alive) | None if stays_open(order) => OrderStatus::Pending,
        Some(Row::Alive) | None => closed_status(sessions),
        Some(Row::Refused) if order.now < order.expires_at && stays_open(order) => {
            OrderStatus::Pending
        }
        Some(Row::Refused) => OrderStatus::Expired,
    }
}

/// Whether an order that may still be paid is open. One that is open stays so until it is closed
/// by its time, which asks Midtrans first; one that was closed opens again before its time if
/// what it had reserved can be had again.
fn stays_open(order: &OrderFacts<'_>) -> bool {
    let reservable = order.hold != Hold::Released { available: false };
    if order.closing {
        false
    } else if order.status.is_closed() {
        order.now < order.expires_at && reservable
    } else {
        true
    }
}

/// What a closed order is called while something of it may still be paid: by what did end, so
/// that the name does not depend on which came first.
fn closed_status(sessions: &[SessionFacts<'_>]) -> OrderStatus {
    match deciding(views(sessions).filter(|view| !view.state().is_alive()))
        .as_ref()
        .map(View::row)
    {
        Some(Row::Cancel) => OrderStatus::Cancelled,
        Some(Row::Failure) => OrderStatus::Failed,
        _ => OrderStatus::Expired,
    }
}

/// Reasons that lie in the transactions and in the hold.
fn money_reasons(
    order: &OrderFacts<'_>,
    row: Option<Row>,
    paid: &[View<'_, '_>],
) -> Vec<ReviewReason> {
    let mut reasons = Vec::new();
    if row == Some(Row::Reversed) {
        reasons.push(ReviewReason::Reversed);
    }
    if paid.is_empty() {
        return reasons;
    }
    if !paid
        .iter()
        .any(|view| view.has_right_amount(order.gross_amount))
    {
        reasons.push(ReviewReason::AmountMismatch);
    }
    if paid.len() > 1 {
        reasons.push(ReviewReason::DuplicatePayment);
    }
    if order.hold == (Hold::Released { available: false }) {
        reasons.push(ReviewReason::PaidAfterRelease);
    }
    reasons
}

/// Reasons that lie in what the customer has already: it cannot be taken back by us.
fn handed_over_reasons(
    order: &OrderFacts<'_>,
    status: OrderStatus,
) -> impl Iterator<Item = ReviewReason> {
    let lost = [
        (order.picked_up, ReviewReason::RefundedAfterPickup),
        (order.ticket_used, ReviewReason::RefundedAfterUse),
    ];
    lost.into_iter()
        .filter(move |(handed_over, _)| *handed_over && status.is_closed())
        .map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests;
