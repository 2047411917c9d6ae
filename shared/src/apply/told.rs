//! What is told to others when a session or an order changes.

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::world::{Payment, World};
use crate::domain::TransactionStatus;
use crate::domain::projection::OrderStatus;
use crate::store::orders::{OrderRow, OrderUpdate};
use crate::store::outbox::NewDomainEvent;
use crate::store::payments::PaymentUpdate;

impl World {
    /// Money that goes back is told per payment: an order may be paid twice.
    pub(super) fn payment_event(
        &self,
        payment: &Payment,
        update: &PaymentUpdate,
    ) -> Option<NewDomainEvent> {
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

/// What is told when an order changes its status.
pub(super) fn order_event(
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
