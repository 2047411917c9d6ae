//! From the transactions of the batch to the rows of sessions and orders, and to what is told.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::ApplyError;
use super::effects::{ActedBy, Effects, Held, hold_of, logs_of, markers_after, plan_for};
use super::told::order_event;
use super::world::{Event, Payment, Transaction, World};
use crate::domain::effects::Plan;
use crate::domain::linking::SessionOrigin;
use crate::domain::projection::{
    Hold, OrderFacts, OrderStatus, Resolution, ResolutionAction, SessionFacts, SessionProjection,
    TransactionFacts, project_order, project_session,
};
use crate::domain::{EventKey, Rupiah, Source, TransactionState, TransactionStatus};
use crate::store::logs::NewLog;
use crate::store::orders::{Markers, OrderResolution, OrderRow, OrderUpdate};
use crate::store::outbox::NewDomainEvent;
use crate::store::payments::PaymentUpdate;
use crate::store::transactions::TransactionRow;

/// Everything a batch writes.
pub(super) struct Changes {
    pub(super) transactions: Vec<TransactionRow>,
    pub(super) payments: Vec<PaymentUpdate>,
    pub(super) orders: Vec<OrderUpdate>,
    pub(super) resolutions: Vec<OrderResolution>,
    pub(super) events: Vec<(EventKey, Event)>,
    pub(super) effects: Effects,
    pub(super) logs: Vec<NewLog>,
    pub(super) domain_events: Vec<NewDomainEvent>,
}

/// What the projection says of an order.
pub(super) struct Judged {
    pub(super) status: OrderStatus,
    pub(super) reasons: Vec<String>,
    pub(super) reserve_again: bool,
    pub(super) paid: Vec<String>,
}

impl World {
    /// Projects what the batch touched.
    pub(super) fn project(mut self) -> Result<Changes, ApplyError> {
        let by_payment = transactions_by_payment(&self.transactions);
        let mut payments = Vec::new();
        let mut domain_events = Vec::new();
        for payment in self.payments.values().filter(|p| p.touched.is_some()) {
            let facts = session_facts(payment, &by_payment);
            let projection = project_session(&facts);
            if let Some(update) = payment_update(payment, &projection, &self.transactions) {
                domain_events.extend(self.payment_event(payment, &update));
                payments.push(update);
            }
            self.logs.extend(link_log(payment, &self.orders));
        }
        let mut orders = Vec::new();
        let mut effects = Effects::default();
        for (id, by) in self.touched_orders() {
            let Some(order) = self.orders.get(&id) else {
                continue;
            };
            let held = self.held.get(&id);
            let judged = self.judge(order, &by_payment, hold_of(order, held), held);
            self.check_resolution(order, &judged)?;
            let plan = held.map_or_else(Plan::default, |held| plan_for(order, held, &judged));
            if let Some(held) = held.filter(|_| !plan.is_empty()) {
                effects.add(&plan, &held.lines);
                self.logs.extend(logs_of(&plan, order, &judged, &by));
            }
            let markers = markers_after(&plan, order.markers(), self.now);
            let sessions = self.sessions_of(id);
            if let Some(update) = order_update(order, &judged, &sessions, markers, self.now) {
                domain_events.extend(order_event(order, &update, &sessions, self.now));
                orders.push(update);
            }
        }
        self.name_orders_in_logs();
        Ok(Changes {
            transactions: changed_transactions(&mut self.transactions),
            payments,
            orders,
            resolutions: self.resolutions,
            events: self
                .events
                .into_iter()
                .filter(|(_, event)| event.changed)
                .collect(),
            effects,
            logs: self.logs,
            domain_events,
        })
    }

    /// The orders that the batch is about, and who made it so.
    fn touched_orders(&self) -> BTreeMap<i64, ActedBy> {
        let mut touched: BTreeMap<i64, ActedBy> = BTreeMap::new();
        for payment in self.payments.values() {
            if let (Some(source), Some(id)) = (payment.touched, payment.order_id()) {
                let actor = None;
                touched.insert(id, ActedBy { source, actor });
            }
        }
        let asked = self.asked.iter().map(|(id, by)| (*id, by.clone()));
        touched.extend(asked);
        touched
    }

