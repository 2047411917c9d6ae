//! Convergence (design 4.1) through the running fleet: any order of arrival and any repetition of
//! a legal history ends in the same rows, those of the truth that the gateway knows.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod permutations;

mod random;

mod history;

mod truth;

mod outcome;
