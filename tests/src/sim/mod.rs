//! A Midtrans that runs on your machine.

mod answer;
mod auth;
mod body;
mod bulk;
mod cards;
mod charge;
mod control;
mod courier;
mod desk;
mod gateway;
mod idempotency;
mod ledger;
mod log;
mod methods;
mod model;
mod moves;
mod post;
pub mod retry;
mod server;
mod signature;
mod snap;
mod trick;
mod tricks;
mod watch;
mod world;

pub use log::{Attempt, Traffic, Verdict};
pub use server::{SimOptions, Simulator};
pub use signature::signature_key;
pub use trick::{ApiAnswer, ApiTrick, Call, Duplicate, Trick};
