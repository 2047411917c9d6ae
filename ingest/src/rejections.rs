//! One log line per notification that was not accepted, unless somebody makes too many of them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::answer::Problem;

/// Lines per problem and second; the rest is counted and named in the next line.
const LINES_PER_SECOND: u32 = 10;

/// Remembers, per problem, how much was logged in the current second.
#[derive(Debug)]
pub(crate) struct Rejections {
    windows: [Mutex<Window>; Problem::CODES.len()],
}

#[derive(Debug)]
struct Window {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Rejections {
    pub(crate) fn new() -> Self {
        let since = Instant::now();
        Self {
            windows: std::array::from_fn(|_| {
                Mutex::new(Window {
                    since,
                    logged: 0,
                    left_out: 0,
                })
            }),
        }
    }

    /// Logs a rejection, or counts it as left out. `cause` says why the broker did not confirm.
    pub(crate) fn log(&self, problem: Problem, cause: &'static str) {
        let Some(left_out) = self.admit(problem, Instant::now()) else {
            return;
        };
        let (code, status) = (problem.code(), problem.status().as_u16());
        let detail = problem.detail();
        if problem.is_the_senders_fault() {
            info!(code, status, detail, left_out, "Notification rejected");
        } else {
            warn!(
                code,
                status, detail, cause, left_out, "Notification not accepted"
            );
        }
    }

    /// How many lines were left out since the last one, when this one is to be written.
    fn admit(&self, problem: Problem, now: Instant) -> Option<u64> {
        // A poisoned lock cannot be: nothing panics while it is held.
        let mut window = match self.windows[problem.index()].lock() {
            Ok(window) => window,
            Err(poisoned) => poisoned.into_inner(),
        };
        if now.duration_since(window.since) >= Duration::from_secs(1) {
            window.since = now;
            window.logged = 0;
        }
        if window.logged >= LINES_PER_SECOND {
            window.left_out += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_logged_ten_times_a_second_and_then_counted() {
        let rejections = Rejections::new();
        let start = Instant::now();
        let written = (0..100)
            .filter_map(|_| rejections.admit(Problem::Malformed, start))
            .count();
        assert_eq!(written, 10);
        assert_eq!(
            rejections.admit(Problem::NotFound, start),
            Some(0),
            "another problem"
        );
        let later = start + Duration::from_secs(2);
        assert_eq!(rejections.admit(Problem::Malformed, later), Some(90));
        assert_eq!(rejections.admit(Problem::Malformed, later), Some(0));
    }
}
