//! Buying, as the shop and the operators do it: through the real api.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod bad_input;
mod catalog;
mod counter;
mod idempotency;
mod import;
mod orders;
mod races;
mod support;
