//! Circuit breaker: after several failures in a row no request is sent for a while; then one
//! probe decides.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

/// What a caller is told who waits for the probe of another one.
const PROBE_TAKES: Duration = Duration::from_secs(1);

/// The breaker of one remote side.
#[derive(Debug)]
pub(super) struct Breaker {
    threshold: u32,
    cool_down: Duration,
    state: Mutex<State>,
}

/// No request may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// Until one may be.
    pub(super) retry_after: Duration,
}

/// Permission for one request. Dropping it without a word (a caller that gave up) says nothing
/// about the remote side, and hands on the probe.
#[derive(Debug)]
#[must_use = "say how the request went"]
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    /// Passes of an earlier period do not decide about this one.
    period: u64,
    probe: bool,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    period: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant },
    Probing,
}

impl Breaker {
    /// A closed breaker that opens after `threshold` failures in a row, for `cool_down`.
    pub(super) fn new(threshold: u32, cool_down: Duration) -> Self {
        let phase = Phase::Closed { failures: 0 };
        Self {
            threshold: threshold.max(1),
            cool_down,
            state: Mutex::new(State { phase, period: 0 }),
        }
    }

    /// Lets a request through, or says when to come back. After the cool-down the first to ask
    /// carries the probe.
    pub(super) fn admit(&self, now: Instant) -> Result<Pass<'_>, Open> {
        let mut state = self.state();
        if let Some(open) = state.open(now) {
            return Err(open);
        }
        let probe = matches!(state.phase, Phase::Open { .. });
        if probe {
            state.enter(Phase::Probing);
        }
        Ok(Pass {
            breaker: self,
            period: state.period,
            probe,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment or two that follow at once; a panic tears none apart.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Whether it still allows a request: the circuit may have opened since.
    pub(super) fn stands(&self) -> bool {
        self.breaker.state().period == self.period
    }

    /// The remote side answered.
    pub(super) fn answered(self) {
        let mut state = self.breaker.state();
        if state.period != self.period {
            return;
        }
        if self.probe {
            info!("The gateway answers again");
            state.enter(Phase::Closed { failures: 0 });
        } else {
            state.phase = Phase::Closed { failures: 0 };
        }
    }

    /// The remote side is in trouble.
    pub(super) fn failed(self, now: Instant) {
        let breaker = self.breaker;
        let mut state = breaker.state();
        if state.period != self.period {
            return;
        }
        let failures = match state.phase {
            Phase::Closed { failures } => failures + 1,
            Phase::Open { .. } | Phase::Probing => breaker.threshold,
        };
        if failures < breaker.threshold {
            state.phase = Phase::Closed { failures };
            return;
        }
        if !self.probe {
            warn!(
                failures,
                "The gateway fails; no request is sent for a while"
            );
        }
        let until = now + breaker.cool_down;
        state.enter(Phase::Open { until });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut state = self.breaker.state();
        if state.period == self.period && matches!(state.phase, Phase::Probing) {
            let until = Instant::now();
            state.enter(Phase::Open { until });
        }
    }
}

impl State {
    fn open(&self, now: Instant) -> Option<Open> {
        match self.phase {
            Phase::Open { until } if now < until => Some(Open {
                retry_after: until - now,
            }),
            Phase::Probing => Some(Open {
                retry_after: PROBE_TAKES,
            }),
            Phase::Open { .. } | Phase::Closed { .. } => None,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.period += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOL: Duration = Duration::from_secs(10);

    fn check(breaker: &Breaker, now: Instant) -> Result<(), Open> {
        breaker.state().open(now).map_or(Ok(()), Err)
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::new(3, COOL);
        for _ in 0..3 {
            breaker.admit(now).unwrap().failed(now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let breaker = Breaker::new(3, COOL);
        for _ in 0..5 {
            breaker.admit(now).unwrap().failed(now);
            breaker.admit(now).unwrap().failed(now);
            breaker.admit(now).unwrap().answered();
        }
        assert_eq!(check(&breaker, now), Ok(()));
        let open = opened(now).admit(now).unwrap_err();
        assert_eq!(open.retry_after, COOL);
    }

    #[test]
    fn one_probe_goes_out_after_the_cool_down_and_an_answer_closes_it() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + COOL;
        assert!(check(&breaker, later - Duration::from_millis(1)).is_err());
        let probe = breaker.admit(later).unwrap();
        assert_eq!(breaker.admit(later).unwrap_err().retry_after, PROBE_TAKES);
        probe.answered();
        let passes = [0; 5].map(|_| breaker.admit(later).unwrap());
        passes.into_iter().for_each(Pass::answered);
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + COOL;
        breaker.admit(later).unwrap().failed(later);
        assert_eq!(check(&breaker, later), Err(Open { retry_after: COOL }));
        assert_eq!(check(&breaker, later + COOL), Ok(()));
    }

    #[test]
    fn a_probe_that_is_given_up_is_handed_on() {
        let long_ago = Instant::now().checked_sub(COOL * 2).unwrap();
        let breaker = opened(long_ago);
        let probe = breaker.admit(Instant::now()).unwrap();
        drop(probe);
        let next = breaker.admit(Instant::now()).unwrap();
        next.answered();
        assert_eq!(check(&breaker, Instant::now()), Ok(()));
    }

    #[test]
    fn a_pass_stands_until_the_circuit_opens() {
        let now = Instant::now();
        let breaker = Breaker::new(3, COOL);
        let waiting = breaker.admit(now).unwrap();
        breaker.admit(now).unwrap().failed(now);
        breaker.admit(now).unwrap().answered();
        assert!(waiting.stands());
        for _ in 0..3 {
            breaker.admit(now).unwrap().failed(now);
        }
        assert!(!waiting.stands());
        assert!(breaker.admit(now + COOL).unwrap().stands());
    }

    #[test]
    fn of_many_callers_at_once_one_carries_the_probe() {
        let long_ago = Instant::now().checked_sub(COOL * 2).unwrap();
        let breaker = opened(long_ago);
        let now = Instant::now();
        let passes: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..64)
                .map(|_| scope.spawn(|| breaker.admit(now)))
                .collect();
            let ended = callers.into_iter().map(|caller| caller.join().unwrap());
            ended.flatten().collect()
        });
        assert_eq!(passes.len(), 1);
        assert!(passes[0].stands());
    }

    #[test]
    fn requests_of_an_earlier_period_do_not_decide() {
        let now = Instant::now();
        let breaker = Breaker::new(3, COOL);
        let (late_answer, late_failure) = (breaker.admit(now), breaker.admit(now));
        for _ in 0..3 {
            breaker.admit(now).unwrap().failed(now);
        }
        late_answer.unwrap().answered();
        assert!(check(&breaker, now).is_err());
        let later = now + COOL;
        breaker.admit(later).unwrap().answered();
        late_failure.unwrap().failed(later);
        breaker.admit(later).unwrap().failed(later);
        breaker.admit(later).unwrap().failed(later);
        assert_eq!(check(&breaker, later), Ok(()));
    }
}
