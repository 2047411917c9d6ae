//! What an observation does to what is known of its transaction.
//!
//! Joins the table of [`super::transition`] with amounts, authority and the confirmation policy
//! (design 4.1 and 4.4). Where a notification is not believed, the answer is
//! [`Decision::Confirm`], and the status API's word comes back as an observation with authority.

use std::cmp::Ordering;

use time::OffsetDateTime;

use super::observation::{Authority, Observation};
use super::rupiah::Rupiah;
use super::transition::{Edge, Rail, TransactionState, edge, leads_to};

/// What is known of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// What it is.
    pub state: TransactionState,
    /// How it was paid.
    pub rail: Rail,
    /// Its amount.
    pub gross_amount: Rupiah,
    /// How much of it went back so far.
    pub refunded: Rupiah,
    /// When what is known was true at the latest: the largest `received_at` among the observations
    /// that were applied. `None` skips the guard against answers that were overtaken.
    pub as_of: Option<OffsetDateTime>,
}

/// Which notifications are checked with the status API before they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConfirmPolicy {
    /// Those that a signature does not protect: out of an authorisation into money, money going
    /// back, paid to anything negative, and every edge that is not listed.
    #[default]
    Risky,
    /// Those, and the first time a transaction is paid.
    Always,
    /// None: listed edges are trusted, others are recorded as stale.
    Never,
}

impl ConfirmPolicy {
    /// Reads the setting's word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "risky" => Some(Self::Risky),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// The setting's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Risky => "risky",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// What to do with an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The transaction is this now.
    Apply(Known),
    /// It was this already; final as `applied`.
    Same,
    /// Recorded, changes nothing.
    Stale(StaleReason),
    /// Ask the status API. A notification is recorded as `unconfirmed` until then; for an answer it
    /// means that it was overtaken and contradicts what is newer: ask again.
    Confirm,
}

/// Why an observation changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StaleReason {
    /// The state comes before the present one.
    Earlier,
    /// A status that is not known.
    UnknownStatus,
    /// Not a listed edge, and the policy asks nobody.
    Unlisted,
    /// The answer to a question that was sent before something newer was applied.
    Overtaken,
}

impl StaleReason {
    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "earlier",
            Self::UnknownStatus => "unknown_status",
            Self::Unlisted => "unlisted",
            Self::Overtaken => "overtaken",
        }
    }
}

/// Decides about one observation. `repeated` says that this very event was seen before with a
/// final verdict: it is [`Decision::Same`], unless [`needs_confirm_again`].
pub fn decide(
    current: Option<&Known>,
    seen: &Observation,
    policy: ConfirmPolicy,
    repeated: bool,
) -> Decision {
    let rail = rail_of(current, seen);
    let Some(state) = TransactionState::of(&seen.status, seen.fraud.as_ref(), rail) else {
        return Decision::Stale(StaleReason::UnknownStatus);
    };
    let kind = edge_with_amounts(current, state, rail, seen);
    let next = next(current, state, rail, seen);
    match seen.authority {
        Authority::Confirmed => answered(current, seen, kind, next),
        Authority::Notified => match notified(current, state, kind, policy, repeated) {
            None => Decision::Apply(next),
            Some(other) => other,
        },
    }
}

/// Whether a repeated event has to be looked at again: it says paid, and what is known says that
/// the money went back or never came. A rejected refund and a won dispute repeat the old words.
pub fn needs_confirm_again(current: TransactionState, observed: TransactionState) -> bool {
    use TransactionState::{Cancel, Chargeback, Expire, Refund};
    observed.is_paid() && matches!(current, Refund | Chargeback | Expire | Cancel)
}

/// A body that names no method, or not finely, does not unlearn what is known.
fn rail_of(current: Option<&Known>, seen: &Observation) -> Rail {
    match (seen.rail(), current) {
        (Rail::Other, Some(known)) => known.rail,
        (rail, _) => rail,
    }
}

