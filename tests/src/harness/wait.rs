//! Waiting for a fact instead of for time: looks again and again until it is there, within a bound.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Time between two looks: short beside any bound, long beside a query.
const PAUSE: Duration = Duration::from_millis(15);

/// The bound of waits that have no reason for another one. Generous, because it only costs time
/// when something is broken, and machines that run tests are busy.
pub const BOUND: Duration = Duration::from_secs(30);

/// What one look brought: the awaited fact, or what is there instead.
pub trait Sighting {
    /// The fact.
    type Fact;

    /// The fact, or the words for what is there instead.
    ///
    /// # Errors
    /// When it is not the fact.
    fn judge(self) -> Result<Self::Fact, String>;
}

impl<T> Sighting for Option<T> {
    type Fact = T;

    fn judge(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Sighting for Result<T, E> {
    type Fact = T;

    fn judge(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

impl Sighting for bool {
    type Fact = ();

    fn judge(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "not so".to_owned())
    }
}

/// Looks until the fact is there.
///
/// # Panics
/// When the bound has passed: says what was awaited and what was seen last.
pub async fn wait_for<S: Sighting>(
    what: &str,
    bound: Duration,
    look: impl AsyncFnMut() -> S,
) -> S::Fact {
    match try_wait_for(bound, look).await {
        Ok(fact) => fact,
        Err(seen) => panic!("waited {bound:?} for {what}; last seen: {seen}"),
    }
}

/// As [`wait_for`], for callers that have more to say about a failure.
///
/// # Errors
/// What was seen last, when the bound has passed.
pub async fn try_wait_for<S: Sighting>(
    bound: Duration,
    mut look: impl AsyncFnMut() -> S,
) -> Result<S::Fact, String> {
    let started = Instant::now();
    let mut seen = "no answer to the first look".to_owned();
    loop {
        let left = bound.saturating_sub(started.elapsed());
        // A look that hangs must not outlive the bound either.
        match tokio::time::timeout(left.max(PAUSE), look()).await {
            Ok(sighting) => match sighting.judge() {
                Ok(fact) => return Ok(fact),
                Err(instead) => seen = instead,
            },
            Err(_) => return Err(format!("{seen}, then a look that did not end")),
        }
        if started.elapsed() >= bound {
            return Err(seen);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
