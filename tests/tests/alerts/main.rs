//! Alerts: each condition produced for real is told once and its end is told once, by real
//! servers that receive, whatever breaks in between.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod support;

mod conditions;
mod counts;

mod messages;
mod outages;

mod operators;
mod runbook;
