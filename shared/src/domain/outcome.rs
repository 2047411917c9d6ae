//! How the handling of a message ends, and what the broker is told about it.
//!
//! `Ok` is [`Settled`], `Err` is [`Failure`]; between errors and failures stands one trait,
//! [`Classify`], so that an error nobody classified does not compile. [`next_step`] is the only
//! place where used-up attempts become dead letters.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Handled for good: the message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It changed something, or said what was so already.
    Applied,
    /// This very event was seen before.
    Duplicate,
    /// Recorded, changes nothing.
    Stale,
    /// Recorded, waits for the status API.
    Unconfirmed,
    /// The status API contradicted it.
    Refused,
    /// The dashboard's test notification.
    Test,
}

impl Settled {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Applied,
        Self::Duplicate,
        Self::Stale,
        Self::Unconfirmed,
        Self::Refused,
        Self::Test,
    ];

    /// The word in metrics, and for all but `duplicate` in `payment_webhook_events.verdict`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
            Self::Test => "test",
        }
    }
}

/// Why a message was given up. The same word stands in the header, the metric label, the column
/// and the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeadReason {
    /// Not a transaction.
    UndecodableBody,
    /// An envelope of a version that is not known.
    UnknownVersion,
    /// A currency other than the rupiah.
    WrongCurrency,
    /// A fraction of a rupiah.
    FractionalAmount,
    /// The database refuses the rows: a bug, or data that contradicts a constraint.
    ConstraintViolation,
    /// The database has another shape than the code.
    SchemaMismatch,
    /// A message that none of our services wrote.
    ForeignMessage,
    /// Failed as often as it may.
    AttemptsExhausted,
    /// Killed its worker as often as it may.
    DeliveryLimit,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::UndecodableBody,
        Self::UnknownVersion,
        Self::WrongCurrency,
        Self::FractionalAmount,
        Self::ConstraintViolation,
        Self::SchemaMismatch,
        Self::ForeignMessage,
        Self::AttemptsExhausted,
        Self::DeliveryLimit,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UndecodableBody => "undecodable_body",
            Self::UnknownVersion => "unknown_version",
            Self::WrongCurrency => "wrong_currency",
            Self::FractionalAmount => "fractional_amount",
            Self::ConstraintViolation => "constraint_violation",
            Self::SchemaMismatch => "schema_mismatch",
            Self::ForeignMessage => "foreign_message",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::DeliveryLimit => "delivery_limit",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an error means for the message in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nobody's fault: something we depend on is away. Not an attempt.
    Wait,
    /// This message failed and may succeed later.
    Retry,
    /// This message cannot succeed.
    Dead(DeadReason),
}

/// Every error at a boundary says what it means for the message; implement it as a match without
/// a wildcard, so that a new variant forces a decision.
pub trait Classify {
    /// The class of this error.
    fn classify(&self) -> Class;
}

/// A message that could not be handled. Made from classified errors only.
#[derive(Debug)]
pub struct Failure {
    class: Class,
    cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// What it means.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// The error and its causes, outermost first, joined by colons.
    pub fn chain(&self) -> String {
        let mut text = self.cause.to_string();
        let mut source = self.cause.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

impl<E: Classify + Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            class: error.classify(),
            cause: Box::new(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// What to do with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Acknowledge it.
    Ack,
    /// Return it untouched and pause consumption.
    Wait,
    /// Publish it to a delay queue, then acknowledge it.
    RetryAfter(Duration),
    /// Publish it to the dead letters, then acknowledge it.
    Dead(DeadReason),
}

/// Maps how handling ended to what happens next. `attempt` counts from 1 and includes the one that
/// just ended; `jitter` is a random number from 0 to 1, drawn by the caller.
pub fn next_step(
    result: &Result<Settled, Failure>,
    attempt: u32,
    max_attempts: u32,
    jitter: f64,
) -> Step {
    match result {
        Ok(_) => Step::Ack,
        Err(failure) => match failure.class() {
            Class::Wait => Step::Wait,
            Class::Dead(reason) => Step::Dead(reason),
            Class::Retry if attempt >= max_attempts => Step::Dead(DeadReason::AttemptsExhausted),
            Class::Retry => Step::RetryAfter(backoff(attempt, jitter)),
        },
    }
}

/// 500 ms after the first attempt, four times as long after each further one, at most half an
/// hour: the range of the delay queues. Between half and all of it, by `jitter`.
fn backoff(attempt: u32, jitter: f64) -> Duration {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(30 * 60);
    let factor = 4_u32.saturating_pow(attempt.saturating_sub(1));
    let full = FIRST.saturating_mul(factor).min(LONGEST);
    let jitter = if jitter.is_finite() {
        jitter.clamp(0.0, 1.0)
    } else {
        1.0
    };
    full.mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests;
