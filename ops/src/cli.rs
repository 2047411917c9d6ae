//! The command line's grammar; `lunas help COMMAND` prints it.

use clap::{Parser, Subcommand};

use crate::{
    alerts, backfill, catalog, dlq, doctor, jobs, migrate, order, payments, recover, report,
    retention, sync, topology,
};

/// What `--help` ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing found
  1  something was found, or part of the work failed
  2  wrong use: an unknown option, a missing setting, no answer to a question";

/// Operates a Lunas fleet: migrations, topology, health, dead letters, orders, catalog, jobs
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
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    Sync(sync::Sync),
    Recover(recover::Recover),
    #[command(subcommand)]
    Payments(payments::Payments),
    Report(report::Report),
    Retention(retention::Retention),
    #[command(subcommand)]
    Alerts(alerts::Alerts),
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
    fn every_command_of_the_runbook_is_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/RUNBOOK.md");
        let text = std::fs::read_to_string(path).unwrap();
        let blocks = text.split("\n```sh\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap_or("").lines());
        let commands: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        assert!(commands.len() > 20, "only {commands:?}");
        let grammar = without_settings(Cli::command());
        for command in commands {
            let words = words(command);
            assert_eq!(words[0], "lunas", "{command}");
            let read = grammar.clone().try_get_matches_from(&words);
            assert!(read.is_ok(), "{command}: {}", read.unwrap_err());
        }
    }

    /// What the environment gives is not part of a command.
    fn without_settings(command: clap::Command) -> clap::Command {
        command
            .mut_args(|argument| match argument.get_env() {
                Some(_) => argument.required(false),
                None => argument,
            })
            .mut_subcommands(without_settings)
    }

    /// As a shell takes a line apart that has no more than quotation marks in it.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in line.split('"').enumerate() {
            match index % 2 {
                1 => words.push(part.to_owned()),
                _ => words.extend(part.split_whitespace().map(str::to_owned)),
            }
        }
        words
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
