//! Tests library.

pub mod harness;

pub mod sim;

pub mod play;

pub mod bench;
