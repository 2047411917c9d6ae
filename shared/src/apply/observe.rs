//! One item against the world: the verdict of a notification, the new state of its transaction.

use serde::Deserialize;

use super::effects::ActedBy;
use super::world::{Event, Transaction, World};
use super::{ApplyError, Contradiction, FollowUp, Input, Item, Outcome};
use crate::domain::decide::StaleReason;
use crate::domain::outcome::Settled;
use crate::domain::transition::{Edge, edge};
use crate::domain::{
    Authority, ConfirmPolicy, Decision, EventKey, Known, Observation, Source, TransactionState,
    decide,
};
use crate::store::logs::NewLog;
use crate::store::transactions::TransactionRow;

impl World {
    /// Judges one item; what it changes stays in memory until the batch is written.
    pub(super) fn take(
        &mut self,
        item: &Item,
        policy: ConfirmPolicy,
    ) -> Result<Outcome, ApplyError> {
        let outcome = match &item.input {
            Input::Observed(seen) if seen.is_test => self.take_test(seen),
            Input::Observed(seen) => match seen.authority {
                Authority::Notified => self.take_notification(seen, policy)?,
                Authority::Confirmed => self.take_answer(seen, policy)?,
            },
            Input::Link { .. } => Settled::Applied.into(),
            Input::GiveUp {
                session_id,
                transaction_id,
                source,
            } => {
                self.give_up(session_id, transaction_id, *source);
                Settled::Refused.into()
            }
            Input::SessionEnded {
                session_id, status, ..
            } => self.end_session(session_id, status).into(),
            Input::Order {
                order_code,
                ask,
                source,
                actor,
            } => {
                let by = ActedBy {
                    source: *source,
                    actor: actor.clone(),
                };
                return Ok(self.take_order(order_code, ask, by).into());
            }
        };
        let linked = self.touch(item);
        Ok(match linked {
            false if outcome.follow_up.is_none() => Outcome {
                follow_up: Some(FollowUp::Link {
                    session_id: item.session_id().to_owned(),
                }),
                ..outcome
            },
            _ => outcome,
        })
    }

    /// Marks the item's session for projection. `false` when it waits for an order that only a
    /// later look-up can find.
    fn touch(&mut self, item: &Item) -> bool {
        let Some(payment) = self.payment_mut(item.session_id()) else {
            return true;
        };
        payment.touched = Some(item.source());
        payment.traceparent = item.traceparent.clone().or(payment.traceparent.take());
        payment.order_id().is_some() || payment.row.origin == "checkout"
    }

    fn take_test(&mut self, seen: &Observation) -> Outcome {
        match self.events.get_mut(&seen.event_key) {
            Some(event) => {
                event.count();
                Settled::Duplicate.into()
            }
            None => {
                self.events
                    .insert(seen.event_key, Event::new(seen, Settled::Test));
                Settled::Test.into()
            }
        }
    }

    fn take_notification(
        &mut self,
        seen: &Observation,
        policy: ConfirmPolicy,
    ) -> Result<Outcome, ApplyError> {
        let known = self.known(seen)?;
        let before = self
            .events
            .get(&seen.event_key)
            .map(|event| event.is_final());
        let repeated = before == Some(true);
        let decision = decide(known.as_ref(), seen, policy, repeated);
        if repeated && decision != Decision::Confirm {
            self.count(&seen.event_key);
            return Ok(Settled::Duplicate.into());
        }
        let (settled, reason) = match decision {
            Decision::Apply(next) => {
                self.advance(seen, known.as_ref(), next)?;
                (Settled::Applied, None)
            }
            Decision::Same => (Settled::Applied, None),
            Decision::Stale(reason) => (Settled::Stale, Some(reason)),
            Decision::Confirm => (Settled::Unconfirmed, None),
        };
        self.record(seen, settled, reason);
        let follow_up = (settled == Settled::Unconfirmed).then(|| FollowUp::Confirm {
            session_id: seen.session_id.clone(),
            transaction_id: seen.transaction_id.clone(),
            merchant_id: merchant_of(&seen.raw_body),
        });
        Ok(Outcome { settled, follow_up })
    }

