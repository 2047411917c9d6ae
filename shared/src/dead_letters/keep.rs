//! The keeper: what is in the dead-letter queue goes into `dead_letters`, at least once.
//!
//! The caller acknowledges what this function has committed, and nothing else. A database that is
//! away is waited for. A row that PostgreSQL refuses is kept in a reduced form; should even that be
//! refused, the letter is left unacknowledged: it stays on the queue, is lost to nobody, and the
//! ones behind it go on.

use std::collections::BTreeMap;

use tracing::{error, info, warn};

use super::letter::{self, DeadNotification};
use super::notices::{self, DeadNotice};
use crate::broker::Delivery;
use crate::domain::Source;
use crate::domain::outcome::DeadReason;
use crate::store::dead_letters::NewDeadLetter;
use crate::store::events::NewEvent;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::telemetry::metrics;

/// Tries before a statement that keeps meeting a deadlock waits like one whose database is away.
const CONTENTION_TRIES: usize = 3;

/// What became of a batch of dead letters.
#[derive(Debug, Default)]
pub struct Kept {
    /// Letters that were not there yet; the rest were repetitions.
    pub new: usize,
    /// Letters that must not be acknowledged. Practically always empty.
    pub refused: Vec<Refused>,
}

/// A letter that the database refuses in every form.
#[derive(Debug)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub error: StoreError,
}

/// Commits a batch of deliveries from the dead-letter queue, whatever their shape. After `Ok`, all
/// but [`Kept::refused`] may be acknowledged.
///
/// # Errors
/// The database is away, or has another shape: nothing may be acknowledged, and the caller tries
/// again when the database answers. Doing it twice is harmless.
pub async fn keep(store: &Store, deliveries: &[Delivery]) -> Result<Kept, StoreError> {
    if deliveries.is_empty() {
        return Ok(Kept::default());
    }
    let letters: Vec<_> = deliveries.iter().map(letter::read).collect();
    let mut kept = Kept::default();
    let mut keys = match insert(store, &letters).await {
        Ok(keys) => keys,
        Err(error) if is_waited_for(&error) => return Err(error),
        Err(_) => insert_one_by_one(store, &letters, &mut kept).await?,
    };
    record_notifications(store, deliveries, &letters).await?;
    notices::record_dead(store, deliveries, &letters).await?;
    kept.new = keys.len();
    keys.sort_unstable();
    let new = || {
        let pairs = deliveries.iter().zip(&letters);
        pairs.filter(|(_, letter)| keys.binary_search(&letter.letter_key).is_ok())
    };
    count(new().map(|(_, letter)| letter));
    // A replayed letter that dies again was counted as dead before.
    let ended = new().filter(|(delivery, letter)| {
        delivery.headers.source == Source::Webhook.as_str()
            && (DeadNotification::read(delivery, letter).is_some()
                || DeadNotice::read(delivery, letter).is_some())
    });
    metrics::settled("dead", ended.count() as u64);
    info!(
        dead_letters.delivered = deliveries.len(),
        dead_letters.new = kept.new,
        dead_letters.refused = kept.refused.len(),
        "Dead letters kept"
    );
    Ok(kept)
}

/// Sets the gauge of rupiah in dead letters that nobody has settled; for a timer of the keeper.
///
/// # Errors
/// The database does not answer; the gauge keeps its last value.
pub async fn measure(store: &Store) -> Result<(), StoreError> {
    metrics::dead_letters_rupiah(store.dead_letters_rupiah().await?);
    Ok(())
}

/// Whether every letter would meet this error: then no letter is to blame.
pub(super) fn is_waited_for(error: &StoreError) -> bool {
    match error.kind() {
        StoreErrorKind::Unavailable
        | StoreErrorKind::Contention
        | StoreErrorKind::SchemaMismatch => true,
        StoreErrorKind::Refused { .. } | StoreErrorKind::Unclassified => false,
    }
}

