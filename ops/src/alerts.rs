//! `lunas alerts`: what needs somebody, the word that somebody knows, and a test of the channels.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shared::alerts::Channels;
use shared::config::{AlertChannelSettings, DatabaseSettings};
use shared::domain::alerts::{Notice, Rule};
use shared::store::alerts_read::{Ack, AlertFilter, AlertView};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::confirm::confirm;
use crate::outcome::{Outcome, wrong_use};
use crate::{connect, print};

/// Look at alerts, acknowledge them, try the channels
#[derive(Debug, Subcommand)]
pub(crate) enum Alerts {
    List(List),
    Ack(Acknowledge),
    Test(Box<Test>),
}

/// List alerts, the newest first; exit code 1 when any is open
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Also those that have ended
    #[arg(long, help_heading = None)]
    all: bool,
    /// Only those of this rule
    #[arg(long, value_name = "RULE", value_parser = rules(), help_heading = None)]
    rule: Option<String>,
    /// Only those of this severity
    #[arg(long, value_name = "SEVERITY", value_parser = ["critical", "high"], help_heading = None)]
    severity: Option<String>,
    /// The most to list
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = None,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

/// Say that somebody knows: the alerts are not repeated any more
#[derive(Debug, Args)]
pub(crate) struct Acknowledge {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The alerts, by id
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
    /// What is being done about them
    #[arg(long, value_name = "TEXT", help_heading = None)]
    why: String,
    /// Who knows
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown", help_heading = None)]
    actor: String,
    /// Do not ask
    #[arg(long, help_heading = None)]
    yes: bool,
}

/// Send a test message by every channel that is set up, and say how each answered
#[derive(Debug, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    channels: AlertChannelSettings,
}

pub(crate) async fn run(command: &Alerts, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Alerts::List(command) => list(command, json).await,
        Alerts::Ack(command) => ack(command, json).await,
        Alerts::Test(command) => test(command, json).await,
    }
}

fn rules() -> clap::builder::PossibleValuesParser {
    Rule::ALL
        .iter()
        .map(|rule| rule.as_str())
        .collect::<Vec<_>>()
        .into()
}

async fn list(command: &List, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let filter = AlertFilter {
        open_only: !command.all,
        rule: command.rule.clone(),
        severity: command.severity.clone(),
    };
    let alerts = store.alerts_list(&filter, None, command.limit).await?;
    let any_open = alerts.iter().any(|alert| alert.resolved_at.is_none());
    if json {
        print::json(&json!({ "items": alerts }))?;
    } else {
        let headings = [
            "ID", "SEVERITY", "RULE", "ORDER", "AMOUNT", "SINCE", "STATE", "SUMMARY",
        ];
        let rows: Vec<_> = alerts.iter().map(row).collect();
        print::table(&headings, &rows)?;
    }
    Ok(if any_open {
        Outcome::Found
    } else {
        Outcome::Done
    })
}

fn row(alert: &AlertView) -> Vec<String> {
    let state = match (alert.resolved_at, &alert.acked_by) {
        (Some(at), _) => format!("resolved {}", print::time(at)),
        (None, Some(who)) => format!("acked by {}", print::shortened(who, 30)),
        (None, None) => "open".to_owned(),
    };
    let name = alert.order_code.as_deref().or(alert.session_id.as_deref());
    vec![
        alert.id.to_string(),
        alert.severity.clone(),
        alert.rule.clone(),
        print::or_dash(name),
        alert.amount.map_or("-".to_owned(), print::rupiah),
        print::time(alert.since),
        state,
        print::shortened(&alert.summary, 120),
    ]
}

async fn ack(command: &Acknowledge, json: bool) -> anyhow::Result<Outcome> {
    let (why, actor) = (command.why.trim(), command.actor.trim());
    if why.is_empty() || actor.is_empty() {
        return Err(wrong_use("--why and --actor must not be empty"));
    }
    if command.ids.len() > 1 {
        let question = format!("Acknowledge {} alerts?", command.ids.len());
        confirm(&question, command.yes)?;
    }
    let store = connect::store(&command.database)?;
    let (mut acked, mut already, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for id in &command.ids {
        match store.alert_ack(*id, actor, why).await? {
            Ack::Acked => acked.push(*id),
            Ack::Already => already.push(*id),
            Ack::Unknown => unknown.push(*id),
        }
    }
    for id in &unknown {
        eprintln!("lunas: there is no alert {id}");
    }
    match json {
        true => print::json(&json!({ "acked": acked, "already": already, "unknown": unknown }))?,
        false => print::line(&format!(
            "Acknowledged {}, {} were before",
            acked.len(),
            already.len()
        ))?,
    }
    Ok(if unknown.is_empty() {
        Outcome::Done
    } else {
        Outcome::Found
    })
}

async fn test(command: &Test, json: bool) -> anyhow::Result<Outcome> {
    let channels =
        Channels::new(&command.channels).map_err(|error| wrong_use(error.to_string()))?;
    if channels.all().is_empty() {
        return Err(wrong_use(
            "No channel is set up: set ALERT_EMAIL with RESEND_API_KEY or SMTP_URL, or \
             ALERT_WEBHOOK_URL",
        ));
    }
    let mut answers: Vec<Value> = Vec::new();
    let mut failed = false;
    for channel in channels.all() {
        let id = Uuid::new_v4().to_string();
        let notice = Notice::of_test(id.clone(), OffsetDateTime::now_utc());
        let error = channels.send_by(channel, &notice).await.err();
        let error = error.map(|error| error.chain());
        failed |= error.is_some();
        answers.push(json!({
            "channel": channel.as_str(),
            "sent": error.is_none(),
            "message_id": id,
            "error": error,
        }));
    }
    if json {
        print::json(&json!({ "items": answers }))?;
    } else {
        for answer in &answers {
            let name = answer["channel"].as_str().unwrap_or_default();
            let said = answer["error"].as_str().unwrap_or("sent");
            print::line(&format!("{name:8} {}", print::shortened(said, 500)))?;
        }
    }
    Ok(if failed {
        Outcome::Found
    } else {
        Outcome::Done
    })
}
