//! The rules: no I/O, no clock, no environment.

pub mod outcome;
