//! From when on a condition is one: what the settings may change.

use std::time::Duration;

/// The thresholds of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long an alert is not repeated.
    pub cooldown: Duration,
    /// Alerts that one rule opens for single orders; what is beyond them is one more.
    pub per_rule: i64,
    /// How long money may be there without its order showing it.
    pub mismatch_after: Duration,
    /// How long a status may demand what was not done.
    pub effects_after: Duration,
    /// Payments without order.
    pub orphans: i64,
    /// Payments without order that came within an hour.
    pub orphans_per_hour: i64,
    /// How long a payment or an order may be open past its time.
    pub pending_sla: Duration,
    /// Dead letters that nobody has settled.
    pub dead_letters: i64,
    /// Signatures that did not match within the window.
    pub signature_failures: i64,
    /// The time over which those are counted.
    pub signature_window: Duration,
    /// Repairs within a day.
    pub repairs_per_day: i64,
    /// How old a payment must be before the lack of its notification says something.
    pub silent_after: Duration,
    /// How many payments in a row must lack theirs.
    pub silent_payments: i64,
}
