//! Times and numbers that bound a question.

use std::time::Duration;

/// Times and numbers that bound a question. The default is for production.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To open a connection, TLS included.
    pub connect: Duration,
    /// From sending one request to the end of its answer.
    pub request: Duration,
    /// A whole question with all its tries and pauses; a periodic one has `periodic_wait` on top.
    pub question: Duration,
    /// Requests of one question.
    pub tries: u32,
    /// No request of a question is begun later than this.
    pub retry_window: Duration,
    /// The first pause between two tries; the next is three times as long.
    pub first_pause: Duration,
    /// Longest wait for the request budget, when somebody waits for the answer.
    pub budget_wait: Duration,
    /// The same of periodic questions, which also wait for an open circuit.
    pub periodic_wait: Duration,
    /// Failed requests in a row that open the circuit.
    pub open_after: u32,
    /// How long it stays open before a probe.
    pub cool_down: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            // Usual answers take well under a second. A connection that died unnoticed must leave
            // time for a second request.
            request: Duration::from_secs(5),
            question: Duration::from_secs(10),
            tries: 3,
            retry_window: Duration::from_secs(6),
            first_pause: Duration::from_millis(200),
            budget_wait: Duration::from_secs(2),
            // Operators' syncs may use the budget up for a while.
            periodic_wait: Duration::from_secs(30),
            open_after: 5,
            cool_down: Duration::from_secs(10),
        }
    }
}
