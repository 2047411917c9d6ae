//! `lunas dlq`: dead letters seen, grouped, replayed and discarded.
//!
//! Everything happens in the database and on the broker; the api need not run. The JSON has the
//! shapes of the admin API.

mod select;

mod look;

mod replay;

mod discard;

use clap::Subcommand;

use crate::outcome::Outcome;

/// Look at dead letters, publish them again, or discard them
#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    List(look::List),
    Groups(look::Groups),
    Show(look::Show),
    Replay(replay::Replay),
    Discard(discard::Discard),
}

pub(crate) async fn run(command: &Dlq, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Dlq::List(command) => look::list(command, json).await,
        Dlq::Groups(command) => look::groups(command, json).await,
        Dlq::Show(command) => look::show(command, json).await,
        Dlq::Replay(command) => replay::run(command, json).await,
        Dlq::Discard(command) => discard::run(command, json).await,
    }
}
