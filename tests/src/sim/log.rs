//! What was sent and what it was answered, bounded, with the numbers one can wait on.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

/// One line of the log: an attempt to deliver, or the decision not to.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// Position in the log, from 1, never reused.
    pub seq: u64,
    /// Which notification; its retries share the number, its copies do not.
    pub notification: u64,
    /// 0 for the original, from 1 for copies and re-sendings of the same bytes.
    pub copy: u32,
    /// Session the notification is about.
    pub order_id: String,
    /// Transaction the notification is about.
    pub transaction_id: String,
    /// Its status in the notification.
    pub transaction_status: String,
    /// Where it went.
    pub url: String,
    /// 1 for the first try; 0 when nothing was sent (dropped, held, no URL).
    pub attempt: u32,
    /// When the attempt ended, RFC 3339 UTC.
    pub at: String,
    /// Real time until the answer.
    pub latency_ms: u64,
    /// The final HTTP status, if there was one.
    pub http_status: Option<u16>,
    /// `timeout`, `connection` or `redirects` when there was none.
    pub error: Option<&'static str>,
    /// 307/308 redirects followed.
    pub hops: u32,
    /// What followed.
    pub verdict: Verdict,
    /// Real milliseconds until the next try.
    pub retry_in_ms: Option<u64>,
    /// Nominal interval of the table until the next try.
    pub retry_nominal_s: Option<u64>,
    /// The body as sent.
    pub body: Value,
}

/// What followed an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// Another try follows.
    Retry,
    /// 301 to 303: gone.
    Lost,
    /// The retries are used up.
    GivenUp,
    /// A trick dropped it, or there is nowhere to send it, or too much is outstanding.
    Dropped,
    /// A trick holds it.
    Held,
}

/// Counts one can wait on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Notifications that wait for their turn, their retry or an answer, and announced ones that
    /// a timer will send (the second half of a refund).
    pub outstanding: u64,
    /// Of these, requests on the wire now.
    pub in_flight: u64,
    /// Kept by a trick until released; they do not count as outstanding.
    pub held: u64,
    /// Attempts made so far.
    pub attempts: u64,
    /// Notifications that got a 2xx.
    pub delivered: u64,
    /// Notifications that will never be delivered.
    pub failed: u64,
    /// `seq` of the newest log line.
    pub last_seq: u64,
}

/// The log and its counters.
pub(crate) struct Log {
    lines: Mutex<Lines>,
    capacity: usize,
    traffic: watch::Sender<Traffic>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<Attempt>,
    last_seq: u64,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            lines: Mutex::default(),
            capacity: capacity.max(1),
            traffic: watch::Sender::new(Traffic::default()),
        }
    }

    /// Appends a line, numbering it. The lines are let go before the counters change, because
    /// those who wait on the counters look at the lines.
    pub(crate) fn append(&self, mut line: Attempt) {
        let (verdict, tried) = (line.verdict, line.attempt > 0);
        let seq = {
            let mut lines = self.lines();
            lines.last_seq += 1;
            line.seq = lines.last_seq;
            if lines.kept.len() >= self.capacity {
                lines.kept.pop_front();
            }
            lines.kept.push_back(line);
            lines.last_seq
        };
        self.traffic.send_modify(|traffic| {
            traffic.last_seq = traffic.last_seq.max(seq);
            traffic.attempts += u64::from(tried);
            match verdict {
                Verdict::Delivered => traffic.delivered += 1,
                Verdict::Lost | Verdict::GivenUp | Verdict::Dropped => traffic.failed += 1,
                Verdict::Retry | Verdict::Held => {}
            }
        });
    }

    /// The lines that pass the filter, oldest first.
    pub(crate) fn select(&self, keep: impl Fn(&Attempt) -> bool) -> Vec<Attempt> {
        self.lines()
            .kept
            .iter()
            .filter(|line| keep(line))
            .cloned()
            .collect()
    }

    /// How many lines pass the filter.
    pub(crate) fn count_lines(&self, keep: impl Fn(&Attempt) -> bool) -> usize {
        self.lines().kept.iter().filter(|line| keep(line)).count()
    }

    /// Forgets all lines; counters and numbering go on.
    pub(crate) fn clear(&self) {
        self.lines().kept.clear();
    }

    /// The counters now.
    pub(crate) fn traffic(&self) -> Traffic {
        *self.traffic.borrow()
    }

    /// Changes the counters that are not derived from log lines.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Traffic)) {
        self.traffic.send_modify(change);
    }

    /// Waits until the counters satisfy `fact`; `false` when that took longer than `within`.
    pub(crate) async fn wait(&self, within: Duration, fact: impl FnMut(&Traffic) -> bool) -> bool {
        let mut watched = self.traffic.subscribe();
        tokio::time::timeout(within, watched.wait_for(fact))
            .await
            .is_ok_and(|seen| seen.is_ok())
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
