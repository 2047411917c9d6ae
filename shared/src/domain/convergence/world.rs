//! A gateway that knows the truth, and the notifications and answers between it and us.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use time::{Duration, OffsetDateTime};

use super::super::decide::{ConfirmPolicy, Decision, Known, decide, needs_confirm_again};
use super::super::fixtures::observation;
use super::super::linking::SessionOrigin;
use super::super::observation::{Authority, Observation};
use super::super::projection::{
    Hold, OrderFacts, OrderStatus, ReviewReason, SessionFacts, TransactionFacts, project_order,
};
use super::super::rupiah::Rupiah;
use super::super::transition::{LISTED, Rail, TransactionState};
use TransactionState::{Authorize, Capture, Created, Deny, PartialRefund, Refund};

const ASKED: Rupiah = Rupiah::new(150_000);

/// One moment of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Moment {
    pub(super) state: TransactionState,
    gross_amount: Rupiah,
    pub(super) refunded: Rupiah,
}

/// Everything one transaction ever was, in order.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) rail: Rail,
    pub(super) moments: Vec<Moment>,
}

impl History {
    /// Walks the listed graph as the choices say.
    pub(super) fn walk(rail: Rail, choices: &[u8]) -> Self {
        let mut moments: Vec<Moment> = Vec::new();
        for choice in choices {
            let at = moments.last().copied();
            let from = at.map_or(Created, |moment| moment.state);
            let mut next: Vec<_> = LISTED
                .iter()
                .filter(|(a, _, rails)| *a == from && rails.contains(&rail))
                // On these rails the network's refusal is a reversal and has no other name.
                .filter(|(_, to, _)| *to != Deny || rail == Rail::Card || rail == Rail::Other)
                .map(|(_, to, _)| *to)
                .collect();
            if from == PartialRefund {
                next.push(PartialRefund);
            }
            if next.is_empty() {
                break;
            }
            let state = next[usize::from(*choice) % next.len()];
            moments.push(Moment::after(at, state, *choice));
        }
        Self { rail, moments }
    }

    pub(super) fn of(rail: Rail, states: &[TransactionState]) -> Self {
        let mut moments: Vec<Moment> = Vec::new();
        for state in states {
            moments.push(Moment::after(moments.last().copied(), *state, 1));
        }
        Self { rail, moments }
    }

    pub(super) fn last(&self) -> Moment {
        *self.moments.last().unwrap()
    }
}

impl Moment {
    fn after(before: Option<Self>, state: TransactionState, choice: u8) -> Self {
        let mut gross_amount = before.map_or(ASKED, |moment| moment.gross_amount);
        let from = before.map_or(Created, |moment| moment.state);
        if (from, state) == (Authorize, Capture) && choice.is_multiple_of(3) {
            gross_amount = Rupiah::new(140_000);
        }
        let so_far = before.map_or(0, |moment| moment.refunded.get());
        let refunded = match state {
            PartialRefund => Rupiah::new(so_far + 1_000),
            Refund => gross_amount,
            _ => Rupiah::ZERO,
        };
        Self {
            state,
            gross_amount,
            refunded,
        }
    }
}

/// The world while notifications arrive.
pub(super) struct World<'h> {
    histories: &'h [History],
    policy: ConfirmPolicy,
    rng: StdRng,
    now: OffsetDateTime,
    /// How far each transaction has come at the gateway.
    progress: Vec<usize>,
    pub(super) known: Vec<Option<Known>>,
    /// Events with a final verdict.
    settled: BTreeSet<(usize, usize)>,
    /// Answers under way.
    answers: Vec<(usize, Observation)>,
    order: OrderStatus,
    pub(super) questions: usize,
}

impl<'h> World<'h> {
    pub(super) fn new(histories: &'h [History], policy: ConfirmPolicy, seed: u64) -> Self {
        Self {
            histories,
            policy,
            rng: StdRng::seed_from_u64(seed),
            now: OffsetDateTime::UNIX_EPOCH,
            progress: vec![0; histories.len()],
            known: vec![None; histories.len()],
            settled: BTreeSet::new(),
            answers: Vec::new(),
            order: OrderStatus::Pending,
            questions: 0,
        }
    }

