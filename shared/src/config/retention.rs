//! For how long what is kept for a while is kept.

use std::time::Duration;

use clap::Args;

use super::parse_duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// For how long what is kept for a while is kept. Nothing that is unprocessed, unpublished or dead
/// ever goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionSettings {
    /// Notifications as they came: whole months, those that hold one that is not done with stay; 31d
    /// or more
    #[arg(long, env = "RETENTION_NOTIFICATIONS", value_name = "DURATION", default_value = "90d",
          value_parser = at_least_a_month)]
    pub retention_notifications: Duration,
    /// The log of what was done, and notifications that are no payments: whole months; 31d or more
    #[arg(long, env = "RETENTION_LOGS", value_name = "DURATION", default_value = "365d",
          value_parser = at_least_a_month)]
    pub retention_logs: Duration,
    /// Idempotency keys of orders
    #[arg(long, env = "RETENTION_KEYS", value_name = "DURATION", default_value = "24h",
          value_parser = at_least_a_day)]
    pub retention_keys: Duration,
    /// Published events: for so long a live stream can be resumed
    #[arg(long, env = "RETENTION_EVENTS", value_name = "DURATION", default_value = "30d",
          value_parser = at_least_a_day)]
    pub retention_events: Duration,
    /// Finished runs of periodic jobs, and alerts that are over
    #[arg(long, env = "RETENTION_RUNS", value_name = "DURATION", default_value = "365d",
          value_parser = at_least_a_day)]
    pub retention_runs: Duration,
    /// Dead letters that were replayed or discarded
    #[arg(long, env = "RETENTION_LETTERS", value_name = "DURATION", default_value = "365d",
          value_parser = at_least_a_week)]
    pub retention_letters: Duration,
}

fn at_least_a_day(text: &str) -> Result<Duration, String> {
    at_least(text, DAY, "must be a day at least")
}

fn at_least_a_week(text: &str) -> Result<Duration, String> {
    at_least(text, 7 * DAY, "must be a week at least")
}

/// The partition of last month is made anew where it is missing, so it must not be old yet.
fn at_least_a_month(text: &str) -> Result<Duration, String> {
    at_least(text, 31 * DAY, "must be 31 days at least")
}

fn at_least(text: &str, least: Duration, why: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    match duration >= least {
        true => Ok(duration),
        false => Err(why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::try_parse_from;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        retention: RetentionSettings,
    }

    #[test]
    fn the_defaults_are_those_of_the_reference() {
        let kept = try_parse_from::<Cli, _>(["x"]).unwrap().retention;
        assert_eq!(kept.retention_notifications, 90 * DAY);
        assert_eq!(kept.retention_logs, 365 * DAY);
        assert_eq!(kept.retention_keys, DAY);
        assert_eq!(kept.retention_events, 30 * DAY);
        assert_eq!(kept.retention_runs, 365 * DAY);
        assert_eq!(kept.retention_letters, 365 * DAY);
    }

    #[test]
    fn what_is_kept_too_shortly_is_refused() {
        let wrong = [
            "x",
            "--retention-keys=23h",
            "--retention-notifications=30d",
            "--retention-logs=1h",
        ];
        let error = try_parse_from::<Cli, _>(wrong).unwrap_err().to_string();
        for name in [
            "RETENTION_KEYS",
            "RETENTION_NOTIFICATIONS",
            "RETENTION_LOGS",
        ] {
            assert!(error.contains(name), "{error}");
        }
    }
}
