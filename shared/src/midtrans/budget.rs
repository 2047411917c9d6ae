//! Our requests per second: a token bucket that the whole fleet shares, in PostgreSQL
//! (`store::gateway_budget`).
//!
//! The limit is the merchant's, not the process's. Of each process one caller of a priority asks
//! the database, for as many tokens as callers wait, and hands them on in the order in which they
//! came; each waits until its token is due. So the rate is exact, nothing is taken that nobody
//! wants, and a database that is away means that nobody may ask.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout, timeout_at};
use tracing::{error, warn};

use super::priority::Priority;
use crate::store::gateway_budget::{TokensGiven, TokensWanted};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;

/// The part of a second's requests that may go out at once after a quiet time, and the most that is
/// taken with one statement.
const BURST: Duration = Duration::from_millis(250);

/// The database answers within this time, or it is away.
const DATABASE_LIMIT: Duration = Duration::from_secs(2);

/// What a caller is told when the database is away.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// The shortest pause between two looks at the row by one caller.
const SHORTEST: Duration = Duration::from_millis(5);

/// The bucket.
#[derive(Debug)]
pub(super) struct Budget {
    store: Store,
    per_second: u32,
    waiting: Lane,
    confirm: Lane,
    periodic: Lane,
    /// What this process was told by Midtrans holds for it although the database may be away.
    closed_until: Mutex<Option<Instant>>,
}

/// The callers of one priority.
#[derive(Debug, Default)]
struct Lane {
    callers: AtomicU32,
    /// When the tokens taken for them are due, and the right to ask for more; it passes from one
    /// caller to the next in the order in which they came.
    tokens: tokio::sync::Mutex<VecDeque<Instant>>,
}

/// What a caller is ready for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readiness {
    pub(super) priority: Priority,
    /// How far ahead a token may be taken.
    pub(super) horizon: Duration,
    /// How long one is waited for.
    pub(super) patience: Duration,
}

/// No token within the time a caller is ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    /// How long it would have been.
    pub(super) retry_after: Duration,
}

impl Budget {
    /// A budget of so many requests per second; zero counts as one.
    pub(super) fn new(store: Store, per_second: u32) -> Self {
        Self {
            store,
            per_second: per_second.max(1),
            waiting: Lane::default(),
            confirm: Lane::default(),
            periodic: Lane::default(),
            closed_until: Mutex::new(None),
        }
    }

    /// Takes a token and waits until it is due. Fails without waiting when it would not be due in
    /// time. A caller that gives up while waiting has spent its token: the budget errs on the slow
    /// side.
    pub(super) async fn take(&self, ready: Readiness) -> Result<(), Exhausted> {
        let began = Instant::now();
        let deadline = began + ready.patience;
        loop {
            let due = self.token(&ready, deadline).await?;
            sleep_until(due.into()).await;
            // Midtrans may have asked for a pause since the token was taken.
            if self.closed().is_none_or(|until| until <= Instant::now()) {
                break;
            }
        }
        metrics::gateway_token_taken(ready.priority.as_str(), began.elapsed());
        Ok(())
    }

    /// Gives no token out for a while, because Midtrans asked for it in answer to a request that
    /// was sent `age` ago, and slows the fleet down.
    pub(super) async fn hold_back(&self, pause: Duration, age: Duration) {
        self.close(Instant::now() + pause);
        let reduce = self
            .store
            .gateway_budget_reduce(self.per_second, pause, age);
        match timeout(DATABASE_LIMIT, reduce).await {
            Ok(Ok(true)) => warn!(
                gateway.pause_seconds = pause.as_secs_f64(),
                "Midtrans limits our requests: the fleet pauses and goes on at half the rate"
            ),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => warn!(%error, "The fleet was not told that Midtrans limits it"),
            Err(_) => warn!("The fleet was not told in time that Midtrans limits it"),
        }
    }

