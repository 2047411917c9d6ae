//! `lunas dlq list`, `groups` and `show`: reading only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};
use shared::config::DatabaseSettings;
use shared::store::Store;
use shared::store::dead_letters_read::{
    DeadLetterAction, DeadLetterContent, DeadLetterFilter, DeadLetterRow,
};

use super::select::Filters;
use crate::outcome::Outcome;
use crate::{connect, print};

/// List dead letters, the newest first
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    filters: Filters,
    /// Most letters to print
    #[arg(long, value_name = "N", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=10_000), help_heading = None)]
    limit: i64,
    /// Go on after the page that ended with this `next_cursor`
    #[arg(long, value_name = "CURSOR", help_heading = None)]
    cursor: Option<i64>,
}

/// Group dead letters by what they died of, the largest group first
#[derive(Debug, Args)]
pub(crate) struct Groups {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    filters: Filters,
}

/// Show dead letters with payload, headers and what was done with them
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The dead letters, by id
    #[arg(value_name = "ID", required = true)]
    ids: Vec<i64>,
}

pub(crate) async fn list(command: &List, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    // One more than wanted tells whether there is a next page.
    let mut letters = store
        .dead_letters_list(&command.filters.filter(), command.cursor, command.limit + 1)
        .await?;
    let more = letters.len() as i64 > command.limit;
    letters.truncate(usize::try_from(command.limit)?);
    let next_cursor = letters
        .last()
        .filter(|_| more)
        .map(|letter| letter.id.to_string());
    if json {
        print::json(&json!({ "items": letters, "next_cursor": next_cursor }))?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> = letters.iter().map(row).collect();
    print::table(
        &[
            "ID",
            "STATUS",
            "REASON",
            "ORDER",
            "AMOUNT",
            "TRIES",
            "LAST FAILED",
            "ERROR",
        ],
        &rows,
    )?;
    if let Some(cursor) = next_cursor {
        print::line(&format!("More: --cursor {cursor}"))?;
    }
    Ok(Outcome::Done)
}

fn row(letter: &DeadLetterRow) -> Vec<String> {
    vec![
        letter.id.to_string(),
        letter.status.clone(),
        letter.reason.clone(),
        print::shortened(letter.order_code.as_deref().unwrap_or("-"), 30),
        letter.amount.map_or("-".to_owned(), print::rupiah),
        letter.attempts.to_string(),
        print::time(letter.last_failed_at),
        print::shortened(letter.error_chain.as_deref().unwrap_or("-"), 60),
    ]
}

pub(crate) async fn groups(command: &Groups, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let groups = store.dead_letters_groups(&command.filters.filter()).await?;
    if json {
        print::json(&json!({ "items": groups }))?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> = groups
        .iter()
        .map(|group| {
            vec![
                group.count.to_string(),
                group.fingerprint.clone(),
                print::rupiah(group.amount),
                print::time(group.first_failed_at),
                print::time(group.last_failed_at),
                print::shortened(group.error_chain.as_deref().unwrap_or("-"), 60),
            ]
        })
        .collect();
    print::table(
        &[
            "COUNT",
            "FINGERPRINT",
            "AMOUNT",
            "FIRST FAILED",
            "LAST FAILED",
            "ERROR",
        ],
        &rows,
    )?;
    Ok(Outcome::Done)
}

pub(crate) async fn show(command: &Show, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let filter = DeadLetterFilter {
        ids: Some(command.ids.clone()),
        ..Default::default()
    };
    let mut letters = store.dead_letters_list(&filter, None, i64::MAX).await?;
    letters.reverse();
    let contents = store.dead_letters_contents(&command.ids).await?;
    let mut shown = Vec::new();
    for (letter, content) in letters.iter().zip(&contents) {
        shown.push(details(&store, letter, content, json).await?);
    }
    if json {
        print::json(&json!({ "items": shown }))?;
    }
    let missing: Vec<_> = command
        .ids
        .iter()
        .filter(|id| !letters.iter().any(|letter| letter.id == **id))
        .collect();
    for id in &missing {
        eprintln!("lunas: there is no dead letter {id}");
    }
    Ok(if missing.is_empty() {
        Outcome::Done
    } else {
        Outcome::Found
    })
}

async fn details(
    store: &Store,
    letter: &DeadLetterRow,
    content: &DeadLetterContent,
    json: bool,
) -> anyhow::Result<Value> {
    let actions = store.dead_letters_actions(letter.id).await?;
    if !json {
        print_details(letter, content, &actions)?;
        return Ok(Value::Null);
    }
    let mut value = serde_json::to_value(letter)?;
    let (name, payload) = match std::str::from_utf8(&content.payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_) => ("payload_base64", STANDARD.encode(&content.payload)),
    };
    value[name] = payload.into();
    value["headers"] = content.headers.clone();
    value["actions"] = serde_json::to_value(&actions)?;
    Ok(value)
}

fn print_details(
    letter: &DeadLetterRow,
    content: &DeadLetterContent,
    actions: &[DeadLetterAction],
) -> anyhow::Result<()> {
    let error = letter.error_chain.as_deref().unwrap_or("-");
    let mut lines = vec![
        format!("Dead letter {}: {}", letter.id, letter.status),
        format!("  reason        {}", letter.reason),
        format!("  error         {}", print::shortened(error, 2_000)),
        format!("  fingerprint   {}", letter.fingerprint),
        format!(
            "  order         {}",
            print::or_dash(letter.order_code.as_deref())
        ),
        format!(
            "  session       {}",
            print::or_dash(letter.session_id.as_deref())
        ),
        format!(
            "  amount        {}",
            letter.amount.map_or("-".to_owned(), print::rupiah)
        ),
        format!(
            "  queue         {}",
            print::or_dash(letter.queue.as_deref())
        ),
        format!("  routing key   {}", letter.routing_key),
        format!("  tries         {}", letter.attempts),
        format!("  first failed  {}", print::time(letter.first_failed_at)),
        format!("  last failed   {}", print::time(letter.last_failed_at)),
    ];
    for action in actions {
        lines.push(format!(
            "  {}  {} by {}: {} ({})",
            print::time(action.created_at),
            action.action,
            print::shortened(&action.actor, 60),
            action.result,
            print::shortened(&action.why, 200),
        ));
    }
    lines.push(format!(
        "  headers       {}",
        print::shortened(&content.headers.to_string(), 20_000)
    ));
    lines.push(match std::str::from_utf8(&content.payload) {
        Ok(text) => format!("  payload       {}", print::shortened(text, 20_000)),
        Err(_) => format!(
            "  payload       {} bytes, not text: --json shows them",
            letter.payload_bytes
        ),
    });
    print::line(&lines.join("\n"))
}
