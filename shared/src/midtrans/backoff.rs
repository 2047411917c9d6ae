//! Pauses between tries: exponential, with jitter, bounded in number and time.
//!
//! The only file that names the crate `backoff`, which is no longer maintained
//! (RUSTSEC-2025-0012): replacing it is a change of this file.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
use backoff::{Clock, SystemClock};

/// How often and for how long something is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    /// Tries in all.
    pub(super) tries: u32,
    /// No try begins later than this after the first one.
    pub(super) window: Duration,
    /// The first pause; each further one is three times as long.
    pub(super) first_pause: Duration,
}

/// What a try that failed means for the next one.
#[derive(Debug)]
pub(super) enum Failed<E> {
    /// Trying again does not help.
    ForGood(E),
    /// It may help after a pause.
    ForNow {
        /// What happened.
        error: E,
        /// The shortest pause the other side asks for.
        at_least: Option<Duration>,
    },
}

/// Runs `operation` until it succeeds, fails for good, or the policy ends it. The error is that of
/// the last try.
pub(super) async fn retry<T, E, F>(policy: Policy, mut operation: impl FnMut() -> F) -> Result<T, E>
where
    // Not an async closure: the future of one is not `Send` wherever it borrows.
    F: Future<Output = Result<T, Failed<E>>>,
{
    let mut pauses = Pauses::new(policy);
    loop {
        let (error, at_least) = match operation().await {
            Ok(value) => return Ok(value),
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::ForNow { error, at_least }) => (error, at_least),
        };
        match pauses.next(at_least.unwrap_or_default()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error),
        }
    }
}

/// The pauses of one operation.
struct Pauses<C> {
    exponential: ExponentialBackoff<C>,
    window: Duration,
    left: u32,
}

impl Pauses<SystemClock> {
    fn new(policy: Policy) -> Self {
        Self::with_clock(policy, SystemClock {})
    }
}

impl<C: Clock + Default> Pauses<C> {
    fn with_clock(policy: Policy, clock: C) -> Self {
        let mut exponential: ExponentialBackoff<C> = ExponentialBackoffBuilder::new()
            .with_initial_interval(policy.first_pause)
            .with_multiplier(3.0)
            .with_max_interval(policy.window)
            .with_max_elapsed_time(Some(policy.window))
            .build();
        exponential.clock = clock;
        exponential.reset();
        Self {
            exponential,
            window: policy.window,
            left: policy.tries.saturating_sub(1),
        }
    }

    /// The pause before the next try; `None` when there is none any more.
    fn next(&mut self, at_least: Duration) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = self.exponential.next_backoff()?.max(at_least);
        let ends = self.exponential.get_elapsed_time().checked_add(pause)?;
        (ends <= self.window).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Instant;

    const POLICY: Policy = Policy {
        tries: 3,
        window: Duration::from_secs(5),
        first_pause: Duration::from_millis(200),
    };

    /// A clock that a test moves.
    #[derive(Clone)]
    struct Hands(Rc<Cell<Instant>>);

    impl Default for Hands {
        fn default() -> Self {
            Self(Rc::new(Cell::new(Instant::now())))
        }
    }

    impl Clock for Hands {
        fn now(&self) -> Instant {
            self.0.get()
        }
    }

    impl Hands {
        fn forward(&self, by: Duration) {
            self.0.set(self.0.get() + by);
        }
    }

    fn pauses() -> (Pauses<Hands>, Hands) {
        let hands = Hands::default();
        (Pauses::with_clock(POLICY, hands.clone()), hands)
    }

    #[test]
    fn there_are_two_growing_pauses_between_three_tries() {
        for _ in 0..200 {
            let (mut pauses, _) = pauses();
            let first = pauses.next(Duration::ZERO).unwrap().as_millis();
            let second = pauses.next(Duration::ZERO).unwrap().as_millis();
            assert!((100..=300).contains(&first), "{first}");
            assert!((300..=900).contains(&second), "{second}");
            assert_eq!(pauses.next(Duration::ZERO), None);
        }
    }

    #[test]
    fn no_try_begins_after_the_window() {
        let (mut late, hands) = pauses();
        hands.forward(Duration::from_millis(4_950));
        assert_eq!(late.next(Duration::ZERO), None);
    }

    #[test]
    fn a_longer_pause_is_granted_when_it_fits() {
        let (mut asked, _) = pauses();
        let two = Duration::from_secs(2);
        assert_eq!(asked.next(two), Some(two));
        assert_eq!(asked.next(Duration::from_secs(6)), None);
        assert_eq!(pauses().0.next(Duration::MAX), None);
    }

    #[tokio::test]
    async fn the_last_error_is_the_one_returned() {
        let policy = Policy {
            first_pause: Duration::from_millis(1),
            ..POLICY
        };
        let mut tries = 0;
        let result: Result<(), u32> = retry(policy, || {
            tries += 1;
            std::future::ready(Err(Failed::ForNow {
                error: tries,
                at_least: None,
            }))
        })
        .await;
        assert_eq!((result, tries), (Err(3), 3));
    }

    #[tokio::test]
    async fn what_fails_for_good_is_not_tried_again() {
        let mut tries = 0;
        let result: Result<(), &str> = retry(POLICY, || {
            tries += 1;
            std::future::ready(Err(Failed::ForGood("no")))
        })
        .await;
        assert_eq!((result, tries), (Err("no"), 1));
    }
}
