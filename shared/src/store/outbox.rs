//! The outbox: domain events that commit with the change they tell of.

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// A domain event to write.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDomainEvent {
    /// E.g. `order.paid`; the routing key on `lunas.events`.
    pub event_type: &'static str,
    /// The order it concerns.
    pub order_code: Option<String>,
    /// What goes out, JSON.
    pub data: serde_json::Value,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
}

impl Store {
    /// Writes domain events. The transaction gets its id before it draws the events' ids: readers
    /// rely on it ([`feed`](super::feed)).
    pub async fn outbox_insert_in_txn(
        &self,
        txn: &mut Txn,
        events: &[NewDomainEvent],
    ) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        columns!(events,
            types: |e| e.event_type,
            orders: |e| e.order_code.as_deref(),
            data: |e| e.data.to_string(),
            traces: |e| e.traceparent.as_deref(),
        );
        sqlx::query!(
            r#"
            INSERT INTO domain_events (event_type, order_code, data, traceparent)
            SELECT e.event_type, e.order_code, e.data::jsonb, e.traceparent
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
                AS e (event_type, order_code, data, traceparent)
            WHERE pg_current_xact_id() IS NOT NULL
            "#,
            types as _,
            orders as _,
            data as _,
            traces as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing domain events"))?;
        Ok(())
    }
}
