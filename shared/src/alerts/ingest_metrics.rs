//! How many signatures did not match, from the metrics that each ingest serves: ingest has no
//! database, and a metric is all it says.
//!
//! Counters only grow until a process starts anew; what they grew by within the window is what
//! counts. A process that has watched for less than the window can say that there were many, not
//! that there were few.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::telemetry::metrics::names;

/// What ingest calls a signature that does not match.
const CODE: &str = "code=\"signature_mismatch\"";

/// An ingest answers at once or is not counted this time.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Reads the metrics of every ingest.
#[derive(Debug)]
pub struct IngestMetrics {
    client: reqwest::Client,
    pages: Vec<String>,
    window: Duration,
    grown: Mutex<Grown>,
}

/// What the counters grew by.
#[derive(Debug)]
struct Grown {
    began: Option<Instant>,
    last: HashMap<String, u64>,
    steps: VecDeque<(Instant, u64)>,
}

/// What is known of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failures {
    /// So many, at least.
    pub(super) count: u64,
    /// How long ago the first of them was seen.
    pub(super) first_ago: Duration,
    /// There were no more.
    pub(super) complete: bool,
}

impl IngestMetrics {
    /// Of these pages; counts over this window.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(pages: Vec<String>, window: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder().timeout(TIME_LIMIT).build()?,
            pages,
            window,
            grown: Mutex::new(Grown {
                began: None,
                last: HashMap::new(),
                steps: VecDeque::new(),
            }),
        })
    }

    /// Reads all pages; `None` when none of them could be read.
    pub(super) async fn failures(&self) -> Option<Failures> {
        let reading = self.pages.iter().map(|page| self.read(page));
        let counts: Vec<(String, u64)> = join_all(reading).await.into_iter().flatten().collect();
        if counts.is_empty() {
            return None;
        }
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        Some(grown.note(&counts, Instant::now(), self.window))
    }

    async fn read(&self, page: &str) -> Option<(String, u64)> {
        let text = async {
            let answer = self.client.get(page).send().await?;
            answer.error_for_status()?.text().await
        };
        match text.await {
            Ok(text) => Some((page.to_owned(), count_in(&text))),
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(%error, "Metrics of an ingest could not be read");
                None
            }
        }
    }
}

impl Grown {
    fn note(&mut self, counts: &[(String, u64)], now: Instant, window: Duration) -> Failures {
        let began = *self.began.get_or_insert(now);
        let mut step = 0;
        for (page, count) in counts {
            step += match self.last.insert(page.clone(), *count) {
                Some(before) if before <= *count => count - before,
                // It began anew, and everything it counts is new.
                Some(_) => *count,
                None => 0,
            };
        }
        if step > 0 {
            self.steps.push_back((now, step));
        }
        while self
            .steps
            .front()
            .is_some_and(|(at, _)| now - *at >= window)
        {
            self.steps.pop_front();
        }
        Failures {
            count: self.steps.iter().map(|(_, step)| step).sum(),
            first_ago: self
                .steps
                .front()
                .map_or(Duration::ZERO, |(at, _)| now - *at),
            complete: now - began >= window,
        }
    }
}

/// The sum of the series that counts them.
fn count_in(text: &str) -> u64 {
    let ours = text
        .lines()
        .filter(|line| line.starts_with(names::INGEST_REJECTED) && line.contains(CODE));
    ours.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_right_series_is_read() {
        let text = "# HELP lunas_ingest_rejected_total x\n\
            lunas_ingest_rejected_total{code=\"signature_mismatch\"} 12\n\
            lunas_ingest_rejected_total{code=\"body_too_large\"} 7\n";
        assert_eq!(count_in(text), 12);
        assert_eq!(count_in(""), 0);
    }

    #[test]
    fn growth_within_the_window_counts() {
        let mut grown = Grown {
            began: None,
            last: HashMap::new(),
            steps: VecDeque::new(),
        };
        let start = Instant::now();
        let mut note = |minutes: u64, count| {
            let now = start + Duration::from_secs(60 * minutes);
            let failures = grown.note(&[("a".to_owned(), count)], now, HOUR);
            (failures.count, failures.complete)
        };
        // What was there before says nothing of when.
        assert_eq!(note(0, 100), (0, false));
        assert_eq!(note(10, 104), (4, false));
        // A new process.
        assert_eq!(note(20, 3), (7, false));
        assert_eq!(note(70, 3), (3, true));
        assert_eq!(note(80, 3), (0, true));
    }
}
