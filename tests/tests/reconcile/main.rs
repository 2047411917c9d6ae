//! The reconciler: payments whose notifications never came, rows that were damaged, orders whose
//! time is over, jobs and their ticks.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod support;

mod lost;

mod meeting;

mod trouble;

mod expiry;

mod damage;

mod ticks;

mod commands;

mod recover;
