//! Publishing dead letters again: paced, each confirmed by the broker, each accounted for.
//!
//! The set was fixed and committed when the replay was created. Killed anywhere, whoever drives it
//! next publishes what is not accounted for: a letter may go out twice, which is harmless, and
//! none is left out. A broker that is away is nobody's fault: the replay waits, then stops and can
//! be resumed.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{DEATHS_HEADER, LETTER_HEADER, REPLAY_HEADER};
use crate::broker::{Destination, Envelope, Headers, PublishError, Publisher};
use crate::domain::Source;
use crate::fault;
use crate::store::dead_letters_read::DeadLetterContent;
use crate::store::replays::{ReplayLock, ReplayRow, SettledItem};
use crate::store::{Store, StoreError};

/// One letter's confirm may take this long.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
/// A replay that gets nothing published for so long stops.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a publish that the broker could not take.
const PAUSE: Duration = Duration::from_millis(500);
/// Most letters in flight, and so most that go out twice after a kill.
const CHUNK: u32 = 50;

/// Drives replays.
#[derive(Clone)]
pub struct Replayer {
    store: Store,
    publisher: Publisher,
}

/// Why a replay could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no replay of this name.
    #[error("there is no replay {0}")]
    NotFound(Uuid),
    /// Another process drives it.
    #[error("replay {0} is in the hands of another process")]
    InHand(Uuid),
    /// The database failed; what is not accounted for is published by whoever resumes.
    #[error("the replay cannot go on without the database")]
    Store(#[source] StoreError),
}

impl Replayer {
    /// A driver over the given store and publisher.
    #[must_use]
    pub fn new(store: Store, publisher: Publisher) -> Self {
        Self { store, publisher }
    }

    /// Drives a replay until its last letter is accounted for, it is paused or cancelled by
    /// somebody else, `stop` is cancelled, or the broker takes nothing for 30 s; answers how far
    /// it is then. A replay that has ended is left as it is.
    ///
    /// # Errors
    /// [`ReplayError`]; the replay can be driven again.
    pub async fn drive(
        &self,
        id: Uuid,
        stop: &CancellationToken,
        progress: impl FnMut(&ReplayRow),
    ) -> Result<ReplayRow, ReplayError> {
        let replay = self.find(id).await?;
        let mut lock = self.lock(id).await?;
        let driven = self.publish_all(&replay, &mut lock, stop, progress).await;
        // Who cancelled left the letters that were not handled to whoever has the replay in hand.
        let ended = match driven {
            Ok(()) => lock.give_back().await,
            failed => failed,
        };
        lock.release().await;
        ended.map_err(ReplayError::Store)?;
        self.find(id).await
    }

    /// Ends a replay; what it has not handled is dead again, now or as soon as the process that
    /// drives it notices. A replay that has ended is left as it is.
    ///
    /// # Errors
    /// [`ReplayError::NotFound`] or [`ReplayError::Store`].
    pub async fn cancel(store: &Store, id: Uuid) -> Result<ReplayRow, ReplayError> {
        store.replays_cancel(id).await.map_err(ReplayError::Store)?;
        if let Some(mut lock) = store.replays_lock(id).await.map_err(ReplayError::Store)? {
            let given = lock.give_back().await;
            lock.release().await;
            given.map_err(ReplayError::Store)?;
        }
        let found = store.replays_find(id).await.map_err(ReplayError::Store)?;
        found.ok_or(ReplayError::NotFound(id))
    }

    async fn find(&self, id: Uuid) -> Result<ReplayRow, ReplayError> {
        let found = self.store.replays_find(id).await;
        found
            .map_err(ReplayError::Store)?
            .ok_or(ReplayError::NotFound(id))
    }

    async fn lock(&self, id: Uuid) -> Result<ReplayLock, ReplayError> {
        let lock = self.store.replays_lock(id).await;
        lock.map_err(ReplayError::Store)?
            .ok_or(ReplayError::InHand(id))
    }

