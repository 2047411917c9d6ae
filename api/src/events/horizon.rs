//! Up to which id the outbox may be told: below it nothing new can appear.
//!
//! Pure; the facts come from `shared::store::feed`, where the reasoning stands.

/// How far events may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Horizon {
    /// The last id that was told, or that will never be an event.
    reached: i64,
    /// Up to here every id is decided: it is visible, or will never be.
    decided: i64,
}

impl Horizon {
    /// Everything up to `id` is decided and told.
    pub(super) const fn at(id: i64) -> Self {
        Self {
            reached: id,
            decided: id,
        }
    }

    pub(super) const fn reached(self) -> i64 {
        self.reached
    }

    /// Every id up to `id` is decided; what is read from now on shows it.
    pub(super) fn decide(&mut self, id: i64) {
        self.decided = self.decided.max(id);
    }

    /// Takes those of the visible ids, which ascend from behind the horizon, that may be told:
    /// up to the first gap that may still fill. Answers how many.
    pub(super) fn take(&mut self, ids: impl Iterator<Item = i64>) -> usize {
        let mut taken = 0;
        for id in ids {
            if id > self.decided && id != self.reached + 1 {
                break;
            }
            self.reached = id;
            taken += 1;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(horizon: &mut Horizon, ids: &[i64]) -> usize {
        horizon.take(ids.iter().copied())
    }

    #[test]
    fn an_unbroken_run_is_told_at_once() {
        let mut horizon = Horizon::at(10);
        assert_eq!(take(&mut horizon, &[11, 12, 13]), 3);
        assert_eq!(horizon.reached(), 13);
        assert_eq!(take(&mut horizon, &[]), 0);
    }

    #[test]
    fn what_is_behind_a_gap_waits_until_the_gap_is_filled() {
        let mut horizon = Horizon::at(10);
        assert_eq!(take(&mut horizon, &[11, 13, 14]), 1);
        assert_eq!(take(&mut horizon, &[13, 14]), 0);
        assert_eq!(take(&mut horizon, &[12, 13, 14]), 3);
        assert_eq!(horizon.reached(), 14);
    }

    #[test]
    fn a_gap_that_is_decided_is_passed_and_the_next_is_not() {
        let mut horizon = Horizon::at(10);
        horizon.decide(13);
        assert_eq!(take(&mut horizon, &[13, 14, 16]), 2);
        assert_eq!(horizon.reached(), 14);
        horizon.decide(12);
        assert_eq!(take(&mut horizon, &[16]), 0);
    }
}