    pub(super) fn see(&self, transaction: usize, step: usize, authority: Authority) -> Observation {
        let history = &self.histories[transaction];
        let moment = history.moments[step];
        let mut seen = observation(moment.state, history.rail);
        seen.authority = authority;
        seen.received_at = self.now;
        seen.gross_amount = moment.gross_amount;
        seen.refund_amount = (moment.refunded > Rupiah::ZERO).then_some(moment.refunded);
        seen
    }

    /// A notification arrives, and with it the proof that the gateway has come that far.
    pub(super) fn notify(&mut self, transaction: usize, step: usize) {
        self.now += Duration::seconds(1);
        let so_far = &mut self.progress[transaction];
        *so_far = (*so_far).max(step);
        let mut seen = self.see(transaction, step, Authority::Notified);
        // Some samples of partial refunds carry no amount.
        if seen.refund_amount.is_some() && self.rng.random_bool(0.2) {
            seen.refund_amount = None;
        }
        let repeated = self.settled.contains(&(transaction, step));
        let state = self.histories[transaction].moments[step].state;
        let again = |known: &Known| needs_confirm_again(known.state, state);
        if repeated && !self.known[transaction].as_ref().is_some_and(again) {
            return;
        }
        self.take(transaction, &seen, repeated);
        self.settled.insert((transaction, step));
        while !self.answers.is_empty() && self.rng.random_bool(0.5) {
            self.answer();
        }
    }

    /// One of the answers under way arrives, not necessarily the oldest.
    fn answer(&mut self) {
        let at = self.rng.random_range(0..self.answers.len());
        let (transaction, answer) = self.answers.swap_remove(at);
        self.now += Duration::seconds(1);
        self.take(transaction, &answer, false);
    }

    pub(super) fn take(&mut self, transaction: usize, seen: &Observation, repeated: bool) {
        match decide(
            self.known[transaction].as_ref(),
            seen,
            self.policy,
            repeated,
        ) {
            Decision::Apply(known) => self.known[transaction] = Some(known),
            Decision::Same | Decision::Stale(_) => {}
            Decision::Confirm => {
                self.now += Duration::seconds(1);
                self.questions += 1;
                let last = self.histories[transaction].moments.len() - 1;
                let so_far = self.rng.random_range(self.progress[transaction]..=last);
                self.progress[transaction] = so_far;
                let answer = self.see(transaction, so_far, Authority::Confirmed);
                self.answers.push((transaction, answer));
            }
        }
        self.order = self.project().0;
    }

    /// The order as it is now, each transaction in a session of its own.
    fn project(&self) -> (OrderStatus, Vec<ReviewReason>) {
        const IDS: [&str; 4] = ["t-0", "t-1", "t-2", "t-3"];
        let sessions: Vec<_> = std::iter::zip(IDS, &self.known)
            .filter_map(|(id, known)| known.as_ref().map(|known| (id, known)))
            .map(|(id, known)| SessionFacts {
                session_id: id,
                origin: SessionOrigin::Checkout,
                gross_amount: ASKED,
                unstarted: Created,
                transactions: vec![TransactionFacts {
                    transaction_id: id,
                    state: known.state,
                    rail: known.rail,
                    gross_amount: known.gross_amount,
                    original_amount: None,
                }],
            })
            .collect();
        let released = self.order.is_closed();
        let order = OrderFacts {
            status: self.order,
            gross_amount: ASKED,
            expires_at: OffsetDateTime::UNIX_EPOCH + Duration::days(365),
            now: self.now,
            hold: if released {
                Hold::Released { available: true }
            } else {
                Hold::Held
            },
            picked_up: false,
            ticket_used: false,
            closing: false,
            resolution: None,
        };
        let projection = project_order(&order, &sessions);
        (projection.status, projection.reasons)
    }

    /// Delivers these events and then every answer.
    pub(super) fn run(mut self, arrivals: &[(usize, usize)]) -> End {
        for (transaction, step) in arrivals {
            self.notify(*transaction, *step);
        }
        while !self.answers.is_empty() {
            self.answer();
        }
        let (status, reasons) = self.project();
        assert_eq!(
            status, self.order,
            "the last step left nothing to catch up with"
        );
        let moments = self.known.iter().flatten().map(|known| Moment {
            state: known.state,
            gross_amount: known.gross_amount,
            refunded: known.refunded,
        });
        End {
            moments: moments.collect(),
            status,
            reasons,
        }
    }
}

/// What must not depend on the order of arrival.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    pub(super) moments: Vec<Moment>,
    pub(super) status: OrderStatus,
    reasons: Vec<ReviewReason>,
}
