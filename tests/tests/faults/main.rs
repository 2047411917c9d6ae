//! Whatever is killed, cut off or poisoned: what got a 200 is applied exactly once, the queues end
//! empty and no innocent message becomes a dead letter.
//!
//! Each test puts load on a fleet of real processes, breaks something meanwhile and lets the
//! harness audit what is left. Tests that break a server start one of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests hold messages to give them back"
)]

mod load;

mod broker_down;
mod database_down;
mod everything;
mod ingest_killed;
mod lines_cut;
mod poison;
mod replayed;
mod stopped;
mod suspects;

mod worker_killed;
