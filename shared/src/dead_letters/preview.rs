//! What a replay would meet: what orders and payments are now, and whether a letter would still
//! change anything. Nothing is written.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, HashSet};
use time::OffsetDateTime;

use super::notices;
use crate::broker::{Headers, topology};
use crate::domain::{
    ConfirmPolicy, Decision, FraudStatus, Known, Observation, Rail, Rupiah, Source,
    TransactionState, TransactionStatus, decide,
};
use crate::store::dead_letters_read::DeadLetterContent;
use crate::store::transactions::TransactionRow;
use crate::store::{Store, StoreError};

/// Letters looked at together: their payloads are in memory.
const PAGE: usize = 500;

/// What a replay of a set would meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Names the set: a replay of another set has another one.
    pub token: String,
    /// Letters in it.
    pub count: usize,
    /// Each letter, by id.
    pub items: Vec<PreviewItem>,
}

/// What a replay of one letter would meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewItem {
    /// The dead letter.
    pub id: i64,
    /// The order it speaks of.
    pub order_code: Option<String>,
    /// What the order is now; `None` when there is none.
    pub order_status: Option<String>,
    /// What the payment is now; `None` when there is none.
    pub payment_status: Option<String>,
    /// Whether the notification says something new. `None` when only trying can tell: a job, or a
    /// body that cannot be read.
    pub would_change: Option<bool>,
}

/// Looks at a set of letters, by id.
///
/// # Errors
/// The database does not answer.
pub async fn preview(store: &Store, ids: &[i64]) -> Result<Preview, StoreError> {
    let mut items = Vec::with_capacity(ids.len());
    for page in ids.chunks(PAGE) {
        let contents = store.dead_letters_contents(page).await?;
        let mut changes = would_change(store, &contents).await?;
        for now in store.dead_letters_present(page).await? {
            items.push(PreviewItem {
                would_change: changes.remove(&now.id),
                id: now.id,
                order_code: now.order_code,
                order_status: now.order_status,
                payment_status: now.payment_status,
            });
        }
    }
    let token = items
        .iter()
        .fold(Sha256::new(), |hash, item| {
            hash.chain_update(item.id.to_be_bytes())
        })
        .finalize();
    Ok(Preview {
        token: hex::encode(token),
        count: items.len(),
        items,
    })
}

/// Which of the letters are notifications that can be read, and whether they say something new.
async fn would_change(
    store: &Store,
    contents: &[DeadLetterContent],
) -> Result<HashMap<i64, bool>, StoreError> {
    let seen: Vec<_> = contents
        .iter()
        .filter_map(|letter| Some((letter.id, observation(letter)?)))
        .collect();
    let transactions: Vec<_> = seen
        .iter()
        .map(|(_, o)| o.transaction_id.as_str())
        .collect();
    let keys: Vec<_> = seen.iter().map(|(_, o)| o.event_key.0.as_slice()).collect();
    let mut txn = store.begin().await?;
    let rows = store
        .transactions_find_in_txn(&mut txn, &[], &transactions)
        .await?;
    let events = store.events_find_in_txn(&mut txn, &keys).await?;
    store.commit(txn).await?;
    let known: HashMap<_, _> = rows
        .iter()
        .filter_map(|row| Some((row.midtrans_transaction_id.as_str(), known(row)?)))
        .collect();
    let settled: HashSet<_> = events
        .iter()
        .filter(|event| !matches!(event.verdict.as_str(), "unconfirmed" | "refused" | "dead"))
        .map(|event| event.event_key.as_slice())
        .collect();
    let answer = seen.iter().map(|(id, observation)| {
        let current = known.get(observation.transaction_id.as_str());
        let repeated = settled.contains(observation.event_key.0.as_slice());
        let decision = decide(current, observation, ConfirmPolicy::Risky, repeated);
        let new = match decision {
            Decision::Apply(_) | Decision::Confirm => !observation.is_test,
            Decision::Same | Decision::Stale(_) => false,
        };
        (*id, new)
    });
    Ok(answer.collect())
}

fn observation(letter: &DeadLetterContent) -> Option<Observation> {
    if letter.routing_key != topology::WEBHOOK_KEY {
        return None;
    }
    let headers = letter.headers.as_object().map(Headers::from_json);
    if let Some(headers) = headers.as_ref().filter(|headers| headers.kind.is_some()) {
        let kind = notices::kind(headers, &letter.routing_key)?;
        return notices::observation(kind, &letter.payload, headers);
    }
    let received_at = headers.map_or(OffsetDateTime::UNIX_EPOCH, |it| it.received_at);
    Observation::from_notification(&letter.payload, received_at, Source::Replay).ok()
}

fn known(row: &TransactionRow) -> Option<Known> {
    let rail = Rail::of(row.payment_type.as_deref(), row.payment_channel.as_deref());
    let fraud = row.fraud_status.as_deref().map(FraudStatus::parse);
    let status = TransactionStatus::parse(&row.status);
    Some(Known {
        state: TransactionState::of(&status, fraud.as_ref(), rail)?,
        rail,
        gross_amount: Rupiah::new(row.gross_amount),
        refunded: Rupiah::new(row.refunded_amount),
        as_of: None,
    })
}
