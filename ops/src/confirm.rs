//! The question before something that touches more than one thing.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use crate::outcome::wrong_use;

/// Asks unless the answer was given on the command line. Without a terminal nobody can answer, and
/// a script that was not told to go ahead must not.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(wrong_use(format!(
            "{question} Not confirmed: give --yes, or run it on a terminal"
        )));
    }
    eprint!("{question} [y/N] ");
    stderr().flush()?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(wrong_use("Not confirmed; nothing was changed")),
    }
}
