//! Finding out at Midtrans what no notification told.
//!
//! What is found out goes through the one path ([`crate::apply`]) like everything else; nothing
//! here decides what a status means.

pub mod recover;
pub mod sync;

mod questions;