    /// The orders whose lines matter: the projection changes them, or somebody asked.
    pub(super) fn concerned_orders(&self) -> Vec<i64> {
        let by_payment = transactions_by_payment(&self.transactions);
        let concerned = |id: &i64| {
            self.orders.get(id).is_some_and(|order| {
                let hold = hold_of(order, None);
                let judged = self.judge(order, &by_payment, hold, None);
                let sessions = self.sessions_of(*id);
                self.asked.contains_key(id)
                    || hold != Hold::Held
                    || order_update(order, &judged, &sessions, order.markers(), self.now).is_some()
            })
        };
        self.touched_orders()
            .into_keys()
            .filter(concerned)
            .collect()
    }

    /// Orders that gave back what they held and would need it again.
    pub(super) fn returning_orders(&self) -> Vec<i64> {
        let by_payment = transactions_by_payment(&self.transactions);
        let returning = |id: &i64| {
            self.orders.get(id).is_some_and(|order| {
                let hold = hold_of(order, None);
                let judged = self.judge(order, &by_payment, hold, self.held.get(id));
                hold != Hold::Held && !judged.status.is_closed()
            })
        };
        self.held.keys().copied().filter(returning).collect()
    }

    /// What an order is, given its hold.
    pub(super) fn judge(
        &self,
        order: &OrderRow,
        by_payment: &ByPayment<'_>,
        hold: Hold,
        held: Option<&Held>,
    ) -> Judged {
        let sessions = self.sessions_of(order.id);
        let facts: Vec<SessionFacts<'_>> = sessions
            .iter()
            .map(|payment| session_facts(payment, by_payment))
            .collect();
        let decided_for = resolution_paid(order);
        let order_facts = OrderFacts {
            hold,
            ticket_used: held.is_some_and(|held| held.used),
            closing: self.closing.contains(&order.id),
            ..order_facts(order, &decided_for, self.now)
        };
        let projection = project_order(&order_facts, &facts);
        Judged {
            status: projection.status,
            reasons: projection
                .reasons
                .iter()
                .map(|reason| reason.as_str().to_owned())
                .collect(),
            reserve_again: projection.reserve_again,
            paid: projection.paid.into_iter().map(str::to_owned).collect(),
        }
    }

    fn sessions_of(&self, order_id: i64) -> Vec<&Payment> {
        self.payments
            .values()
            .filter(|payment| payment.order_id() == Some(order_id))
            .collect()
    }

    /// An operator's word to fulfil cannot stand when what the order had reserved is gone.
    fn check_resolution(&self, order: &OrderRow, judged: &Judged) -> Result<(), ApplyError> {
        let decided = self.resolutions.iter().any(|made| made.id == order.id);
        if decided && judged.status == OrderStatus::Review {
            return Err(ApplyError::NotAvailable {
                order_code: order.order_code.clone(),
            });
        }
        Ok(())
    }

    /// Log rows are written while sessions are judged one by one; the order is known at the end.
    fn name_orders_in_logs(&mut self) {
        for log in self.logs.iter_mut().filter(|log| log.order_code.is_none()) {
            let payment = log
                .session_id
                .as_deref()
                .and_then(|session| self.by_session.get(session))
                .and_then(|id| self.payments.get(id));
            let order = payment
                .and_then(Payment::order_id)
                .and_then(|id| self.orders.get(&id));
            log.order_code = order.map(|order| order.order_code.clone());
        }
    }
}

pub(super) type ByPayment<'a> = BTreeMap<i64, Vec<&'a Transaction>>;

pub(super) fn transactions_by_payment(
    transactions: &BTreeMap<String, Transaction>,
) -> ByPayment<'_> {
    let mut by_payment = ByPayment::new();
    for transaction in transactions.values() {
        by_payment
            .entry(transaction.row.payment_id)
            .or_default()
            .push(transaction);
    }
    by_payment
}

fn changed_transactions(transactions: &mut BTreeMap<String, Transaction>) -> Vec<TransactionRow> {
    std::mem::take(transactions)
        .into_values()
        .filter(|transaction| transaction.changed)
        .map(|transaction| transaction.row)
        .collect()
}

pub(super) fn session_facts<'a>(
    payment: &'a Payment,
    by_payment: &ByPayment<'a>,
) -> SessionFacts<'a> {
    let transactions = by_payment
        .get(&payment.row.id)
        .map_or(&[][..], Vec::as_slice);
    let stored = || TransactionStatus::parse(&payment.row.status);
    let status = payment.ended.clone().unwrap_or_else(stored);
    let own = TransactionState::of(&status, None, crate::domain::Rail::Other);
    SessionFacts {
        session_id: &payment.row.session_id,
        origin: SessionOrigin::parse(&payment.row.origin).unwrap_or(SessionOrigin::Webhook),
        gross_amount: Rupiah::new(payment.row.gross_amount),
        unstarted: own
            .filter(|_| transactions.is_empty())
            .unwrap_or(TransactionState::Created),
        transactions: transactions
            .iter()
            .map(|transaction| transaction_facts(transaction))
            .collect(),
    }
}

