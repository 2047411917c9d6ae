//! The settings of alerts: where they go, and from when on a condition is one.

use std::time::Duration;

use clap::Args;

use super::{MonitorSettings, Secret, parse_duration};
use crate::domain::alerts::Limits;

/// Where alerts go. What is unset or empty is not used; without any of them alerts are stored and
/// logged only.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where alerts go")]
pub struct AlertChannelSettings {
    /// Who gets alerts by mail: addresses, comma separated
    #[arg(long, env = "ALERT_EMAIL", value_name = "ADDRESSES", value_delimiter = ',',
          value_parser = address)]
    pub alert_email: Vec<String>,
    /// Key of the Resend API; mail goes there first
    #[arg(
        long,
        env = "RESEND_API_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub resend_api_key: Option<Secret<String>>,
    /// Sender of mails, also by SMTP; the first receiver unless set
    #[arg(long, env = "RESEND_FROM_EMAIL", value_name = "ADDRESS", value_parser = address)]
    pub resend_from_email: Option<String>,
    /// Base of the Resend API
    #[arg(long, env = "RESEND_API_URL", value_name = "URL",
          default_value = "https://api.resend.com", value_parser = http_url)]
    pub resend_api_url: String,
    /// Mail server, used when Resend is not set or fails: smtps://user:password@host,
    /// smtp://host:587?tls=required
    #[arg(long, env = "SMTP_URL", value_name = "URL", hide_env_values = true,
          value_parser = smtp_url)]
    pub smtp_url: Option<Secret<String>>,
    /// Gets every alert as JSON, besides the mail
    #[arg(long, env = "ALERT_WEBHOOK_URL", value_name = "URL", hide_env_values = true,
          value_parser = secret_http_url)]
    pub alert_webhook_url: Option<Secret<String>>,
}

impl AlertChannelSettings {
    /// Who gets mail.
    pub fn receivers(&self) -> Vec<&str> {
        let receivers = self.alert_email.iter().map(String::as_str);
        receivers.filter(|address| !address.is_empty()).collect()
    }

    /// The sender of mails.
    pub fn sender(&self) -> Option<&str> {
        let set = self.resend_from_email.as_deref();
        set.filter(|address| !address.is_empty())
            .or_else(|| self.receivers().first().copied())
    }
}

/// A secret that is set; an empty value is how a compose file or chart says "unset".
pub fn secret_if_set(secret: Option<&Secret<String>>) -> Option<&str> {
    secret
        .map(|secret| secret.expose().as_str())
        .filter(|text| !text.is_empty())
}

/// From when on a condition is an alert.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Alerts")]
pub struct AlertRuleSettings {
    /// How long an alert that nobody acknowledged is not repeated; 4h: twice in a working day
    #[arg(long, env = "ALERT_COOLDOWN", value_name = "DURATION", default_value = "4h",
          value_parser = some_time)]
    pub alert_cooldown: Duration,
    /// Alerts that one rule opens for single orders before the rest becomes one; 20: more mails say
    /// less
    #[arg(long, env = "ALERT_MAX_PER_RULE", value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(i64).range(1..=1_000))]
    pub alert_max_per_rule: i64,
    /// How long a paid order may not show it; 2m: retries of one notification take less
    #[arg(long, env = "ALERT_MISMATCH_AFTER", value_name = "DURATION", default_value = "2m",
          value_parser = parse_duration)]
    pub alert_mismatch_after: Duration,
    /// How long tickets, stock or capacity may lag behind an order's status; 5m: they change
    /// together, so any lag is a fault, and operators may be at work
    #[arg(long, env = "ALERT_EFFECTS_AFTER", value_name = "DURATION", default_value = "5m",
          value_parser = parse_duration)]
    pub alert_effects_after: Duration,
    /// Payments without order; 20: a few old ones are somebody's known experiments
    #[arg(long, env = "ALERT_ORPHANS", value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub alert_orphans: i64,
    /// Payments without order that came within an hour; 5: one may be a test, five are a fault
    #[arg(long, env = "ALERT_ORPHANS_PER_HOUR", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub alert_orphans_per_hour: i64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub monitor: MonitorSettings,
    /// Dead letters that nobody has settled; 1: each may be a customer's money
    #[arg(long, env = "ALERT_DEAD_LETTERS", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub alert_dead_letters: i64,
    /// Signatures that do not match within ALERT_SIGNATURE_WINDOW; 10: strangers try a few, a wrong
    /// key fails them all
    #[arg(long, env = "ALERT_SIGNATURE_FAILURES", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    pub alert_signature_failures: i64,
    /// The time over which those are counted
    #[arg(long, env = "ALERT_SIGNATURE_WINDOW", value_name = "DURATION", default_value = "1h",
          value_parser = some_time)]
    pub alert_signature_window: Duration,
    /// /metrics of each ingest, comma separated, where those are read; without it the rule is left
    /// to Prometheus
    #[arg(long, env = "INGEST_METRICS_URLS", value_name = "URLS", value_delimiter = ',',
          value_parser = http_url)]
    pub ingest_metrics_urls: Vec<String>,
    /// Repairs within a day; 50: single lost notifications are normal, more are a fault
    #[arg(long, env = "ALERT_REPAIRS_PER_DAY", value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    pub alert_repairs_per_day: i64,
    /// How old a payment must be before the lack of its notification counts; 15m: Midtrans' first
    /// retries are over
    #[arg(long, env = "ALERT_SILENCE_AFTER", value_name = "DURATION", default_value = "15m",
          value_parser = parse_duration)]
    pub alert_silence_after: Duration,
    /// How many of the newest payments must lack theirs; 5: one or two may be bad luck
    #[arg(long, env = "ALERT_SILENCE_PAYMENTS", value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(i64).range(1..=1_000))]
    pub alert_silence_payments: i64,
    /// How long database or broker may be away; 30s: a restart or failover takes less
    #[arg(long, env = "ALERT_DOWN_AFTER", value_name = "DURATION", default_value = "30s",
          value_parser = some_time)]
    pub alert_down_after: Duration,
}

