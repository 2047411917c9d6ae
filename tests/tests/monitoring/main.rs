//! What operators are shown of what went wrong, what a day's report says, and what is removed when it
//! is old.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod lists;
mod plans;
mod removal;
mod report;
mod resumed;
mod retention;
mod support;
