//! Client of Midtrans' APIs (`midtrans.md` 4).
//!
//! [`Gateway`] asks what a transaction is, makes one, and ends one; it answers in domain words or
//! with a classified [`GatewayError`]. Around each request stand, in this order, a circuit
//! breaker, the fleet's request budget and a time limit (`line`); around all of them, a bounded retry. A
//! request that must not be done twice is sent again only when it was certainly not done; else
//! [`CallError::Unknown`] says that only the status API can tell. What an answer means for an
//! order is decided by the one path (`apply`).

mod gateway;
mod limits;

mod calls;
mod charge;

mod line;

mod acted;
mod answer;
mod error;

mod backoff;
mod breaker;
mod budget;
mod priority;

mod address;

pub use acted::{ActionAnswer, ChargeAnswer, PageClosed, SnapAnswer};
pub use address::AddressError;
pub use charge::Charge;
pub use error::{CallError, GatewayError, SetupError};
pub use gateway::Gateway;
pub use limits::Limits;
pub use priority::Priority;