async fn insert(store: &Store, letters: &[NewDeadLetter<'_>]) -> Result<Vec<String>, StoreError> {
    let mut tries = 1;
    loop {
        match insert_once(store, letters).await {
            Err(error) if error.is_contention() && tries < CONTENTION_TRIES => tries += 1,
            answer => return answer,
        }
    }
}

async fn insert_once(
    store: &Store,
    letters: &[NewDeadLetter<'_>],
) -> Result<Vec<String>, StoreError> {
    let mut txn = store.begin().await?;
    let keys = store.dead_letters_insert_in_txn(&mut txn, letters).await?;
    store.in_hand_put_down_in_txn(&mut txn, letters).await?;
    store.commit(txn).await?;
    Ok(keys)
}

async fn insert_one_by_one(
    store: &Store,
    letters: &[NewDeadLetter<'_>],
    kept: &mut Kept,
) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    for (index, letter) in letters.iter().enumerate() {
        match insert_or_reduce(store, letter).await {
            Ok(new) => keys.extend(new),
            Err(error) if is_waited_for(&error) => return Err(error),
            Err(error) => {
                error!(
                    dead_letters.key = letter.letter_key,
                    error = %chain(&error),
                    "Dead letter refused by the database; it stays on the queue"
                );
                kept.refused.push(Refused { index, error });
            }
        }
    }
    Ok(keys)
}

async fn insert_or_reduce(
    store: &Store,
    letter: &NewDeadLetter<'_>,
) -> Result<Vec<String>, StoreError> {
    match insert(store, std::slice::from_ref(letter)).await {
        Err(error) if !is_waited_for(&error) => {
            let reduced = letter::reduced(letter, &chain(&error));
            let keys = insert(store, &[reduced]).await?;
            warn!(
                dead_letters.key = letter.letter_key,
                error = %chain(&error),
                "Dead letter kept without its headers"
            );
            Ok(keys)
        }
        answer => answer,
    }
}

/// Gives every accepted notification that died before it was recorded a row with verdict `dead`.
/// A body that the column refuses (a NUL in a text) goes without: the letter itself is kept.
async fn record_notifications(
    store: &Store,
    deliveries: &[Delivery],
    letters: &[NewDeadLetter<'_>],
) -> Result<(), StoreError> {
    let found: Vec<_> = deliveries
        .iter()
        .zip(letters)
        .filter_map(|(delivery, letter)| DeadNotification::read(delivery, letter))
        .collect();
    let events: Vec<_> = found.iter().map(event).collect();
    match record(store, &events).await {
        Err(error) if is_waited_for(&error) => return Err(error),
        Ok(()) => return Ok(()),
        Err(_) => {}
    }
    for event in &events {
        match record(store, std::slice::from_ref(event)).await {
            Err(error) if is_waited_for(&error) => return Err(error),
            Err(error) => warn!(
                payment.session_id = event.order_id,
                error = %chain(&error),
                "Notification of a dead letter not recorded"
            ),
            Ok(()) => {}
        }
    }
    Ok(())
}

async fn record(store: &Store, events: &[NewEvent<'_>]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut tries = 1;
    loop {
        let mut txn = store.begin().await?;
        let written = store
            .dead_letters_record_events_in_txn(&mut txn, events)
            .await;
        match written {
            Ok(()) => return store.commit(txn).await,
            Err(error) if error.is_contention() && tries < CONTENTION_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

fn event(dead: &DeadNotification) -> NewEvent<'_> {
    NewEvent {
        event_key: &dead.event_key.0,
        received_at: dead.received_at,
        order_id: &dead.order_id,
        midtrans_transaction_id: &dead.transaction_id,
        raw_body: &dead.raw_body,
        signature_key: dead.signature_key.as_deref(),
        verdict: "dead",
        processing_error: Some(&dead.reason),
        deliveries: 1,
    }
}

/// Counts by the closed set of reasons: a foreign word would make a time series of its own.
fn count<'a>(letters: impl Iterator<Item = &'a NewDeadLetter<'a>>) {
    let mut by_reason = BTreeMap::<_, u64>::new();
    for letter in letters {
        let reason = DeadReason::parse(&letter.reason).unwrap_or(DeadReason::ForeignMessage);
        *by_reason.entry(reason.as_str()).or_default() += 1;
    }
    for (reason, count) in by_reason {
        metrics::dead_letters_kept(reason, count);
    }
}

/// The error and its causes.
pub(super) fn chain(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
