//! From the transactions of the batch to the rows of sessions and orders, and to what is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::world::{Event, Payment, Transaction, World};
use crate::domain::linking::SessionOrigin;
use crate::domain::projection::{
    Hold, OrderFacts, OrderProjection, OrderStatus, Resolution, ResolutionAction, SessionFacts,
    SessionProjection, TransactionFacts, project_order, project_session,
};
use crate::domain::{EventKey, Rupiah, TransactionState, TransactionStatus};
use crate::store::logs::NewLog;
use crate::store::orders::{OrderRow, OrderUpdate};
use crate::store::outbox::NewDomainEvent;
use crate::store::payments::PaymentUpdate;
use crate::store::transactions::TransactionRow;

/// Everything a batch writes.
pub(super) struct Changes {
    pub(super) transactions: Vec<TransactionRow>,
    pub(super) payments: Vec<PaymentUpdate>,
    pub(super) orders: Vec<OrderUpdate>,
    pub(super) events: Vec<(EventKey, Event)>,
    pub(super) logs: Vec<NewLog>,
    pub(super) domain_events: Vec<NewDomainEvent>,
}

impl World {
    /// Projects what the batch touched.
    pub(super) fn project(mut self) -> Changes {
        let by_payment = transactions_by_payment(&self.transactions);
        let mut payments = Vec::new();
        let mut domain_events = Vec::new();
        let mut touched_orders = BTreeSet::new();
        for payment in self.payments.values().filter(|payment| payment.touched) {
            touched_orders.extend(payment.order_id());
            let facts = session_facts(payment, &by_payment);
            let projection = project_session(&facts);
            if let Some(update) = payment_update(payment, &projection, &self.transactions) {
                domain_events.extend(self.payment_event(payment, &update));
                payments.push(update);
            }
            self.logs.extend(link_log(payment, &self.orders));
        }
        let mut orders = Vec::new();
        for id in touched_orders {
            let Some(order) = self.orders.get(&id) else {
                continue;
            };
            let sessions: Vec<&Payment> = self
                .payments
                .values()
                .filter(|p| p.order_id() == Some(id))
                .collect();
            let facts: Vec<SessionFacts<'_>> = sessions
                .iter()
                .map(|payment| session_facts(payment, &by_payment))
                .collect();
            let decided_for = resolution_paid(order);
            let projection = project_order(&order_facts(order, &decided_for, self.now), &facts);
            if let Some(update) = order_update(order, &projection, &sessions, self.now) {
                domain_events.extend(order_event(order, &update, &sessions, self.now));
                orders.push(update);
            }
        }
        self.name_orders_in_logs();
        Changes {
            transactions: changed_transactions(&mut self.transactions),
            payments,
            orders,
            events: self
                .events
                .into_iter()
                .filter(|(_, event)| event.changed)
                .collect(),
            logs: self.logs,
            domain_events,
        }
    }

