//! The api as a real process: who gets in, what they are told, and what nobody is ever told.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod answers;
mod client;
mod described;
mod events;
mod fuzzed;
mod limits;
mod reading;
mod sse;
