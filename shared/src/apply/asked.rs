//! Questions about an order or a session itself, which no transaction answers.

use serde_json::json;

use super::OrderAsk;
use super::effects::{ActedBy, hold_of};
use super::project::transactions_by_payment;
use super::world::World;
use crate::domain::TransactionStatus;
use crate::domain::outcome::Settled;
use crate::domain::projection::{OrderStatus, ResolutionAction};
use crate::store::logs::NewLog;
use crate::store::orders::OrderResolution;

impl World {
    /// Marks an order for projection; what there is of it was locked by its code.
    pub(super) fn take_order(&mut self, code: &str, ask: &OrderAsk, by: ActedBy) -> Settled {
        let found = self.orders.values().find(|order| order.order_code == code);
        let Some(id) = found.map(|order| order.id) else {
            return Settled::Stale;
        };
        let settled = match ask {
            OrderAsk::Recheck => Settled::Applied,
            OrderAsk::Close => {
                self.closing.insert(id);
                Settled::Applied
            }
            OrderAsk::Resolve { action, why } => self.resolve(id, *action, why, &by),
        };
        self.asked.insert(id, by);
        settled
    }

    fn resolve(&mut self, id: i64, action: ResolutionAction, why: &str, by: &ActedBy) -> Settled {
        let Some(order) = self.orders.get(&id) else {
            return Settled::Stale;
        };
        if order.status != OrderStatus::Review.as_str() {
            return Settled::Stale;
        }
        let by_payment = transactions_by_payment(&self.transactions);
        let paid = self
            .judge(order, &by_payment, hold_of(order, None), None)
            .paid;
        self.logs.push(NewLog {
            order_code: Some(order.order_code.clone()),
            session_id: order.session_id.clone(),
            sync_type: by.source.as_str(),
            event_type: "review_resolved",
            from_status: Some(order.status.clone()),
            to_status: None,
            actor: by.actor.clone(),
            detail: Some(json!({"action": action.as_str(), "why": why})),
        });
        if let Some(order) = self.orders.get_mut(&id) {
            order.resolution = Some(action.as_str().to_owned());
            order.resolution_paid = Some(paid.clone());
        }
        self.resolutions.push(OrderResolution {
            id,
            action: action.as_str(),
            paid,
        });
        Settled::Applied
    }

    /// A session without a transaction has ended; one that has a transaction is what that says.
    pub(super) fn end_session(&mut self, session_id: &str, status: &TransactionStatus) -> Settled {
        let Some(payment) = self.by_session.get(session_id).copied() else {
            return Settled::Stale;
        };
        let started = |id| self.transactions.values().any(|t| t.row.payment_id == id);
        if started(payment) {
            return Settled::Stale;
        }
        if let Some(payment) = self.payments.get_mut(&payment) {
            payment.ended = Some(status.clone());
        }
        Settled::Applied
    }
}
