//! Writes what a batch changed, one statement per table.

use std::time::Duration;

use super::ApplyError;
use super::effects::Effects;
use super::project::Changes;
use super::world::Event;
use crate::domain::EventKey;
use crate::fault;
use crate::store::events::{EventUpdate, NewEvent};
use crate::store::{Store, Txn};

/// Writes everything; the order of the tables is the global lock order.
pub(super) async fn write(
    store: &Store,
    txn: &mut Txn,
    changes: &Changes,
    first_check: Duration,
) -> Result<(), ApplyError> {
    for resolution in &changes.resolutions {
        store.orders_resolve_in_txn(txn, resolution).await?;
    }
    store.orders_update_in_txn(txn, &changes.orders).await?;
    store
        .payments_update_in_txn(txn, &changes.payments, first_check)
        .await?;
    store
        .transactions_upsert_in_txn(txn, &changes.transactions)
        .await?;
    store
        .events_insert_in_txn(txn, &new_events(changes))
        .await?;
    store.events_update_in_txn(txn, &updates(changes)).await?;
    store.logs_insert_in_txn(txn, &changes.logs).await?;
    store
        .outbox_insert_in_txn(txn, &changes.domain_events)
        .await?;
    write_effects(store, txn, &changes.effects).await
}

/// Counters come last: many orders share them, and they are locked from here to the commit.
async fn write_effects(store: &Store, txn: &mut Txn, effects: &Effects) -> Result<(), ApplyError> {
    fault::point("apply.effects.tickets").await;
    store.holdings_void_in_txn(txn, &effects.void).await?;
    store.holdings_issue_in_txn(txn, &effects.issue).await?;
    fault::point("apply.effects.slots").await;
    let slots = effects.slot_moves();
    store.holdings_move_slots_in_txn(txn, &slots).await?;
    fault::point("apply.effects.variants").await;
    let variants = effects.variant_moves();
    store.holdings_move_variants_in_txn(txn, &variants).await?;
    Ok(())
}

fn new_events(changes: &Changes) -> Vec<NewEvent<'_>> {
    changes
        .events
        .iter()
        .filter_map(|(key, event)| new_event(key, event))
        .collect()
}

fn new_event<'a>(key: &'a EventKey, event: &'a Event) -> Option<NewEvent<'a>> {
    let seen = event.first.as_ref()?;
    Some(NewEvent {
        event_key: key.as_bytes(),
        received_at: seen.received_at,
        order_id: &seen.session_id,
        midtrans_transaction_id: &seen.transaction_id,
        raw_body: &seen.raw_body,
        signature_key: seen.signature_key.as_deref(),
        verdict: event.verdict,
        processing_error: event.processing_error.as_deref(),
        deliveries: event.deliveries,
    })
}

fn updates(changes: &Changes) -> Vec<EventUpdate> {
    changes
        .events
        .iter()
        .filter_map(|(_, event)| {
            let stored = event.stored.as_ref()?;
            Some(EventUpdate {
                event_key: stored.event_key.clone(),
                received_at: stored.received_at,
                verdict: event.verdict,
                processing_error: event.processing_error.clone(),
                more_deliveries: event.deliveries,
            })
        })
        .collect()
}
