//! The harness itself, against real servers: what the other suites trust must be able to fail.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod stage;

mod books;
mod fleet;
mod lines;
