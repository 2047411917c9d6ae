//! One function per thing that can happen. Code on a hot path keeps the handles instead.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::names;

/// Notifications reached their end with this verdict (`applied`, `duplicate`, `stale`,
/// `unconfirmed`, `refused`, `test`, `dead`).
pub fn settled(verdict: &'static str, count: u64) {
    counter!(names::NOTIFICATIONS_SETTLED, "verdict" => verdict).increment(count);
}

/// A batch of `messages` was applied and committed.
pub fn batch(messages: usize, took: Duration) {
    histogram!(names::BATCH_MESSAGES).record(messages as f64);
    histogram!(names::BATCH_DURATION).record(took);
}

/// A batch failed for one message's sake and was split.
pub fn batch_split() {
    counter!(names::BATCH_SPLITS).increment(1);
}

/// A notification was committed this long after it was accepted.
pub fn accept_lag(lag: Duration) {
    histogram!(names::ACCEPT_LAG).record(lag);
}

/// A notification was committed this long after the gateway's `transaction_time`.
pub fn transaction_lag(lag: Duration) {
    histogram!(names::TRANSACTION_LAG).record(lag);
}

/// A message went to a delay queue.
pub fn retried(reason: &'static str) {
    counter!(names::RETRIES, "reason" => reason).increment(1);
}

/// Consumption pauses; `cause` is `database`, `broker`, `gateway` or `shutdown`.
pub fn waited(cause: &'static str) {
    counter!(names::WAITS, "cause" => cause).increment(1);
}

/// A message was published to the dead-letter queue.
pub fn dead_lettered(reason: &'static str) {
    counter!(names::DEAD_LETTERS, "reason" => reason).increment(1);
}

/// Dead letters were committed to the database. `reason` is one of the closed set, also for a
/// foreign message: free text would make a time series of each.
pub fn dead_letters_kept(reason: &'static str, count: u64) {
    counter!(names::DEAD_LETTERS_KEPT, "reason" => reason).increment(count);
}

/// Rupiah in dead letters that nobody has settled.
pub fn dead_letters_rupiah(amount: i64) {
    gauge!(names::DEAD_LETTERS_RUPIAH).set(amount as f64);
}

/// Age of the oldest payment that is due for a check.
pub fn oldest_unreconciled(age: Duration) {
    gauge!(names::OLDEST_UNRECONCILED).set(age.as_secs_f64());
}

/// A message was handed to the publisher; `outcome` is `confirmed` or why not.
pub fn published(destination: &'static str, outcome: &'static str, took: Duration) {
    counter!(names::PUBLISHES, "destination" => destination, "outcome" => outcome).increment(1);
    if outcome == "confirmed" {
        histogram!(names::PUBLISH_CONFIRM_DURATION).record(took);
    }
}

/// The state of the connection to the broker.
pub fn broker_state(up: bool, blocked: bool) {
    gauge!(names::BROKER_UP).set(f64::from(u8::from(up && !blocked)));
    gauge!(names::BROKER_BLOCKED).set(f64::from(u8::from(blocked)));
}

/// A connection to the broker was opened, to `publish` or to `consume`.
pub fn broker_connected(purpose: &'static str) {
    counter!(names::BROKER_CONNECTS, "purpose" => purpose).increment(1);
}

/// Whether the database answers.
pub fn database_up(up: bool) {
    gauge!(names::DATABASE_UP).set(f64::from(u8::from(up)));
}

/// A call of the Midtrans APIs ended; `outcome` is `ok`, `not_found`, `refused`, `limited`,
/// `unavailable`, `timeout`, or `invalid` for an answer that cannot be used.
pub fn gateway_called(operation: &'static str, outcome: &'static str, took: Duration) {
    counter!(names::GATEWAY_REQUESTS, "operation" => operation, "outcome" => outcome).increment(1);
    histogram!(names::GATEWAY_DURATION, "operation" => operation).record(took);
}

/// Domain events were published from the outbox.
pub fn events_relayed(count: u64) {
    counter!(names::EVENTS_RELAYED).increment(count);
}

/// How many domain events wait in the outbox, and for how long the oldest.
pub fn outbox_backlog(waiting: u64, oldest: Duration) {
    gauge!(names::OUTBOX_WAITING).set(waiting as f64);
    gauge!(names::OUTBOX_OLDEST).set(oldest.as_secs_f64());
}

/// Whether this scheduler leads.
pub fn scheduler_leads(leads: bool) {
    gauge!(names::SCHEDULER_LEADER).set(f64::from(u8::from(leads)));
}
