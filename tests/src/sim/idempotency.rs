//! `Idempotency-Key` as `midtrans.md` 4.6 has it: global, successes only, for five minutes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::answer::Answer;

/// The keys seen lately.
pub(crate) struct Keys {
    life: Duration,
    seen: Mutex<HashMap<String, Entry>>,
}

enum Entry {
    Running,
    Done { at: Instant, answer: Answer },
}

/// What a request with a key has to do.
pub(crate) enum Claim {
    /// First with this key: do the work, then call `finish`.
    Work,
    /// The first one is still being worked on.
    Running,
    /// The answer given before.
    Repeat(Answer),
}

/// Longer keys are silently ignored.
const LONGEST: usize = 46;

/// Keys remembered at most; beyond that, finished ones are forgotten early.
const MOST: usize = 50_000;

impl Keys {
    pub(crate) fn new(life: Duration) -> Self {
        Self {
            life,
            seen: Mutex::default(),
        }
    }

    /// The key if it counts as one.
    pub(crate) fn usable(key: Option<&str>) -> Option<String> {
        key.filter(|key| !key.is_empty() && key.len() <= LONGEST)
            .map(str::to_owned)
    }

    /// Claims a key.
    pub(crate) fn claim(&self, key: &str) -> Claim {
        let mut seen = self.lock();
        if seen.len() >= MOST {
            seen.retain(|_, entry| matches!(entry, Entry::Running));
        }
        match seen.get(key) {
            Some(Entry::Running) => return Claim::Running,
            Some(Entry::Done { at, answer }) if at.elapsed() < self.life => {
                return Claim::Repeat(answer.clone());
            }
            Some(Entry::Done { .. }) | None => {}
        }
        seen.insert(key.to_owned(), Entry::Running);
        Claim::Work
    }

    /// Stores a successful answer; after a failure the key is free again.
    pub(crate) fn finish(&self, key: &str, answer: Option<&Answer>) {
        let mut seen = self.lock();
        match answer.filter(|answer| answer.is_success()) {
            Some(answer) => {
                let at = Instant::now();
                let answer = answer.clone();
                seen.insert(key.to_owned(), Entry::Done { at, answer });
            }
            None => {
                seen.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
