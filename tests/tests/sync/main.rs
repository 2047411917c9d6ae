//! Asking Midtrans ourselves: the budget that the fleet shares, and an operator's sync of an order.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod support;

mod arithmetic;

mod budget;

mod admin;

mod command;