    /// An answer of the status API: it moves the transaction and settles what waited for it.
    fn take_answer(
        &mut self,
        seen: &Observation,
        policy: ConfirmPolicy,
    ) -> Result<Outcome, ApplyError> {
        let known = self.known(seen)?;
        match decide(known.as_ref(), seen, policy, false) {
            Decision::Apply(next) => self.advance(seen, known.as_ref(), next)?,
            Decision::Same => self.confirm_same(seen),
            Decision::Stale(StaleReason::Overtaken) | Decision::Confirm => {
                // The world moved on while the question was under way: ask again.
                let follow_up =
                    self.has_unconfirmed(&seen.transaction_id)
                        .then(|| FollowUp::Confirm {
                            session_id: seen.session_id.clone(),
                            transaction_id: seen.transaction_id.clone(),
                            merchant_id: merchant_of(&seen.raw_body),
                        });
                return Ok(Outcome {
                    settled: Settled::Stale,
                    follow_up,
                });
            }
            Decision::Stale(_) => return Ok(Settled::Stale.into()),
        }
        self.settle_unconfirmed(seen);
        Ok(Settled::Applied.into())
    }

    /// Gives every notification that waited for this answer its verdict: `applied` when the
    /// answer says the same, `stale` when the transaction has gone on from there, else `refused`.
    fn settle_unconfirmed(&mut self, answer: &Observation) {
        let Some(now) = self
            .transactions
            .get(&answer.transaction_id)
            .map(Transaction::known)
        else {
            return;
        };
        let (waiting, rest) = std::mem::take(&mut self.unconfirmed)
            .into_iter()
            .partition(|event| event.midtrans_transaction_id == answer.transaction_id);
        self.unconfirmed = rest;
        for event in waiting {
            let claimed = claimed_state(&event.raw_body, &now, answer);
            let settled = match claimed {
                Some(state) if state == now.state => Settled::Applied,
                Some(state) if edge(Some(state), now.state, now.rail) == Edge::Advance => {
                    Settled::Stale
                }
                Some(_) | None => Settled::Refused,
            };
            if settled == Settled::Refused {
                self.log(
                    answer.source,
                    "notification_refused",
                    &event.order_id,
                    claimed,
                    &now,
                );
            }
            let why = (settled == Settled::Refused).then_some("the status API says otherwise");
            self.settle_event(&event.event_key, &event, settled, why);
        }
    }

    fn give_up(&mut self, session_id: &str, transaction_id: &str, source: Source) {
        let (waiting, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unconfirmed)
            .into_iter()
            .partition(|event| event.midtrans_transaction_id == transaction_id);
        self.unconfirmed = rest;
        for event in &waiting {
            let why = Some("the status API does not know the transaction");
            self.settle_event(&event.event_key, event, Settled::Refused, why);
        }
        if !waiting.is_empty() {
            self.logs.push(NewLog {
                order_code: None,
                session_id: Some(session_id.to_owned()),
                sync_type: source.as_str(),
                event_type: "confirm_gave_up",
                from_status: None,
                to_status: None,
                actor: None,
                detail: Some(serde_json::json!({ "transaction_id": transaction_id })),
            });
        }
    }

    /// What is known of the observed transaction.
    fn known(&self, seen: &Observation) -> Result<Option<Known>, ApplyError> {
        let Some(transaction) = self.transactions.get(&seen.transaction_id) else {
            return Ok(None);
        };
        if self.by_session.get(&seen.session_id) != Some(&transaction.row.payment_id) {
            let contradiction = Contradiction::TransactionOfAnotherSession {
                transaction_id: seen.transaction_id.clone(),
                session_id: seen.session_id.clone(),
            };
            return Err(ApplyError::Contradiction(contradiction));
        }
        Ok(Some(transaction.known()))
    }

