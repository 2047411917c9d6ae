//! After a restore from a backup: what was stored takes effect once more, idempotently. What came
//! after the backup only Midtrans knows; it is asked about every session ([`super::sync`]).

use serde::Serialize;
use time::OffsetDateTime;

use crate::apply::{ApplyError, Input, Item, apply};
use crate::domain::outcome::Settled;
use crate::domain::{ConfirmPolicy, Observation, Source};
use crate::store::{Store, StoreError};

/// Notifications of one page; each is a transaction of its own, because some of them may be dead
/// for a reason.
const PAGE: i64 = 200;

/// What became of the stored notifications that had taken no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// How many there were.
    pub read: u64,
    /// Took effect now.
    pub applied: u64,
    /// Changed nothing: the transaction had gone on.
    pub stale: u64,
    /// Wait for the word of the status API, which is asked about their sessions next.
    pub unconfirmed: u64,
    /// Cannot take effect; they stay as they were.
    pub failed: u64,
}

/// Why stored notifications were not replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The database failed.
    #[error("the stored notifications were not read")]
    Store(#[from] StoreError),
    /// It failed while one was applied.
    #[error("a stored notification was not applied")]
    Apply(#[source] ApplyError),
}

/// Replays every stored notification since a moment that had taken no effect. Interrupted, it is
/// started anew.
///
/// # Errors
/// When the database fails; what was applied stays applied.
pub async fn replay(
    store: &Store,
    policy: ConfirmPolicy,
    since: OffsetDateTime,
) -> Result<Replayed, RecoverError> {
    let mut replayed = Replayed::default();
    let mut after = Vec::new();
    loop {
        let page = store.recover_events(since, &after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(replayed);
        };
        after.clone_from(&last.event_key);
        for event in &page {
            replayed.read += 1;
            let seen = Observation::from_stored(event.raw_body.as_bytes(), event.received_at);
            let Some(mut seen) = seen else {
                replayed.failed += 1;
                continue;
            };
            seen.source = Source::Replay;
            let item = Item::new(Input::Observed(Box::new(seen)));
            match apply(store, policy, &[item]).await {
                Ok(outcomes) => replayed.count(outcomes.first().map(|outcome| outcome.settled)),
                Err(ApplyError::Store(error)) if error.is_unavailable() => {
                    return Err(RecoverError::Apply(ApplyError::Store(error)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a stored notification cannot take effect");
                    replayed.failed += 1;
                }
            }
        }
    }
}

impl Replayed {
    fn count(&mut self, settled: Option<Settled>) {
        match settled {
            Some(Settled::Applied) => self.applied += 1,
            Some(Settled::Unconfirmed) => self.unconfirmed += 1,
            Some(Settled::Stale | Settled::Duplicate | Settled::Test) => self.stale += 1,
            Some(Settled::Refused) | None => self.failed += 1,
        }
    }
}
