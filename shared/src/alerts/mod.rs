//! Alerts in motion: looking for what needs somebody ([`Watch`]), and telling them
//! ([`Channels`], [`send_due`]).
//!
//! What a condition is and what is said about it is decided in
//! [`domain::alerts`](crate::domain::alerts); the rows are the store's.

mod evaluate;

mod ingest_metrics;

mod channels;
mod resend;
mod smtp;
mod webhook;

mod send;

pub use channels::{Channel, ChannelError, Channels, SetupError};
pub use evaluate::{BrokerNews, EvaluateError, Totals, Watch};
pub use ingest_metrics::IngestMetrics;
pub use send::{Sent, backoff, send_due};
