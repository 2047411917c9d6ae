//! Dead letters: from the queue `lunas.dead` into PostgreSQL, and back to work.
//!
//! RabbitMQ only carries a dead letter until [`keep`] has committed it; looking at a queue changes
//! it. From then on operators search, group, [`preview`] and `replay` in the database. What a
//! letter says about itself is read in `letter`; the worker's keeper role and the command line
//! are the callers.

mod letter;
mod notices;

mod fingerprint;

mod keep;

mod preview;

mod replay;

pub use keep::{Kept, Refused, keep, measure};
pub use preview::{Preview, PreviewItem, preview};
pub use replay::{ReplayError, Replayer};

/// Header of a replayed message: how often it had died before. It tells two deaths of one message
/// apart, and two deliveries of one death together.
const DEATHS_HEADER: &str = "x-lunas-deaths";
/// Header of a replayed message: the replay that brought it back.
const REPLAY_HEADER: &str = "x-lunas-replay-id";
/// Header of a replayed message: the dead letter it was.
const LETTER_HEADER: &str = "x-lunas-dead-letter-id";