    fn advance(
        &mut self,
        seen: &Observation,
        before: Option<&Known>,
        next: Known,
    ) -> Result<(), ApplyError> {
        let Some(&payment_id) = self.by_session.get(&seen.session_id) else {
            return Err(ApplyError::LinkedMeanwhile);
        };
        let from = before.map(|known| known.state);
        let what = match seen.source.repairs() {
            true => "reconcile_status_changed",
            false => "status_changed",
        };
        self.log(seen.source, what, &seen.session_id, from, &next);
        let now = self.now;
        let transaction = self
            .transactions
            .entry(seen.transaction_id.clone())
            .or_insert_with(|| Transaction {
                row: new_row(payment_id, seen),
                changed: true,
            });
        transaction.changed = true;
        let row = &mut transaction.row;
        row.status = seen.status.as_str().to_owned();
        row.fraud_status = seen.fraud.as_ref().map(|fraud| fraud.as_str().to_owned());
        row.gross_amount = next.gross_amount.get();
        row.refunded_amount = next.refunded.get();
        row.as_of = next.as_of;
        row.payment_type = seen.payment_type.clone().or(row.payment_type.take());
        row.payment_channel = seen.payment_channel.clone().or(row.payment_channel.take());
        row.original_amount = seen
            .fee
            .map(|fee| fee.original.get())
            .or(row.original_amount);
        row.settlement_time = seen.settlement_time.or(row.settlement_time);
        row.expiry_time = seen.expiry_time.or(row.expiry_time);
        if seen.authority == Authority::Confirmed {
            row.confirmed_at = Some(now);
        }
        Ok(())
    }

    fn confirm_same(&mut self, seen: &Observation) {
        let now = self.now;
        if let Some(transaction) = self.transactions.get_mut(&seen.transaction_id) {
            transaction.row.confirmed_at = Some(now);
            transaction.changed = true;
        }
    }

    fn record(&mut self, seen: &Observation, settled: Settled, reason: Option<StaleReason>) {
        let event = self
            .events
            .entry(seen.event_key)
            .and_modify(Event::count)
            .or_insert_with(|| Event::new(seen, settled));
        event.verdict = settled.as_str();
        event.processing_error = reason.map(|reason| reason.as_str().to_owned());
    }

    fn count(&mut self, key: &EventKey) {
        if let Some(event) = self.events.get_mut(key) {
            event.count();
        }
    }

    fn has_unconfirmed(&self, transaction_id: &str) -> bool {
        self.unconfirmed
            .iter()
            .any(|event| event.midtrans_transaction_id == transaction_id)
    }

    fn log(
        &mut self,
        source: Source,
        event_type: &'static str,
        session_id: &str,
        from: Option<TransactionState>,
        now: &Known,
    ) {
        self.logs.push(NewLog {
            order_code: None,
            session_id: Some(session_id.to_owned()),
            sync_type: source.as_str(),
            event_type,
            from_status: from.map(|state| state.as_str().to_owned()),
            to_status: Some(now.state.as_str().to_owned()),
            actor: None,
            detail: None,
        });
    }
}

impl From<Settled> for Outcome {
    /// Settled, and nothing more to do.
    fn from(settled: Settled) -> Self {
        Self {
            settled,
            follow_up: None,
        }
    }
}

fn new_row(payment_id: i64, seen: &Observation) -> TransactionRow {
    TransactionRow {
        payment_id,
        midtrans_transaction_id: seen.transaction_id.clone(),
        status: String::new(),
        fraud_status: None,
        payment_type: None,
        payment_channel: None,
        gross_amount: 0,
        refunded_amount: 0,
        original_amount: None,
        transaction_time: seen.transaction_time,
        settlement_time: None,
        expiry_time: None,
        confirmed_at: None,
        as_of: None,
    }
}

/// The state that a stored notification claimed.
fn claimed_state(raw_body: &str, now: &Known, answer: &Observation) -> Option<TransactionState> {
    let seen = Observation::from_stored(raw_body.as_bytes(), answer.received_at)?;
    TransactionState::of(&seen.status, seen.fraud.as_ref(), now.rail)
}

/// Whose key signs a question about the transaction; the field is optional and unsigned, so it
/// only ever picks among our own keys.
fn merchant_of(raw_body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Merchant {
        #[serde(alias = "merchantId")]
        merchant_id: Option<String>,
    }
    serde_json::from_str::<Merchant>(raw_body).ok()?.merchant_id
}
