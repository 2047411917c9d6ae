//! The retry table of classic notifications (`midtrans.md` 3.1) as pure functions.
//!
//! Knows nothing of clocks, sockets or time scale: the courier asks what follows an answer and
//! does the waiting itself.

use std::time::Duration;

/// Nominal waits before retry 1 to 5, each counted from the attempt before it.
pub const INTERVALS: [Duration; 5] = [
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(90 * 60),
    Duration::from_secs(210 * 60),
];

/// The share of a nominal interval that is always waited. A first retry was seen 33 s after the
/// failure, which is a little over a quarter of two minutes.
const SHORTEST_SHARE: f64 = 0.25;

/// How one attempt ended, as far as the retry policy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with this HTTP status, redirects already followed.
    Answered(u16),
    /// Time-out, refused or cut connection, or more than five redirects.
    NoAnswer,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A 2xx: nothing more to do.
    Delivered,
    /// Try again after `wait`, which is `nominal` shortened by the random shift.
    Retry {
        /// The interval of the table.
        nominal: Duration,
        /// The interval really waited, before time scaling.
        wait: Duration,
    },
    /// 301, 302 or 303: neither followed nor retried.
    Lost,
    /// The retries which this answer buys are used up.
    GivenUp,
}

/// Decides what follows an attempt after `retries_done` retries; `shift` in `0..=1` says how much
/// of the random shortening applies (0 waits the nominal interval).
pub fn next(outcome: Outcome, retries_done: usize, shift: f64) -> Next {
    match outcome {
        Outcome::Answered(200..=299) => return Next::Delivered,
        Outcome::Answered(301..=303) => return Next::Lost,
        Outcome::Answered(_) | Outcome::NoAnswer => {}
    }
    if retries_done >= allowed_retries(outcome) {
        return Next::GivenUp;
    }
    let nominal = INTERVALS[retries_done];
    let share = 1.0 - shift.clamp(0.0, 1.0) * (1.0 - SHORTEST_SHARE);
    Next::Retry {
        nominal,
        wait: nominal.mul_f64(share),
    }
}

/// How many retries an answer buys in total.
pub fn allowed_retries(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Answered(200..=299 | 301..=303) => 0,
        Outcome::Answered(500) => 1,
        Outcome::Answered(503) => 4,
        Outcome::Answered(400 | 404) => 2,
        Outcome::Answered(_) | Outcome::NoAnswer => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_buys_the_documented_number_of_retries() {
        let table = [
            (200, 0),
            (204, 0),
            (301, 0),
            (303, 0),
            (400, 2),
            (404, 2),
            (401, 5),
            (429, 5),
            (500, 1),
            (502, 5),
            (503, 4),
            (504, 5),
        ];
        for (code, retries) in table {
            assert_eq!(
                allowed_retries(Outcome::Answered(code)),
                retries,
                "answer {code}"
            );
        }
        assert_eq!(allowed_retries(Outcome::NoAnswer), 5);
    }

    #[test]
    fn the_shift_only_shortens() {
        for (done, nominal) in INTERVALS.into_iter().enumerate() {
            for shift in [0.0, 0.3, 1.0] {
                let Next::Retry { wait, .. } = next(Outcome::NoAnswer, done, shift) else {
                    panic!("retry {done} must follow");
                };
                assert!(wait <= nominal && wait >= nominal.mul_f64(SHORTEST_SHARE));
            }
        }
        assert_eq!(next(Outcome::NoAnswer, 5, 0.0), Next::GivenUp);
    }

    #[test]
    fn the_whole_span_is_five_hours_and_forty_two_minutes() {
        assert_eq!(
            INTERVALS.iter().sum::<Duration>(),
            Duration::from_secs(342 * 60)
        );
    }
}
