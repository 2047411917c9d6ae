//! Dead letters and the operators' command line, on real servers: what the keeper keeps, what
//! `lunas` says and does about it.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod keeper;

mod looking;

mod replay;

mod resume;

mod discard;

mod doctor;

mod commands;

mod support;
