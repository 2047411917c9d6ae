//! Looking for rows that the one path would write differently: the same projection over the same
//! rows, without writing. `lunas doctor` asks it.

use time::OffsetDateTime;

use super::effects::{held, hold_of, plan_for};
use super::project::{ByPayment, payment_update, session_facts, transactions_by_payment};
use super::world::{Payment, Transaction, World};
use crate::domain::effects::{Holding, Move, PickupChange, Plan};
use crate::domain::projection::project_session;
use crate::store::orders::OrderRow;
use crate::store::payments::PaymentRow;
use crate::store::transactions::TransactionRow;
use crate::store::{Store, StoreError, Txn};

/// Rows in memory at a time.
const PAGE: i64 = 500;

/// A row that says something else than its transactions do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The order's code, or the id of a session.
    pub name: String,
    /// What the row says.
    pub is: String,
    /// What it should say.
    pub should_be: String,
}

/// Compares every order and every session with the projection of their transactions, as the
/// snapshot of `txn` shows them; answers those that differ.
///
/// An order past its `expires_at` is closed by the scheduler, which asks Midtrans first; one that
/// waits for that is not a mismatch.
///
/// # Errors
/// The database does not answer.
pub async fn sweep(store: &Store, txn: &mut Txn) -> Result<Vec<Mismatch>, StoreError> {
    let now = store.now_in_txn(txn).await?;
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let orders = store.doctor_orders_in_txn(txn, after, PAGE).await?;
        let Some(last) = orders.last() else { break };
        after = last.id;
        let ids: Vec<i64> = orders.iter().map(|order| order.id).collect();
        let payments = store.doctor_payments_of_in_txn(txn, &ids).await?;
        found.extend(compare(store, txn, now, orders, payments).await?);
    }
    after = 0;
    loop {
        let payments = store.doctor_orphans_in_txn(txn, after, PAGE).await?;
        let Some(last) = payments.last() else { break };
        after = last.id;
        found.extend(compare(store, txn, now, Vec::new(), payments).await?);
    }
    Ok(found)
}

async fn compare(
    store: &Store,
    txn: &mut Txn,
    now: OffsetDateTime,
    orders: Vec<OrderRow>,
    payments: Vec<PaymentRow>,
) -> Result<Vec<Mismatch>, StoreError> {
    let ids: Vec<i64> = payments.iter().map(|payment| payment.id).collect();
    let transactions = store.transactions_find_in_txn(txn, &ids, &[]).await?;
    let ids: Vec<i64> = orders.iter().map(|order| order.id).collect();
    let lines = store.holdings_lines_in_txn(txn, &ids).await?;
    let mut world = world(now, orders, payments, transactions);
    world.held = held(lines);
    let by_payment = transactions_by_payment(&world.transactions);
    let sessions = world
        .payments
        .values()
        .filter_map(|payment| session_mismatch(&world, payment, &by_payment));
    let orders = world
        .orders
        .values()
        .filter_map(|order| order_mismatch(&world, order, &by_payment));
    Ok(sessions.chain(orders).collect())
}

fn session_mismatch(
    world: &World,
    payment: &Payment,
    by_payment: &ByPayment<'_>,
) -> Option<Mismatch> {
    let facts = session_facts(payment, by_payment);
    let update = payment_update(payment, &project_session(&facts), &world.transactions)?;
    (payment.row.status != update.status).then(|| Mismatch {
        name: payment.row.session_id.clone(),
        is: payment.row.status.clone(),
        should_be: update.status,
    })
}

fn order_mismatch(world: &World, row: &OrderRow, by_payment: &ByPayment<'_>) -> Option<Mismatch> {
    let held = world.held.get(&row.id);
    let judged = world.judge(row, by_payment, hold_of(row, held), held);
    let status = judged.status.as_str();
    let closes_soon = row.status == "PENDING" && status == "EXPIRED" && row.expires_at <= world.now;
    if closes_soon {
        return None;
    }
    let mismatch = |is, should_be| Mismatch {
        name: row.order_code.clone(),
        is,
        should_be,
    };
    let word = |status: &str, reasons: &[String]| match reasons {
        [] => status.to_owned(),
        reasons => format!("{status} ({})", reasons.join(", ")),
    };
    if row.status != status || row.review_reasons != judged.reasons {
        let is = word(&row.status, &row.review_reasons);
        return Some(mismatch(is, word(status, &judged.reasons)));
    }
    let plan = plan_for(row, held?, &judged);
    (!plan.is_empty()).then(|| {
        let missing = missing(&plan);
        mismatch(row.status.clone(), format!("{status} with {missing}"))
    })
}

/// What the plan would do, for an operator.
fn missing(plan: &Plan) -> String {
    let mut parts = Vec::new();
    if !plan.issue.is_empty() {
        parts.push(format!("{} more tickets", plan.issue.len()));
    }
    if !plan.void.is_empty() {
        parts.push("its tickets void".to_owned());
    }
    let moved = |what: &str, change: Move| match change.to {
        Holding::Reserved => format!("its {what} reserved"),
        Holding::Owned => format!("its {what} sold to it"),
        Holding::Free => format!("its {what} given back"),
    };
    parts.extend(plan.capacity.map(|change| moved("capacity", change)));
    parts.extend(plan.stock.map(|change| moved("stock", change)));
    parts.extend(plan.pickup.map(|change| match change {
        PickupChange::Make => "a pickup code".to_owned(),
        PickupChange::Revoke => "its pickup code revoked".to_owned(),
    }));
    parts.join(", ")
}

/// A world in which nothing has changed.
fn world(
    now: OffsetDateTime,
    orders: Vec<OrderRow>,
    payments: Vec<PaymentRow>,
    transactions: Vec<TransactionRow>,
) -> World {
    let payments = payments.into_iter().map(Payment::stored);
    World {
        orders: orders.into_iter().map(|row| (row.id, row)).collect(),
        transactions: transactions.into_iter().map(Transaction::stored).collect(),
        payments: payments.map(|payment| (payment.row.id, payment)).collect(),
        ..World::at(now)
    }
}
