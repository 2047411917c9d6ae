//! Paying for an order through the api, with the simulator as the gateway: every method, every
//! refusal, clicks at the same time, processes that die, gateways that misbehave.

#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as tests may"
)]

mod support;

mod methods;

mod refusals;

mod clicks;

mod changing;

mod killed;

mod before;

mod stock;

mod trouble;

mod checking;
