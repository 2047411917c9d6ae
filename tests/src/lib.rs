//! What the suites, the player and the benchmark share: simulator, harness, measuring.
#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at servers from outside, past the product's one way"
)]

pub mod harness;

pub mod sim;

pub mod play;

pub mod bench;
