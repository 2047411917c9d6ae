//! The rules: no I/O, no clock, no environment.
//!
//! Reading order follows a notification: its bytes are verified ([`signature`]), decoded
//! ([`notification`]), turned into an [`observation`], judged against what is known of the
//! transaction ([`transition`], [`decide()`]), and projected onto session and order
//! ([`projection`]), whose status demands [`effects`]. [`linking`] says which order a session may
//! belong to, [`checkout`] what a wish to pay comes to, [`outcome`] what the broker is told in the
//! end. What is for sale and what a customer wants of it is in [`catalog`] and [`cart`]; what needs
//! somebody's attention in [`alerts`]. The small
//! types come last.

pub mod signature;

pub mod notification;

pub mod observation;

pub mod notice;

pub mod event_key;

pub mod transition;

pub mod decide;

pub mod projection;

pub mod effects;

pub mod linking;

pub mod catalog;

pub mod cart;

pub mod checkout;

pub mod checks;
pub mod jobs;

pub mod outcome;

pub mod alerts;

pub mod rupiah;
pub mod status;
pub mod wib;

mod json;

pub use decide::{ConfirmPolicy, Decision, Known, StaleReason, decide};
pub use event_key::EventKey;
pub use notice::{Notice, NoticeKind};
pub use notification::{DecodeError, Notification};
pub use observation::{Authority, FeeInfo, LinkHints, Observation, Source, StatusAnswer};
pub use rupiah::Rupiah;
pub use signature::{RawNotification, ServerKeys, VerifiedNotification, VerifyError};
pub use status::{FraudStatus, TransactionStatus};
pub use transition::{Edge, Rail, TransactionState};

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod convergence;
