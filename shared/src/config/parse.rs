//! Reads the settings of a binary and reports every bad one, not only the first.
//!
//! clap stops at the first value it cannot read. Here a setting that was reported is relaxed (any
//! text will do, and it may be missing) and the command line is read again, until nothing new is
//! found. Values are never part of a message: some of them are secrets.

use std::error::Error as _;
use std::ffi::OsString;
use std::fmt;
use std::process::exit;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

/// Exit code of a process whose settings are wrong.
const EXIT_WRONG_USE: i32 = 2;

/// Reads the settings from the command line and the environment. On bad settings it prints all of
/// them and ends the process with code 2; on `--help` and `--version` it prints and ends with 0.
pub fn parse<T: CommandFactory + FromArgMatches>() -> T {
    match try_parse_from(std::env::args_os()) {
        Ok(settings) => settings,
        Err(ParseError::Clap(error)) => error.exit(),
        Err(bad @ ParseError::Settings { .. }) => {
            eprintln!("{bad}");
            exit(EXIT_WRONG_USE)
        }
    }
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting {
    /// The environment variable, or the flag of a setting that has none.
    pub name: String,
    /// The flag as written in `--help`.
    pub flag: String,
    /// What is wrong with it; never the value.
    pub reason: String,
}

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.flag, self.reason)
    }
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Settings are missing or malformed: all of them.
    #[error("{}", listing(.program, .bad))]
    Settings {
        /// The binary's name.
        program: String,
        /// Each bad setting, in the order found.
        bad: Vec<BadSetting>,
    },
    /// Help or version was asked for, or a flag is not known.
    #[error(transparent)]
    Clap(clap::Error),
}

fn listing(program: &str, bad: &[BadSetting]) -> String {
    let lines: Vec<String> = bad.iter().map(|setting| format!("  {setting}")).collect();
    format!(
        "{program}: settings that cannot be used:\n{}\nSee {program} --help",
        lines.join("\n")
    )
}

/// Reads the settings from the given arguments (the first is the program's name) and the
/// environment.
pub fn try_parse_from<T, I>(arguments: I) -> Result<T, ParseError>
where
    T: CommandFactory + FromArgMatches,
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let mut command = T::command();
    let program = command.get_name().to_owned();
    let mut bad = Vec::new();
    loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(mut matches) if bad.is_empty() => {
                return T::from_arg_matches_mut(&mut matches).map_err(ParseError::Clap);
            }
            Ok(_) => return Err(ParseError::Settings { program, bad }),
            Err(error) => error,
        };
        let mut progress = false;
        for shown in settings_named_by(&error) {
            if let Some(setting) = relax(&mut command, &shown, &reason(&error))
                && !bad.contains(&setting)
            {
                bad.push(setting);
                progress = true;
            }
        }
        // Not about a setting's value, or nothing new: the message is clap's own, unless bad
        // settings were found before it.
        if !progress {
            return Err(match bad.is_empty() {
                true => ParseError::Clap(error),
                false => ParseError::Settings { program, bad },
            });
        }
    }
}

/// The settings an error speaks of, as clap shows them (`--amqp-url <URL>`).
fn settings_named_by(error: &clap::Error) -> Vec<String> {
    let about_a_setting = matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue | ErrorKind::MissingRequiredArgument
    );
    if !about_a_setting {
        return Vec::new();
    }
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(several)) => several.clone(),
        _ => Vec::new(),
    }
}

fn reason(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::MissingRequiredArgument {
        return "must be set".to_owned();
    }
    if let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) {
        return format!("must be one of {}", valid.join(", "));
    }
    match error.source() {
        Some(source) => source.to_string(),
        None => "must not be empty".to_owned(),
    }
}