    async fn publish_all(
        &self,
        replay: &ReplayRow,
        lock: &mut ReplayLock,
        stop: &CancellationToken,
        mut progress: impl FnMut(&ReplayRow),
    ) -> Result<(), StoreError> {
        if !lock.run().await? {
            return Ok(());
        }
        let (chunk, period) = pace(replay.rate);
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_success = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return lock.stop("interrupted").await,
                _ = ticks.tick() => {}
            }
            let letters = lock.pending(i64::from(chunk)).await?;
            if letters.is_empty() {
                return Ok(());
            }
            let answers = join_all(letters.iter().map(|letter| self.publish(replay.id, letter)));
            let (settled, refusals): (Vec<_>, Vec<_>) =
                answers.await.into_iter().partition(Result::is_ok);
            fault::point("replay.published").await;
            let settled: Vec<_> = settled.into_iter().flatten().collect();
            if !settled.is_empty() {
                progress(&lock.settle(&settled).await?);
                last_success = Instant::now();
            }
            if let Some(Err(refusal)) = refusals.into_iter().next() {
                if last_success.elapsed() > PATIENCE {
                    return lock.stop(&refusal.to_string()).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Publishes one letter. `Err` when the broker could not take it, which is not the letter's
    /// fault: it stays pending.
    async fn publish(
        &self,
        replay: Uuid,
        letter: &DeadLetterContent,
    ) -> Result<SettledItem, PublishError> {
        let settled = |published, result| SettledItem {
            dead_letter_id: letter.id,
            published,
            result,
        };
        let Some(destination) = Destination::of_routing_key(&letter.routing_key) else {
            return Ok(settled(
                false,
                "failed: no queue is known for its routing key",
            ));
        };
        let envelope = Envelope {
            body: letter.payload.clone().into(),
            headers: headers(replay, letter),
        };
        match self
            .publisher
            .publish(&destination, envelope, CONFIRM_LIMIT)
            .await
        {
            Ok(()) => Ok(settled(true, "published")),
            // The webhooks' queue is always there; a job may be one that no release knows any more.
            Err(PublishError::Returned) if matches!(destination, Destination::Job(_)) => Ok(
                settled(false, "failed: the broker has no queue for its routing key"),
            ),
            Err(refusal) => Err(refusal),
        }
    }
}

/// The letter's headers for a fresh start.
fn headers(replay: Uuid, letter: &DeadLetterContent) -> Headers {
    let kept = letter.headers.as_object().cloned().unwrap_or_default();
    let mut headers = Headers::from_json(&kept).replayed();
    headers.source = Source::Replay.as_str().to_owned();
    let deaths = headers.foreign.get(DEATHS_HEADER).and_then(Value::as_i64);
    let deaths = deaths.unwrap_or(0).saturating_add(1);
    let added = [
        (DEATHS_HEADER, Value::from(deaths)),
        (REPLAY_HEADER, Value::from(replay.to_string())),
        (LETTER_HEADER, Value::from(letter.id)),
    ];
    let added = added.map(|(name, value)| (name.to_owned(), value));
    headers.foreign.extend(added);
    headers
}

/// How many letters go out at a time, and how often, for the wanted rate per second: ten times a
/// second, or as often as it takes to stay within a chunk.
fn pace(rate: i32) -> (u32, Duration) {
    let rate = u32::try_from(rate).unwrap_or(1).max(1);
    let chunk = (rate / 10).clamp(1, CHUNK);
    (
        chunk,
        Duration::from_secs_f64(f64::from(chunk) / f64::from(rate)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_pace_is_the_rate() {
        for rate in [1, 7, 10, 99, 100, 500, 3_000, 10_000] {
            let (chunk, period) = pace(rate);
            let per_second = f64::from(chunk) / period.as_secs_f64();
            assert!(
                (per_second - f64::from(rate)).abs() < 0.01 * f64::from(rate),
                "{rate}"
            );
            assert!((1..=CHUNK).contains(&chunk));
        }
    }

    #[test]
    fn a_replayed_message_starts_afresh_and_counts_its_deaths() {
        let letter = DeadLetterContent {
            id: 7,
            routing_key: "webhook.midtrans".to_owned(),
            payload: b"{}".to_vec(),
            headers: json!({
                "x-lunas-version": 1, "x-lunas-source": "webhook", "x-lunas-attempt": 8,
                "x-lunas-received-at": "2026-03-14T02:12:41Z", "x-lunas-reason": "attempts_exhausted",
                "x-lunas-error": "why", "message-id": "m-1", "x-lunas-deaths": 1, "x-team": "a",
            }),
        };
        let replay = Uuid::now_v7();
        let headers = headers(replay, &letter);
        assert_eq!((headers.attempt, headers.version), (1, 1));
        assert_eq!(headers.source, "replay");
        assert_eq!((headers.reason, headers.error), (None, None));
        assert_eq!(headers.message_id.as_deref(), Some("m-1"));
        assert_eq!(headers.received_at.unix_timestamp(), 1_773_454_361);
        assert_eq!(headers.foreign["x-lunas-deaths"], 2);
        assert_eq!(headers.foreign["x-lunas-replay-id"], replay.to_string());
        assert_eq!(headers.foreign["x-lunas-dead-letter-id"], 7);
        assert_eq!(headers.foreign["x-team"], "a");
    }
}
