//! How many unsigned notifications are taken: anybody can send them, and each costs a message, a
//! row and a question to Midtrans.

use std::sync::Mutex;
use std::time::Instant;

/// A bucket that fills at a steady pace and holds what one second brings.
#[derive(Debug)]
pub(crate) struct Allowance {
    per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Allowance {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            state: Mutex::new((per_second, Instant::now())),
        }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        // A poisoned lock cannot be: nothing panics while it is held.
        let mut state = match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        let (left, since) = *state;
        let grown = now.duration_since(since).as_secs_f64() * self.per_second;
        let left = (left + grown).min(self.per_second);
        let allowed = left >= 1.0;
        *state = (if allowed { left - 1.0 } else { left }, now);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_gets_what_a_second_brings_and_no_more() {
        let allowance = Allowance::new(10);
        let start = Instant::now();
        let taken = |at| (0..100).filter(|_| allowance.take_at(at)).count();
        assert_eq!(taken(start), 10);
        assert_eq!(taken(start + Duration::from_millis(500)), 5);
        assert_eq!(taken(start + Duration::from_secs(60)), 10);
        assert!(!Allowance::new(0).take_at(start));
    }
}
