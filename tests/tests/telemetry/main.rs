//! What the fleet shows of itself: one trace from the request to the commit and the outgoing
//! event, metrics that add up, and never a secret or a customer in a log.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod traces;

mod collector;

mod metrics;

mod canary;
