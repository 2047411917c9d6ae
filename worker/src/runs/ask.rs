//! Asking Midtrans about one payment: about its session, and about every transaction of it that
//! may still change.

use std::collections::{BTreeSet, VecDeque};

use shared::apply::{Input, Item};
use shared::domain::{Observation, Source, StatusAnswer, TransactionState, TransactionStatus};
use shared::midtrans::{ActionAnswer, CallError, Gateway, GatewayError, PageClosed};
use shared::store::reconcile::{DuePayment, DueTransaction};
use time::{Duration, OffsetDateTime};

/// Virtual accounts that Midtrans knows only by the transaction's own id (`midtrans.md` 4.4), as
/// it does DANA.
const BY_TRANSACTION_ONLY: [&str; 4] = ["danamon", "bsi", "seabank", "saqu"];

/// Midtrans may lag behind the end of a payment's time for so long before it is told to end it.
const LAG: Duration = Duration::seconds(90);

/// What Midtrans said about a payment.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What to apply.
    pub(super) items: Vec<Item>,
    /// Midtrans knows nothing of it.
    pub(super) unknown: bool,
    /// It could not be ended at Midtrans, although its time is over.
    pub(super) not_ended: bool,
    /// Transactions that may still be paid.
    alive: BTreeSet<String>,
    /// Those of them that wait for the customer: only they can expire (`midtrans.md` 4.5).
    pending: BTreeSet<String>,
}

impl Asked {
    fn take(&mut self, seen: Box<Observation>) {
        let state = TransactionState::of(&seen.status, seen.fraud.as_ref(), seen.rail());
        let is = |wanted: bool, set: &mut BTreeSet<String>| match wanted {
            true => set.insert(seen.transaction_id.clone()),
            false => set.remove(&seen.transaction_id),
        };
        is(
            state.is_some_and(TransactionState::is_alive),
            &mut self.alive,
        );
        is(state == Some(TransactionState::Pending), &mut self.pending);
        self.items.push(Item::new(Input::Observed(seen)));
    }

    /// Whether something may still be paid.
    pub(super) fn is_alive(&self) -> bool {
        !self.alive.is_empty()
    }
}

/// Asks about everything of a payment that may have changed.
pub(super) async fn ask(gateway: &Gateway, payment: &DuePayment) -> Result<Asked, GatewayError> {
    let session = payment.session_id.as_str();
    let mut alive: VecDeque<&str> = payment
        .transactions
        .iter()
        .filter(|transaction| state_of(transaction).is_alive())
        .map(|transaction| transaction.id.as_str())
        .collect();
    let channel = payment.payment_channel.as_deref();
    let by_id_only = payment.payment_type.as_deref() == Some("dana")
        || channel.is_some_and(|bank| BY_TRANSACTION_ONLY.contains(&bank));
    // In a page, or in what a notification made, another transaction may have followed.
    let others_possible = payment.snap_token.is_some() || payment.origin == "webhook";
    if !by_id_only || others_possible || alive.is_empty() {
        alive.push_front(session);
    }
    let mut asked = Asked::default();
    let mut answered: Vec<String> = Vec::new();
    while let Some(id) = alive.pop_front() {
        if answered.iter().any(|done| done == id) {
            continue;
        }
        match gateway.status(id, session, None, Source::Reconcile).await? {
            StatusAnswer::Found(seen) => {
                answered.push(seen.transaction_id.clone());
                asked.take(seen);
            }
            StatusAnswer::NotFound | StatusAnswer::Error { .. } => {}
        }
    }
    asked.unknown = asked.items.is_empty();
    Ok(asked)
}

/// Ends at Midtrans what is over here and alive there; afterwards says what it is.
pub(super) async fn expire(
    gateway: &Gateway,
    payment: &DuePayment,
    asked: &mut Asked,
) -> Result<(), CallError> {
    for id in asked.pending.clone() {
        // What its state does not allow is asked about again at the next check.
        if let ActionAnswer::Done(mut seen) = gateway.expire(&id, &payment.session_id).await? {
            seen.source = Source::Reconcile;
            asked.take(seen);
        }
    }
    if !asked.unknown {
        return Ok(());
    }
    if let Some(token) = payment.snap_token.as_deref()
        && gateway.cancel_page(token).await? == PageClosed::NotOpen
    {
        // Somebody has begun to pay in it, or it was closed before: what there is decides.
        let again = ask(gateway, payment).await?;
        if !again.unknown {
            *asked = again;
            return Ok(());
        }
    }
    if payment.origin == "checkout" && payment.transactions.is_empty() {
        asked.items.push(Item::new(Input::SessionEnded {
            session_id: payment.session_id.clone(),
            status: TransactionStatus::Expire,
            source: Source::Reconcile,
        }));
    }
    Ok(())
}

/// Whether nobody should be able to pay any more.
pub(super) fn is_over(payment: &DuePayment, closing: Option<OffsetDateTime>) -> bool {
    let end = [payment.expires_at, closing].into_iter().flatten().min();
    end.is_some_and(|end| end + LAG <= payment.now)
}

fn state_of(transaction: &DueTransaction) -> TransactionState {
    TransactionState::of_stored(
        &transaction.status,
        transaction.fraud.as_deref(),
        transaction.payment_type.as_deref(),
        transaction.channel.as_deref(),
    )
}
