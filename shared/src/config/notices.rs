//! The settings of the notifications other than the classic one.

use std::fmt;

use clap::Args;

use crate::domain::ServerKeys;
use crate::domain::notice::bi_snap::{BiSnapKeys, BiSnapKeysError};

/// The keys that vouch for other notifications. Without its key, an endpoint answers that it is
/// not configured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Other notifications")]
pub struct NoticeSettings {
    /// Merchant keys of payouts, comma separated; without one, payout notifications are refused
    #[arg(
        long,
        env = "MIDTRANS_IRIS_KEY",
        value_name = "KEYS",
        hide_env_values = true
    )]
    pub midtrans_iris_key: Option<ServerKeys>,
    /// Midtrans' public key for BI-SNAP, PEM or @file, several blocks allowed; without one, BI-SNAP
    /// notifications are refused
    #[arg(long, env = "MIDTRANS_BISNAP_PUBLIC_KEY", value_name = "PEM",
          value_parser = public_keys)]
    pub midtrans_bisnap_public_key: Option<BiSnapKeys>,
    /// The path of the BI-SNAP notification URL given to Midtrans, which appends the product's
    #[arg(long, env = "MIDTRANS_BISNAP_PREFIX", value_name = "PATH",
          default_value = "/webhooks/bi-snap", value_parser = prefix)]
    pub midtrans_bisnap_prefix: String,
    /// Unsigned subscription notifications taken per second; more are answered with 429
    #[arg(long, env = "INGEST_UNSIGNED_PER_SECOND", value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub ingest_unsigned_per_second: u32,
}

/// Why the setting gives no public key.
#[derive(Debug, thiserror::Error)]
enum KeyFileError {
    /// The file cannot be read.
    Unreadable(#[source] std::io::Error),
    /// It is not one.
    NoKey(#[source] BiSnapKeysError),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
            Self::NoKey(error) => error.fmt(f),
        }
    }
}

fn public_keys(text: &str) -> Result<BiSnapKeys, KeyFileError> {
    let read = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(KeyFileError::Unreadable)?,
        None => text.to_owned(),
    };
    read.parse().map_err(KeyFileError::NoKey)
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let rooted = text.is_empty() || text.starts_with('/');
    match rooted && !text.ends_with('/') {
        true => Ok(text.to_owned()),
        false => Err("must begin with a slash and not end with one, or be empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::try_parse_from;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        notices: NoticeSettings,
    }

    #[test]
    fn nothing_is_needed_and_nonsense_is_named() {
        let none: Only = try_parse_from(["x"]).unwrap();
        assert!(none.notices.midtrans_iris_key.is_none());
        assert!(none.notices.midtrans_bisnap_public_key.is_none());
        assert_eq!(none.notices.midtrans_bisnap_prefix, "/webhooks/bi-snap");
        let wrong = [
            "x",
            "--midtrans-iris-key=a,,b",
            "--midtrans-bisnap-public-key=@/does/not/exist",
            "--midtrans-bisnap-prefix=webhooks/",
        ];
        let error = try_parse_from::<Only, _>(wrong).unwrap_err().to_string();
        for name in [
            "MIDTRANS_IRIS_KEY",
            "MIDTRANS_BISNAP_PUBLIC_KEY",
            "MIDTRANS_BISNAP_PREFIX",
        ] {
            assert!(error.contains(name), "{name} is missing in\n{error}");
        }
    }
}
