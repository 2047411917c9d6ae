//! Client of Midtrans' status API (`midtrans.md` 4.1, 4.4, 4.8).
//!
//! [`Gateway`] asks one question, what a transaction is now, and answers in domain words or with
//! a classified [`GatewayError`]. Around each request stand, in this order, a circuit breaker, the
//! request budget and a time limit; around all of them, a bounded retry. What an answer means
//! for an order is decided by the one path (`apply`); charges, cancels and refunds are not
//! made here.

mod gateway;
mod limits;

mod answer;
mod error;

mod backoff;
mod breaker;
mod budget;

mod address;

pub use address::AddressError;
pub use error::{GatewayError, SetupError};
pub use gateway::Gateway;
pub use limits::Limits;
