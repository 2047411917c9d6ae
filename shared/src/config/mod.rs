//! Settings: every one is a flag with an environment variable, and `--help` is the reference.
//!
//! A binary declares a `clap::Parser` that flattens the groups it needs and calls [`parse`], which
//! reports all bad settings at once. What a setting means is decided by the parser of its type;
//! nothing outside this module reads the environment.

mod parse;

mod duration;
mod secret;

mod alerts;
mod groups;
mod monitor;
mod notices;
mod process;
mod retention;

pub use alerts::{AlertChannelSettings, AlertRuleSettings, secret_if_set};
pub use duration::{DurationError, parse_duration};
pub use groups::{
    BrokerSettings, ConfirmSettings, DatabaseSettings, GatewaySettings, ReconcileSettings,
    ServerKeySettings, WorkerRole, WorkerSettings,
};
pub use monitor::MonitorSettings;
pub use notices::NoticeSettings;
pub use parse::{BadSetting, ParseError, parse, try_parse_from};
pub use process::{HealthSettings, LogFormat, TelemetrySettings};
pub use retention::RetentionSettings;
pub use secret::Secret;
