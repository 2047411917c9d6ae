//! Whether orders, payments and notifications keep the rules that the fleet promises.

use std::time::Duration;

use shared::apply::audit;
use shared::store::doctor::Broken;
use shared::store::{Store, StoreError, Txn};

use super::finding::Findings;
use crate::print;

/// Asking Midtrans writes session and order anew.
const PROJECT_AGAIN: &str = "lunas sync CODE of the order or session, or for all of them: lunas jobs \
                             run reconcile_effects";

/// Only hands that wrote past the fleet make this happen.
const COUNT_AGAIN: &str =
    "lunas jobs run reconcile_effects, and find out who wrote to the table by hand";

pub(super) async fn look(
    store: &Store,
    unconfirmed_after: Duration,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let mut txn = store.doctor_begin().await?;
    let mismatches = audit::sweep(store, &mut txn).await?;
    if !mismatches.is_empty() {
        let rows: Vec<_> = mismatches
            .iter()
            .map(|m| format!("{} is {}, should be {}", m.name, m.is, m.should_be))
            .collect();
        findings.add_with(
            "status_mismatch",
            format!(
                "{} orders or payments say something else than their transactions",
                rows.len()
            ),
            PROJECT_AGAIN,
            &rows,
        );
    }
    add(
        findings,
        "notification_repeated",
        "notifications are recorded more than once",
        "report it: two workers wrote the same notification at once; no order is wrong by it",
        &store.doctor_repeated_events_in_txn(&mut txn).await?,
    );
    add(
        findings,
        "order_session_foreign",
        "orders name a payment session that is not theirs",
        "look at both in the Midtrans dashboard, then set orders.session_id to a session of the order",
        &store.doctor_foreign_sessions_in_txn(&mut txn).await?,
    );
    add(
        findings,
        "payment_order_unfounded",
        "payments belong to an order that neither their id nor their notifications name",
        "look at the payment in the Midtrans dashboard, then set payments.order_id to its order",
        &store.doctor_wrong_links_in_txn(&mut txn).await?,
    );
    counters(store, &mut txn, findings).await?;
    let waiting = store
        .doctor_unconfirmed_in_txn(&mut txn, unconfirmed_after.as_secs_f64())
        .await?;
    store.commit(txn).await?;
    if let Some(oldest) = waiting.oldest {
        findings.add_with(
            "unconfirmed_too_long",
            format!(
                "{} notifications wait for the status API, the oldest since {}",
                waiting.count,
                print::time(oldest)
            ),
            "see that a lunas-worker with the role jobs runs and that MIDTRANS_API_URL answers it",
            &waiting.examples,
        );
    }
    Ok(())
}

async fn counters(store: &Store, txn: &mut Txn, findings: &mut Findings) -> Result<(), StoreError> {
    add(
        findings,
        "slot_counters_off",
        "slots do not have the sums of their orders",
        COUNT_AGAIN,
        &store.doctor_slots_in_txn(txn).await?,
    );
    add(
        findings,
        "stock_counters_off",
        "variants do not have the sums of their orders",
        COUNT_AGAIN,
        &store.doctor_variants_in_txn(txn).await?,
    );
    Ok(())
}

fn add(findings: &mut Findings, code: &'static str, what: &str, mend: &str, broken: &Broken) {
    if broken.count > 0 {
        findings.add_with(
            code,
            format!("{} {what}", broken.count),
            mend,
            &broken.examples,
        );
    }
}
