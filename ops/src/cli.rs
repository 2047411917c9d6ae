//! The command line's grammar; `lunas help COMMAND` prints it.

use clap::{Parser, Subcommand};

use crate::{backfill, catalog, dlq, doctor, migrate, order, topology};

/// What `--help` ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing found
  1  something was found, or part of the work failed
  2  wrong use: an unknown option, a missing setting, no answer to a question";

/// Operates a Lunas fleet: migrations, topology, health, dead letters, orders, catalog
#[derive(Debug, Parser)]
#[command(name = "lunas", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What is logged on standard error: a level, or target=level, comma separated
    #[arg(
        long = "rust-log",
        env = "RUST_LOG",
        value_name = "FILTER",
        // The client library reports every refusal that `topology` asks for.
        default_value = "error,lapin=off",
        global = true
    )]
    pub(crate) log_filter: String,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Migrate(migrate::Migrate),
    #[command(subcommand)]
    Topology(topology::Topology),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Dlq(Box<dlq::Dlq>),
    #[command(subcommand)]
    Order(order::Order),
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    Backfill(backfill::Backfill),
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_explained() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {argument}",
                    command.get_name()
                );
            }
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