/// Finds the setting that clap shows as `shown`, in this command and everywhere below it, and makes
/// it accept anything: an error does not say which subcommand it is about. `None` when there is no
/// such setting.
fn relax(command: &mut Command, shown: &str, reason: &str) -> Option<BadSetting> {
    let found = command
        .get_arguments()
        .find(|arg| is_shown_as(arg, shown))
        .map(|arg| {
            let flag = flag(arg, shown);
            let name = match arg.get_env() {
                Some(variable) => variable.to_string_lossy().into_owned(),
                None => flag.clone(),
            };
            (
                arg.get_id().clone(),
                BadSetting {
                    name,
                    flag,
                    reason: reason.to_owned(),
                },
            )
        });
    let found = found.map(|(id, setting)| {
        *command = std::mem::take(command).mut_arg(id, |arg| {
            arg.required(false).value_parser(ValueParser::os_string())
        });
        setting
    });
    command.get_subcommands_mut().fold(found, |found, below| {
        let deeper = relax(below, shown, reason);
        found.or(deeper)
    })
}

/// Whether clap shows this argument as `--long <VALUE>`, or as `<ID>` when it has no flag.
fn is_shown_as(arg: &Arg, shown: &str) -> bool {
    match arg.get_long() {
        Some(long) => {
            shown
                .strip_prefix("--")
                .and_then(|rest| rest.split([' ', '=', '[']).next())
                == Some(long)
        }
        None => shown
            .trim_matches(['<', '>', '[', ']', '.'])
            .eq_ignore_ascii_case(arg.get_id().as_str()),
    }
}

fn flag(arg: &Arg, shown: &str) -> String {
    match arg.get_long() {
        Some(long) => format!("--{long}"),
        None => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, parse_duration};
    use std::time::Duration;

    #[derive(Debug, clap::Parser)]
    #[command(name = "sample")]
    struct Sample {
        #[arg(long, env = "SAMPLE_URL_OF_TEST", hide_env_values = true)]
        url: Secret<String>,
        #[arg(long, env = "SAMPLE_COUNT_OF_TEST", default_value = "3",
              value_parser = clap::value_parser!(u32).range(1..=10))]
        count: u32,
        #[arg(long, env = "SAMPLE_WAIT_OF_TEST", default_value = "1s", value_parser = parse_duration)]
        wait: Duration,
        #[command(subcommand)]
        command: Option<Below>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Below {
        Run {
            #[arg(long, value_parser = parse_duration)]
            every: Duration,
        },
    }

    fn bad(arguments: &[&str]) -> Vec<String> {
        match try_parse_from::<Sample, _>(arguments).expect_err("settings must be refused") {
            ParseError::Settings { bad, .. } => bad.iter().map(ToString::to_string).collect(),
            ParseError::Clap(error) => panic!("{error}"),
        }
    }

    #[test]
    fn good_settings_are_read() {
        let arguments = [
            "sample", "--url", "u", "--wait", "5m", "run", "--every", "10s",
        ];
        let sample: Sample = try_parse_from(arguments).unwrap();
        assert_eq!((sample.url.expose().as_str(), sample.count), ("u", 3));
        assert_eq!(sample.wait, Duration::from_secs(300));
        let Some(Below::Run { every }) = sample.command else {
            panic!("no subcommand")
        };
        assert_eq!(every, Duration::from_secs(10));
    }

    #[test]
    fn all_bad_settings_are_reported_at_once_without_their_values() {
        let found = bad(&[
            "sample", "--count", "77", "--wait", "soon", "run", "--every", "never",
        ]);
        assert_eq!(found.len(), 4, "{found:?}");
        let all = found.join("\n");
        for name in [
            "SAMPLE_URL_OF_TEST",
            "SAMPLE_COUNT_OF_TEST",
            "SAMPLE_WAIT_OF_TEST",
            "--every",
        ] {
            assert!(all.contains(name), "{name} is missing in {all}");
        }
        assert!(!all.contains("soon") && !all.contains("never"), "{all}");
    }

    #[test]
    fn an_unknown_flag_is_left_to_clap() {
        let error = try_parse_from::<Sample, _>(["sample", "--nope"]).unwrap_err();
        assert!(matches!(error, ParseError::Clap(_)));
    }
}
