//! Looking for rows that the one path would write differently: the same projection over the same
//! rows, without writing. `lunas doctor` asks it.

use std::collections::{BTreeMap, HashMap, HashSet};

use time::OffsetDateTime;

use super::project::{order_facts, resolution_paid};
use super::world::{Payment, Transaction, World};
use crate::domain::projection::project_order;
use crate::store::orders::{OrderRow, OrderUpdate};
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
    let known_orders: HashMap<i64, OrderRow> = orders
        .iter()
        .map(|order| (order.id, order.clone()))
        .collect();
    let known_payments: HashMap<i64, PaymentRow> = payments
        .iter()
        .map(|payment| (payment.id, payment.clone()))
        .collect();
    let unpaid = without_sessions(&orders, &payments, now);
    let changes = world(now, orders, payments, transactions).project();
    let sessions = changes.payments.iter().filter_map(|update| {
        let row = known_payments.get(&update.id)?;
        (row.status != update.status).then(|| Mismatch {
            name: row.session_id.clone(),
            is: row.status.clone(),
            should_be: update.status.clone(),
        })
    });
    let orders = changes
        .orders
        .iter()
        .filter_map(|update| order_mismatch(known_orders.get(&update.id)?, update, now));
    Ok(sessions.chain(orders).chain(unpaid).collect())
}

/// Orders that nobody ever tried to pay: no session leads to them.
fn without_sessions(
    orders: &[OrderRow],
    payments: &[PaymentRow],
    now: OffsetDateTime,
) -> Vec<Mismatch> {
    let paid_for: HashSet<_> = payments
        .iter()
        .filter_map(|payment| payment.order_id)
        .collect();
    let alone = orders.iter().filter(|order| !paid_for.contains(&order.id));
    alone
        .filter_map(|order| {
            let decided_for = resolution_paid(order);
            let projection = project_order(&order_facts(order, &decided_for, now), &[]);
            let update = OrderUpdate {
                id: order.id,
                status: projection.status.as_str().to_owned(),
                session_id: None,
                paid_at: None,
                review_reasons: projection
                    .reasons
                    .iter()
                    .map(|r| r.as_str().to_owned())
                    .collect(),
            };
            order_mismatch(order, &update, now)
        })
        .collect()
}

fn order_mismatch(row: &OrderRow, update: &OrderUpdate, now: OffsetDateTime) -> Option<Mismatch> {
    let closes_soon =
        row.status == "PENDING" && update.status == "EXPIRED" && row.expires_at <= now;
    let same = row.status == update.status && row.review_reasons == update.review_reasons;
    if same || closes_soon {
        return None;
    }
    let word = |status: &str, reasons: &[String]| match reasons {
        [] => status.to_owned(),
        reasons => format!("{status} ({})", reasons.join(", ")),
    };
    Some(Mismatch {
        name: row.order_code.clone(),
        is: word(&row.status, &row.review_reasons),
        should_be: word(&update.status, &update.review_reasons),
    })
}

/// A world in which everything is looked at and nothing has changed.
fn world(
    now: OffsetDateTime,
    orders: Vec<OrderRow>,
    payments: Vec<PaymentRow>,
    transactions: Vec<TransactionRow>,
) -> World {
    let payments: BTreeMap<i64, Payment> = payments
        .into_iter()
        .map(|row| {
            let payment = Payment {
                row,
                link: None,
                touched: true,
                traceparent: None,
            };
            (payment.row.id, payment)
        })
        .collect();
    let transactions = transactions.into_iter().map(|row| {
        (
            row.midtrans_transaction_id.clone(),
            Transaction {
                row,
                changed: false,
            },
        )
    });
    World {
        now,
        orders: orders.into_iter().map(|row| (row.id, row)).collect(),
        by_session: HashMap::new(),
        transactions: transactions.collect(),
        payments,
        events: HashMap::new(),
        unconfirmed: Vec::new(),
        logs: Vec::new(),
    }
}
