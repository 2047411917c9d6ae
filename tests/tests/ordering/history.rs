//! What a transaction was, moment by moment, and the notifications that told of it.

use lunas_tests::harness::{Method, Payment, Signed};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use shared::domain::transition::{LISTED, Rail, TransactionState};

use TransactionState::{
    Authorize, Cancel, Capture, Challenge, Chargeback, Created, Deny, Expire, Failure,
    PartialChargeback, PartialRefund, Pending, Refund, Reversed, Settlement,
};

/// What every order costs.
pub(crate) const ASKED: i64 = 150_000;

/// One moment of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) state: TransactionState,
    pub(crate) amount: i64,
    pub(crate) refunded: i64,
}

/// Everything that one transaction ever was, in order.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) rail: Rail,
    pub(crate) moments: Vec<Moment>,
    session: String,
    transaction_id: String,
    /// What the gateway adds for the customer to pay.
    fee: i64,
}

impl History {
    /// These states one after the other.
    pub(crate) fn of(session: &str, rail: Rail, states: &[TransactionState]) -> Self {
        let mut history = Self::empty(session, rail);
        for state in states {
            history.advance(*state, false);
        }
        history
    }

    /// A random walk on the listed graph.
    pub(crate) fn walk(session: &str, rng: &mut StdRng) -> Self {
        let rail = Rail::ALL[rng.random_range(0..Rail::ALL.len())];
        let mut history = Self::empty(session, rail);
        if rng.random_ratio(1, 6) {
            history.fee = 1_065;
        }
        for _ in 0..rng.random_range(1..8) {
            let from = history.moments.last().map_or(Created, |last| last.state);
            let mut next: Vec<_> = LISTED
                .iter()
                .filter(|(a, _, rails)| *a == from && rails.contains(&rail))
                // On reversing rails the network's refusal has no other name.
                .filter(|(_, to, _)| *to != Deny || matches!(rail, Rail::Card | Rail::Other))
                .map(|(_, to, _)| *to)
                .collect();
            if from == PartialRefund {
                next.push(PartialRefund);
            }
            if next.is_empty() {
                break;
            }
            let state = next[rng.random_range(0..next.len())];
            history.advance(state, rng.random_ratio(1, 3));
        }
        history
    }

    fn empty(session: &str, rail: Rail) -> Self {
        let transaction_id = Payment::new(method(rail), session, ASKED)
            .transaction_id()
            .to_owned();
        Self {
            rail,
            moments: Vec::new(),
            session: session.to_owned(),
            transaction_id,
            fee: 0,
        }
    }

    /// The same, of another session.
    pub(crate) fn again(&self, session: &str) -> Self {
        Self {
            rail: self.rail,
            moments: self.moments.clone(),
            fee: self.fee,
            ..Self::empty(session, self.rail)
        }
    }

    /// Whether in the end it has the amount that was asked for, the fee explained.
    pub(crate) fn has_right_amount(&self) -> bool {
        self.last().amount == ASKED + self.fee
    }

    fn advance(&mut self, state: TransactionState, lower: bool) {
        let before = self.moments.last().copied();
        let mut amount = before.map_or(ASKED + self.fee, |moment| moment.amount);
        if lower && before.is_some_and(|m| m.state == Authorize) && state == Capture {
            amount -= 10_000;
        }
        let so_far = before.map_or(0, |moment| moment.refunded);
        let refunded = match state {
            PartialRefund => so_far + 1_000,
            Refund => amount,
            _ => 0,
        };
        self.moments.push(Moment {
            state,
            amount,
            refunded,
        });
    }

    /// How it ends.
    pub(crate) fn last(&self) -> Moment {
        *self.moments.last().unwrap()
    }

    /// Midtrans' id of it.
    pub(crate) fn transaction_id(&self) -> &str {
        &self.transaction_id
    }

    /// The notification of a moment.
    pub(crate) fn notification(&self, step: usize) -> Signed {
        let moment = self.moments[step];
        let (status, code, fraud) = words(moment.state);
        let payment = Payment::new(method(self.rail), &self.session, moment.amount);
        let mut sent = payment
            .status(status, code)
            .field("transaction_id", self.transaction_id.as_str());
        if self.fee > 0 {
            let text = |rupiah: i64| rupiah.to_string();
            let explained = json!({
                "original_amount": text(moment.amount - self.fee),
                "gross_amount": text(moment.amount),
                "customer_imposed_payment_fee": text(self.fee),
            });
            let metadata = json!({"extra_info": {"gross_amount_info": explained}});
            sent = sent.field("metadata", metadata);
        }
        if let Some(fraud) = fraud {
            sent = sent.field("fraud_status", fraud);
        }
        if moment.refunded > 0 {
            let wire = lunas_tests::harness::wire(moment.refunded);
            let refund = json!([{"refund_key": format!("rf-{step}"), "refund_amount": wire}]);
            sent = sent.field("refund_amount", wire).field("refunds", refund);
        }
        sent
    }
}

/// A method that runs on a rail.
const fn method(rail: Rail) -> Method {
    match rail {
        Rail::Card => Method::Card,
        Rail::PermataVa => Method::PermataVa,
        Rail::MandiriBill => Method::MandiriBill,
        Rail::Indomaret => Method::Indomaret,
        Rail::Other => Method::Gopay,
    }
}

/// Status, code and, where it matters, fraud status on the wire (`midtrans.md` 1.3 and 1.4).
pub(crate) const fn words(
    state: TransactionState,
) -> (&'static str, &'static str, Option<&'static str>) {
    match state {
        Created | Pending => ("pending", "201", None),
        Authorize => ("authorize", "200", None),
        Challenge => ("capture", "201", Some("challenge")),
        Capture => ("capture", "200", Some("accept")),
        Settlement => ("settlement", "200", None),
        Deny | Reversed => ("deny", "202", None),
        Cancel => ("cancel", "202", None),
        Expire => ("expire", "202", None),
        Failure => ("failure", "202", None),
        PartialRefund => ("partial_refund", "200", None),
        Refund => ("refund", "200", None),
        PartialChargeback => ("partial_chargeback", "200", None),
        Chargeback => ("chargeback", "200", None),
    }
}
