//! Tests library.

pub mod sim;