    /// Log rows are written while sessions are judged one by one; the order is known at the end.
    fn name_orders_in_logs(&mut self) {
        for log in &mut self.logs {
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

    /// Money that goes back is told per payment: an order may be paid twice.
    fn payment_event(&self, payment: &Payment, update: &PaymentUpdate) -> Option<NewDomainEvent> {
        let event_type = match TransactionStatus::parse(&update.status) {
            TransactionStatus::Refund => "payment.refunded",
            TransactionStatus::PartialRefund => "payment.partially_refunded",
            TransactionStatus::Chargeback => "payment.chargeback",
            TransactionStatus::PartialChargeback => "payment.partial_chargeback",
            TransactionStatus::Created
            | TransactionStatus::Pending
            | TransactionStatus::Authorize
            | TransactionStatus::Capture
            | TransactionStatus::Settlement
            | TransactionStatus::Deny
            | TransactionStatus::Cancel
            | TransactionStatus::Expire
            | TransactionStatus::Failure
            | TransactionStatus::Unknown(_) => return None,
        };
        if update.status == payment.row.status {
            return None;
        }
        let order = payment.order_id().and_then(|id| self.orders.get(&id));
        let order_code = order.map(|order| order.order_code.clone());
        Some(NewDomainEvent {
            event_type,
            data: json!({
                "order_code": order_code,
                "session_id": payment.row.session_id,
                "status": update.status,
                "at": rfc3339(self.now),
            }),
            order_code,
            traceparent: payment.traceparent.clone(),
        })
    }
}

type ByPayment<'a> = BTreeMap<i64, Vec<&'a Transaction>>;

fn transactions_by_payment(transactions: &BTreeMap<String, Transaction>) -> ByPayment<'_> {
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

fn session_facts<'a>(payment: &'a Payment, by_payment: &ByPayment<'a>) -> SessionFacts<'a> {
    let transactions = by_payment
        .get(&payment.row.id)
        .map_or(&[][..], Vec::as_slice);
    let status = TransactionStatus::parse(&payment.row.status);
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
fn payment_update(
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
    Some(NewLog {
        order_code: Some(order.order_code.clone()),
        session_id: Some(payment.row.session_id.clone()),
        sync_type: "system",
        event_type: "payment_linked",
        from_status: None,
        to_status: None,
        detail: None,
    })
}

/// The transactions an operator's decision was made for.
pub(super) fn resolution_paid(order: &OrderRow) -> Vec<&str> {
    order
        .resolution_paid
        .iter()
        .flatten()
        .map(String::as_str)
        .collect()
}

pub(super) fn order_facts<'a>(
    order: &OrderRow,
    resolution_paid: &'a [&'a str],
    now: OffsetDateTime,
) -> OrderFacts<'a> {
    let action = order
        .resolution
        .as_deref()
        .and_then(ResolutionAction::parse);
    let released = order
        .capacity_released_at
        .or(order.stock_released_at)
        .is_some();
    OrderFacts {
        status: OrderStatus::parse(&order.status).unwrap_or(OrderStatus::Pending),
        gross_amount: Rupiah::new(order.gross_amount),
        expires_at: order.expires_at,
        now,
        hold: if released {
            Hold::Released { available: false }
        } else {
            Hold::Held
        },
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
    projection: &OrderProjection<'_>,
    sessions: &[&Payment],
    now: OffsetDateTime,
) -> Option<OrderUpdate> {
    let review_reasons: Vec<String> = projection
        .reasons
        .iter()
        .map(|reason| reason.as_str().to_owned())
        .collect();
    let first_paid = projection.status.is_fulfilled() && order.paid_at.is_none();
    let newest = sessions.iter().max_by_key(|payment| payment.row.id);
    let session_id = match order.session_id {
        None => newest.map(|payment| payment.row.session_id.clone()),
        Some(_) => None,
    };
    let same = projection.status.as_str() == order.status
        && review_reasons == order.review_reasons
        && session_id.is_none()
        && !first_paid;
    (!same).then(|| OrderUpdate {
        id: order.id,
        status: projection.status.as_str().to_owned(),
        session_id,
        paid_at: first_paid.then_some(now),
        review_reasons,
    })
}

/// What is told when an order changes its status.
fn order_event(
    order: &OrderRow,
    update: &OrderUpdate,
    sessions: &[&Payment],
    now: OffsetDateTime,
) -> Option<NewDomainEvent> {
    if update.status == order.status {
        return None;
    }
    let event_type = match OrderStatus::parse(&update.status)? {
        OrderStatus::Pending => "order.reopened",
        OrderStatus::Paid => "order.paid",
        OrderStatus::Review => "order.review",
        OrderStatus::Expired => "order.expired",
        OrderStatus::Failed => "order.failed",
        OrderStatus::Cancelled => "order.cancelled",
        OrderStatus::Refunded => "order.refunded",
        OrderStatus::PartiallyRefunded => "order.partially_refunded",
        OrderStatus::Chargeback => "order.chargeback",
    };
    Some(NewDomainEvent {
        event_type,
        order_code: Some(order.order_code.clone()),
        data: json!({
            "order_code": order.order_code,
            "status": update.status,
            "review_reasons": update.review_reasons,
            "at": rfc3339(now),
        }),
        traceparent: sessions
            .iter()
            .find_map(|payment| payment.traceparent.clone()),
    })
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