impl AlertRuleSettings {
    /// The thresholds of the rules.
    pub const fn limits(&self) -> Limits {
        Limits {
            cooldown: self.alert_cooldown,
            per_rule: self.alert_max_per_rule,
            mismatch_after: self.alert_mismatch_after,
            effects_after: self.alert_effects_after,
            orphans: self.alert_orphans,
            orphans_per_hour: self.alert_orphans_per_hour,
            pending_sla: self.monitor.pending_sla,
            dead_letters: self.alert_dead_letters,
            signature_failures: self.alert_signature_failures,
            signature_window: self.alert_signature_window,
            repairs_per_day: self.alert_repairs_per_day,
            silent_after: self.alert_silence_after,
            silent_payments: self.alert_silence_payments,
        }
    }

    /// The pages of ingest.
    pub fn ingest_pages(&self) -> Vec<String> {
        let pages = self.ingest_metrics_urls.iter();
        pages.filter(|url| !url.is_empty()).cloned().collect()
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(time) if time.is_zero() => Err("must be more than nothing".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}

fn address(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.is_empty() || text.split('@').filter(|part| !part.is_empty()).count() == 2 {
        true => Ok(text.to_owned()),
        false => Err("must be a mail address"),
    }
}

fn http_url(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let known = text.starts_with("http://") || text.starts_with("https://");
    match known || text.is_empty() {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("must begin with http:// or https://"),
    }
}

fn secret_http_url(text: &str) -> Result<Secret<String>, &'static str> {
    http_url(text).map(Secret::new)
}

fn smtp_url(text: &str) -> Result<Secret<String>, &'static str> {
    let text = text.trim();
    let known = text.starts_with("smtp://") || text.starts_with("smtps://");
    match known || text.is_empty() {
        true => Ok(Secret::new(text.to_owned())),
        false => Err("must begin with smtp:// or smtps://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::try_parse_from;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        channels: AlertChannelSettings,
        #[command(flatten)]
        rules: AlertRuleSettings,
    }

    #[test]
    fn nothing_is_needed_and_an_empty_value_is_none() {
        let none: Only = try_parse_from(["x", "--smtp-url=", "--alert-email="]).unwrap();
        assert!(none.channels.receivers().is_empty());
        assert_eq!(none.channels.sender(), None);
        assert_eq!(secret_if_set(none.channels.smtp_url.as_ref()), None);
        assert_eq!(none.channels.resend_api_url, "https://api.resend.com");
        let limits = none.rules.limits();
        assert_eq!(limits.mismatch_after, Duration::from_secs(120));
        assert_eq!(limits.pending_sla, Duration::from_secs(1800));
    }

    #[test]
    fn keys_and_addresses_with_passwords_do_not_print() {
        let all: Only = try_parse_from([
            "x",
            "--alert-email=a@example.com, b@example.com",
            "--resend-api-key=re_s3cret",
            "--smtp-url=smtps://u:s3cret@mail.example.com",
            "--alert-webhook-url=https://example.com/hook/s3cret",
        ])
        .unwrap();
        assert_eq!(all.channels.receivers(), ["a@example.com", "b@example.com"]);
        assert_eq!(all.channels.sender(), Some("a@example.com"));
        assert!(!format!("{all:?}").contains("s3cret"));
    }

    #[test]
    fn every_bad_setting_is_named() {
        let wrong = [
            "x",
            "--alert-email=nobody",
            "--resend-from-email=@",
            "--resend-api-url=ftp://x",
            "--smtp-url=mail.example.com",
            "--alert-webhook-url=x",
            "--alert-cooldown=soon",
            "--alert-orphans=0",
            "--ingest-metrics-urls=x",
        ];
        let error = try_parse_from::<Only, _>(wrong).unwrap_err().to_string();
        for name in [
            "ALERT_EMAIL",
            "RESEND_FROM_EMAIL",
            "RESEND_API_URL",
            "SMTP_URL",
            "ALERT_WEBHOOK_URL",
            "ALERT_COOLDOWN",
            "ALERT_ORPHANS",
            "INGEST_METRICS_URLS",
        ] {
            assert!(error.contains(name), "{name} is missing in\n{error}");
        }
    }
}
