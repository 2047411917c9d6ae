//! Our requests per second: a token bucket of this process.
//!
//! The client uses [`Budget::take`] and [`Budget::hold_back`] and nothing else, so that a bucket
//! shared by the fleet can stand behind the same two.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The part of a second's requests that may go out at once after a quiet time.
const BURST: Duration = Duration::from_millis(250);

/// The bucket.
#[derive(Debug)]
pub(super) struct Budget(Mutex<Tokens>);

/// No token within the time a caller is ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    /// How long it would have been.
    pub(super) retry_after: Duration,
}

impl Budget {
    /// A full bucket; `per_second` of zero counts as one.
    pub(super) fn new(per_second: u32) -> Self {
        Self(Mutex::new(Tokens::new(per_second, Instant::now())))
    }

    /// Takes a token, waiting for it at most `within`. Fails at once when that would not do. A
    /// caller that gives up while waiting has spent its token: the budget errs on the slow side.
    pub(super) async fn take(&self, within: Duration) -> Result<(), Exhausted> {
        let wait = self.tokens().reserve(Instant::now(), within)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Gives no token out for a while, because Midtrans asked for it.
    pub(super) fn hold_back(&self, pause: Duration) {
        self.tokens().hold_back(Instant::now(), pause);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        // Two assignments cannot be left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket as arithmetic: `due` is when the next token is due at an even pace, and may lie in
/// the past by as much as a burst is worth.
#[derive(Debug)]
struct Tokens {
    interval: Duration,
    burst: Duration,
    due: Instant,
    closed_until: Instant,
}

impl Tokens {
    fn new(per_second: u32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let burst = BURST.saturating_sub(interval);
        Self {
            interval,
            burst,
            due: now.checked_sub(burst).unwrap_or(now),
            closed_until: now,
        }
    }

    /// Spends a token; how long to wait until it may be used.
    fn reserve(&mut self, now: Instant, within: Duration) -> Result<Duration, Exhausted> {
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let due = self.due.max(earliest);
        let wait = due.max(self.closed_until).saturating_duration_since(now);
        if wait > within {
            return Err(Exhausted { retry_after: wait });
        }
        self.due = due + self.interval;
        Ok(wait)
    }

    /// After the pause the pace begins anew, without a burst.
    fn hold_back(&mut self, now: Instant, pause: Duration) {
        let until = now.checked_add(pause).unwrap_or(now);
        self.closed_until = self.closed_until.max(until);
        self.due = self.due.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(60);

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_quiet_bucket_gives_a_small_burst_and_then_an_even_pace() {
        let start = Instant::now();
        let mut tokens = Tokens::new(20, start);
        let waits: Vec<_> = (0..9)
            .map(|_| tokens.reserve(start, LONG).unwrap().as_millis())
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 50, 100, 150, 200]);
        let later = start + LONG;
        assert_eq!(tokens.reserve(later, LONG), Ok(Duration::ZERO));
    }

    #[test]
    fn a_slow_budget_has_no_burst() {
        let start = Instant::now();
        let mut tokens = Tokens::new(0, start);
        assert_eq!(tokens.reserve(start, LONG), Ok(Duration::ZERO));
        assert_eq!(tokens.reserve(start, LONG), Ok(millis(1_000)));
    }

    #[test]
    fn a_wait_that_is_too_long_spends_nothing() {
        let start = Instant::now();
        let mut tokens = Tokens::new(1, start);
        tokens.reserve(start, LONG).unwrap();
        for _ in 0..3 {
            let refused = tokens.reserve(start, millis(999)).unwrap_err();
            assert_eq!(refused.retry_after, millis(1_000));
        }
        assert_eq!(tokens.reserve(start, millis(1_000)), Ok(millis(1_000)));
    }

    #[test]
    fn nothing_is_given_while_held_back_and_no_burst_after_it() {
        let start = Instant::now();
        let mut tokens = Tokens::new(20, start);
        tokens.hold_back(start, millis(3_000));
        tokens.hold_back(start, millis(1_000));
        assert!(tokens.reserve(start, millis(2_999)).is_err());
        let after = start + millis(3_000);
        let waits = [0, 1, 2].map(|_| tokens.reserve(after, LONG).unwrap().as_millis());
        assert_eq!(waits, [0, 50, 100]);
    }

    #[tokio::test]
    async fn an_exhausted_budget_fails_without_waiting() {
        let budget = Budget::new(1);
        budget.take(Duration::ZERO).await.unwrap();
        let refused = budget.take(millis(10)).await.unwrap_err();
        assert!(refused.retry_after > millis(900));
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_the_rate_and_a_burst(
            rate in 1_u32..200,
            gaps in prop::collection::vec(0_u64..120, 1..400),
        ) {
            let start = Instant::now();
            let mut tokens = Tokens::new(rate, start);
            let mut now = start;
            let mut sent = Vec::new();
            for gap in gaps {
                now += millis(gap);
                if let Ok(wait) = tokens.reserve(now, millis(500)) {
                    sent.push(now + wait);
                }
            }
            sent.sort();
            for (index, first) in sent.iter().enumerate() {
                let end = *first + Duration::from_secs(1);
                let count = sent[index..].iter().take_while(|at| **at < end).count();
                prop_assert!(count <= rate as usize + rate as usize / 4 + 2, "{count}");
            }
        }
    }
}
