//! What the services of the fleet have in common, in reading order.
//!
//! A notification enters as bytes, becomes an observation in [`domain`], travels through
//! [`broker`], and ends in [`apply`], the one path that turns observations into rows by way of
//! [`store`]. Services depend on this crate and never on each other.

pub mod domain;

pub mod broker;

#[cfg(feature = "alerts")]
pub mod alerts;
#[cfg(feature = "store")]
pub mod apply;
#[cfg(feature = "store")]
pub mod catalog;
#[cfg(feature = "store")]
pub mod dead_letters;
#[cfg(feature = "store")]
pub mod notices;
#[cfg(feature = "store")]
pub mod orders;
#[cfg(feature = "store")]
pub mod retention;
#[cfg(feature = "store")]
pub mod store;

#[cfg(feature = "gateway")]
pub mod midtrans;
#[cfg(feature = "gateway")]
pub mod reconcile;

pub mod codes;
pub mod config;
pub mod jobs;
pub mod telemetry;

pub mod health;
pub mod runtime;

pub mod fault;