    /// The due time of a token for the next caller in the line.
    async fn token(&self, ready: &Readiness, deadline: Instant) -> Result<Instant, Exhausted> {
        let lane = self.lane(ready.priority);
        let _caller = Caller::of(&lane.callers);
        let mut tokens = timeout_at(deadline.into(), lane.tokens.lock())
            .await
            .map_err(|_| Exhausted { retry_after: BURST })?;
        loop {
            let now = Instant::now();
            let closed = self.closed().unwrap_or(now);
            // What nobody came for in time is gone, and so is what was taken before a pause.
            tokens.retain(|due| *due + BURST >= now && (closed <= now || *due >= closed));
            if let Some(due) = tokens.front().copied() {
                in_time(now, due, deadline)?;
                tokens.pop_front();
                return Ok(due);
            }
            if closed > now {
                in_time(now, closed, deadline)?;
                sleep_until(closed.into()).await;
                continue;
            }
            let given = self
                .ask(lane, ready, deadline.saturating_duration_since(now))
                .await?;
            let now = Instant::now();
            if given.count == 0 {
                let due_in = given.due_in(0);
                in_time(now, now + due_in, deadline)?;
                // Half of the horizon has room then: enough for more than one token.
                let pause = due_in.saturating_sub(ready.horizon / 2);
                sleep_until((now + pause.max(given.pace() / 2).max(SHORTEST)).into()).await;
            }
            tokens.extend((0..given.count).map(|n| now + given.due_in(n)));
        }
    }

    /// Takes tokens out of the database for those who wait.
    async fn ask(
        &self,
        lane: &Lane,
        ready: &Readiness,
        left: Duration,
    ) -> Result<TokensGiven, Exhausted> {
        let most = self.per_second.div_ceil(4);
        let wanted = TokensWanted {
            per_second: self.per_second,
            count: lane.callers.load(Ordering::Relaxed).clamp(1, most),
            horizon: ready.horizon.min(left),
            burst: BURST,
        };
        match timeout(DATABASE_LIMIT, self.given(wanted)).await {
            Ok(Ok(Some(given))) => {
                metrics::gateway_rate(given.rate);
                return Ok(given);
            }
            Ok(Ok(None)) => warn!("The budget of the gateway has no row and takes none"),
            Ok(Err(error)) => warn!(%error, "The budget of the gateway is not available"),
            Err(_) => warn!("The budget of the gateway did not answer in time"),
        }
        let retry_after = DATABASE_PAUSE;
        Err(Exhausted { retry_after })
    }

    async fn given(&self, wanted: TokensWanted) -> Result<Option<TokensGiven>, StoreError> {
        let given = self.store.gateway_budget_take(wanted).await?;
        if given.is_some() {
            return Ok(given);
        }
        error!("The table gateway_budget had no row; it is made anew");
        self.store.gateway_budget_restore().await?;
        self.store.gateway_budget_take(wanted).await
    }

    const fn lane(&self, priority: Priority) -> &Lane {
        match priority {
            Priority::Waiting => &self.waiting,
            Priority::Confirm => &self.confirm,
            Priority::Periodic => &self.periodic,
        }
    }

    fn close(&self, until: Instant) {
        let mut closed = self.lock_closed();
        *closed = Some(closed.map_or(until, |before| before.max(until)));
    }

    fn closed(&self) -> Option<Instant> {
        *self.lock_closed()
    }

    fn lock_closed(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // One assignment cannot be left half done by a panic.
        self.closed_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is due already is never too late.
fn in_time(now: Instant, due: Instant, deadline: Instant) -> Result<(), Exhausted> {
    if due <= deadline.max(now) {
        return Ok(());
    }
    let retry_after = due.saturating_duration_since(now);
    Err(Exhausted { retry_after })
}

/// Somebody who waits for a token; counted until dropped.
struct Caller<'a>(&'a AtomicU32);

impl<'a> Caller<'a> {
    fn of(callers: &'a AtomicU32) -> Self {
        callers.fetch_add(1, Ordering::Relaxed);
        Self(callers)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