fn transaction_facts(transaction: &Transaction) -> TransactionFacts<'_> {
    let known = transaction.known();
    TransactionFacts {
        transaction_id: &transaction.row.midtrans_transaction_id,
        state: known.state,
        rail: known.rail,
        gross_amount: known.gross_amount,
        original_amount: transaction.row.original_amount.map(Rupiah::new),
    }
}

/// What the projection changes of a session; `None` when nothing.
pub(super) fn payment_update(
    payment: &Payment,
    projection: &SessionProjection<'_>,
    transactions: &BTreeMap<String, Transaction>,
) -> Option<PaymentUpdate> {
    let row = &payment.row;
    let decided = projection
        .transaction_id
        .and_then(|id| transactions.get(id));
    let decided = decided.map(|transaction| &transaction.row);
    let paid_at = (projection.paid && row.paid_at.is_none())
        .then(|| decided.and_then(|t| t.settlement_time.or(t.transaction_time).or(t.as_of)))
        .flatten();
    let update = PaymentUpdate {
        id: row.id,
        order_id: payment.link,
        // The row of the transaction keeps Midtrans' word for a held settlement; so does this.
        status: decided
            .map_or(projection.state.as_str(), |t| t.status.as_str())
            .to_owned(),
        payment_type: decided.and_then(|t| t.payment_type.clone()),
        payment_channel: decided.and_then(|t| t.payment_channel.clone()),
        paid_at,
        expires_at: decided.and_then(|t| t.expiry_time),
    };
    let same = update.order_id.is_none()
        && update.paid_at.is_none()
        && update.status == row.status
        && (update.payment_type.is_none() || update.payment_type == row.payment_type)
        && (update.payment_channel.is_none() || update.payment_channel == row.payment_channel);
    (!same).then_some(update)
}

fn link_log(payment: &Payment, orders: &BTreeMap<i64, OrderRow>) -> Option<NewLog> {
    let order = orders.get(&payment.link?)?;
    let repairing = payment.touched.filter(|source| source.repairs());
    Some(NewLog {
        order_code: Some(order.order_code.clone()),
        session_id: Some(payment.row.session_id.clone()),
        sync_type: repairing.map_or("system", Source::as_str),
        event_type: repairing.map_or("payment_linked", |_| "reconcile_link_payment"),
        from_status: None,
        to_status: None,
        actor: None,
        detail: None,
    })
}

/// The transactions an operator's decision was made for.
fn resolution_paid(order: &OrderRow) -> Vec<&str> {
    order
        .resolution_paid
        .iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

/// What the row itself says of an order.
fn order_facts<'a>(
    order: &OrderRow,
    resolution_paid: &'a [&'a str],
    now: OffsetDateTime,
) -> OrderFacts<'a> {
    let action = order
        .resolution
        .as_deref()
        .and_then(ResolutionAction::parse);
    OrderFacts {
        status: OrderStatus::parse(&order.status).unwrap_or(OrderStatus::Pending),
        gross_amount: Rupiah::new(order.gross_amount),
        expires_at: order.expires_at,
        now,
        hold: Hold::Held,
        picked_up: order.picked_up_at.is_some(),
        ticket_used: false,
        closing: false,
        resolution: action.map(|action| Resolution {
            action,
            paid: resolution_paid,
        }),
    }
}

/// What the projection changes of an order; `None` when nothing.
fn order_update(
    order: &OrderRow,
    judged: &Judged,
    sessions: &[&Payment],
    markers: Markers,
    now: OffsetDateTime,
) -> Option<OrderUpdate> {
    let first_paid = judged.status.is_fulfilled() && order.paid_at.is_none();
    let newest = sessions.iter().max_by_key(|payment| payment.row.id);
    let session_id = match order.session_id {
        None => newest.map(|payment| payment.row.session_id.clone()),
        Some(_) => None,
    };
    let same = judged.status.as_str() == order.status
        && judged.reasons == order.review_reasons
        && session_id.is_none()
        && !first_paid
        && markers == order.markers();
    (!same).then(|| OrderUpdate {
        id: order.id,
        status: judged.status.as_str().to_owned(),
        session_id,
        paid_at: first_paid.then_some(now),
        review_reasons: judged.reasons.clone(),
        markers,
    })
}
