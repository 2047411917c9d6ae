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

/// What needs somebody to look at it, as the leading scheduler counts it.
pub fn monitored(orphans: i64, stuck: i64, mismatched: i64, missing_session: i64) {
    gauge!(names::PAYMENTS_ORPHANS).set(orphans as f64);
    gauge!(names::PAYMENTS_STUCK).set(stuck as f64);
    gauge!(names::PAYMENTS_MISMATCHES).set(mismatched as f64);
    gauge!(names::ORDERS_MISSING_SESSION).set(missing_session as f64);
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

/// A call got its token after that time; `priority` is `waiting`, `confirm` or `periodic`.
pub fn gateway_token_taken(priority: &'static str, waited: Duration) {
    counter!(names::GATEWAY_TOKENS, "priority" => priority).increment(1);
    histogram!(names::GATEWAY_TOKEN_WAIT, "priority" => priority).record(waited);
}

/// So many requests per second may the fleet send at present.
pub fn gateway_rate(per_second: f64) {
    gauge!(names::GATEWAY_RATE).set(per_second);
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

/// So many alerts of a rule have not ended.
pub fn alerts_open(rule: &'static str, severity: &'static str, count: i64) {
    gauge!(names::ALERTS_OPEN, "rule" => rule, "severity" => severity).set(count as f64);
}

/// A message about an alert was tried; `outcome` is `sent` or `failed`.
pub fn alert_message(channel: &'static str, outcome: &'static str) {
    counter!(names::ALERT_MESSAGES, "channel" => channel, "outcome" => outcome).increment(1);
}