/// Partial refunds repeat with a growing amount; everything else is a matter of states. A
/// notification that does not say how much went back leaves that to the status API.
fn edge_with_amounts(
    current: Option<&Known>,
    state: TransactionState,
    rail: Rail,
    seen: &Observation,
) -> Edge {
    use TransactionState::{PartialChargeback, PartialRefund};
    let by_state = edge(current.map(|known| known.state), state, rail);
    let (Edge::Same, PartialRefund | PartialChargeback, Some(known)) = (by_state, state, current)
    else {
        return by_state;
    };
    match (
        seen.refund_amount.map(|amount| amount.cmp(&known.refunded)),
        seen.authority,
    ) {
        (Some(Ordering::Greater), _) => Edge::Advance,
        (Some(Ordering::Less), _) => Edge::Stale,
        (Some(Ordering::Equal), _) | (None, Authority::Confirmed) => Edge::Same,
        (None, Authority::Notified) => Edge::Confirm,
    }
}

/// An answer may cross any edge, forward or back, unless something newer was applied while it was
/// on its way. Then a state further along still counts, because the graph is never walked
/// backwards; an earlier one does not; anything else has to be asked again.
fn answered(current: Option<&Known>, seen: &Observation, kind: Edge, next: Known) -> Decision {
    let newer = current.filter(|known| known.as_of.is_some_and(|as_of| seen.received_at < as_of));
    match (kind, newer) {
        (Edge::Same, _) => Decision::Same,
        (Edge::Advance, _) | (Edge::Stale | Edge::Confirm, None) => Decision::Apply(next),
        (Edge::Stale, Some(_)) => Decision::Stale(StaleReason::Overtaken),
        (Edge::Confirm, Some(known)) if leads_to(known.state, next.state, next.rail) => {
            Decision::Apply(next)
        }
        (Edge::Confirm, Some(_)) => Decision::Confirm,
    }
}

/// What else to do with a notification than to apply it, if anything.
fn notified(
    current: Option<&Known>,
    state: TransactionState,
    kind: Edge,
    policy: ConfirmPolicy,
    repeated: bool,
) -> Option<Decision> {
    let from = current.map(|known| known.state);
    // The same words twice may be two partial refunds when they do not say how much.
    let amount_unsaid = kind == Edge::Confirm && from == Some(state);
    if repeated && !amount_unsaid && !from.is_some_and(|from| needs_confirm_again(from, state)) {
        return Some(Decision::Same);
    }
    let ask = match kind {
        Edge::Same => return Some(Decision::Same),
        Edge::Stale if repeated => true,
        Edge::Stale => return Some(Decision::Stale(StaleReason::Earlier)),
        Edge::Confirm => true,
        Edge::Advance => match policy {
            ConfirmPolicy::Never => false,
            ConfirmPolicy::Risky => is_risky(from, state),
            ConfirmPolicy::Always => is_risky(from, state) || is_first_paid(from, state),
        },
    };
    match (ask, policy) {
        (false, _) => None,
        (true, ConfirmPolicy::Never) => Some(Decision::Stale(StaleReason::Unlisted)),
        (true, ConfirmPolicy::Risky | ConfirmPolicy::Always) => Some(Decision::Confirm),
    }
}

/// The listed edges that one genuine body of the same order is enough to forge, or that take a
/// paid order down. A reversal of a settlement is listed and goes from paid to a negative, so it
/// is asked about; a reversal that comes before its settlement takes nothing away and is not.
fn is_risky(from: Option<TransactionState>, to: TransactionState) -> bool {
    use TransactionState::{Authorize, Capture, Settlement};
    let out_of_authorize = from == Some(Authorize) && matches!(to, Capture | Settlement);
    let out_of_paid = from.is_some_and(TransactionState::is_paid) && !to.is_paid();
    out_of_authorize || out_of_paid || to.takes_money_back()
}

fn is_first_paid(from: Option<TransactionState>, to: TransactionState) -> bool {
    to.is_paid() && !from.is_some_and(TransactionState::is_paid)
}

/// What is known once the observation counts.
fn next(current: Option<&Known>, state: TransactionState, rail: Rail, seen: &Observation) -> Known {
    use TransactionState::{PartialChargeback, PartialRefund, Refund};
    let before = current.map_or(Rupiah::ZERO, |known| known.refunded);
    let refunded = match state {
        Refund => seen.refund_amount.unwrap_or(seen.gross_amount),
        PartialRefund | PartialChargeback => seen.refund_amount.unwrap_or(before),
        _ => seen.refund_amount.unwrap_or(Rupiah::ZERO),
    };
    let as_of = current
        .and_then(|known| known.as_of)
        .max(Some(seen.received_at));
    Known {
        state,
        rail,
        gross_amount: seen.gross_amount,
        refunded,
        as_of,
    }
}

#[cfg(test)]
mod tests;
