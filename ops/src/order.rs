//! `lunas order show`: an order as the shop reads it, and everything that happened to it.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use shared::config::DatabaseSettings;
use shared::store::Store;
use shared::store::read::OrderView;
use shared::store::read_timeline::{Happening, Position, TimelineItem};

use crate::outcome::Outcome;
use crate::{connect, print};

/// Items of the history that are read at a time.
const PAGE: i64 = 500;
/// Most items that are printed: an order has dozens.
const MOST: usize = 10_000;

/// Look at an order
#[derive(Debug, Subcommand)]
pub(crate) enum Order {
    Show(Show),
}

/// Show an order with its items, tickets, payments and history; exit code 1 when there is none
///
/// The code may also be the session id of a payment without an order, which has a history only.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    database: DatabaseSettings,
    /// The order's code
    #[arg(value_name = "CODE")]
    code: String,
}

pub(crate) async fn run(command: &Order, json: bool) -> anyhow::Result<Outcome> {
    match command {
        Order::Show(command) => show(command, json).await,
    }
}

async fn show(command: &Show, json: bool) -> anyhow::Result<Outcome> {
    let store = connect::store(&command.database)?;
    let code = command.code.replace('\0', "");
    let order = store
        .read_order(&code)
        .await
        .context("the order was not read")?;
    let timeline = timeline(&store, &code).await?;
    let Some(timeline) = timeline else {
        eprintln!("lunas: there is no order {}", print::shortened(&code, 100));
        return Ok(Outcome::Found);
    };
    if json {
        print::json(&json!({ "order": order, "timeline": timeline }))?;
        return Ok(Outcome::Done);
    }
    match &order {
        Some(order) => print_order(order)?,
        None => print::line(&format!("{code} is a payment without an order"))?,
    }
    print::line("")?;
    for item in &timeline {
        print::line(&format!("{}  {}", print::time(item.at), what(&item.what)))?;
    }
    Ok(Outcome::Done)
}

async fn timeline(store: &Store, code: &str) -> anyhow::Result<Option<Vec<TimelineItem>>> {
    let mut items: Vec<TimelineItem> = Vec::new();
    while items.len() < MOST {
        let after = items
            .last()
            .map_or(Position::START, |item| item.position.clone());
        let page = store.timeline_read(code, &after, PAGE).await?;
        let Some(page) = page else {
            return Ok(None);
        };
        let is_last = (page.len() as i64) < PAGE;
        items.extend(page);
        if is_last {
            break;
        }
    }
    Ok(Some(items))
}

fn print_order(order: &OrderView) -> anyhow::Result<()> {
    let moment = |at: Option<_>| at.map_or("-".to_owned(), print::time);
    let mut lines = vec![
        format!("Order {}: {}", order.order_code, order.status),
        format!("  customer    {}", print::shortened(&order.user_id, 100)),
        format!("  amount      {}", print::rupiah(order.gross_amount)),
        format!("  placed      {}", print::time(order.created_at)),
        format!("  expires     {}", print::time(order.expires_at)),
        format!("  paid        {}", moment(order.paid_at)),
    ];
    if !order.review_reasons.is_empty() {
        lines.push(format!("  review      {}", order.review_reasons.join(", ")));
    }
    if order.pickup_code.is_some() || order.picked_up_at.is_some() {
        // The code opens the goods to whoever reads it, so it is for the customer alone.
        lines.push(format!("  picked up   {}", moment(order.picked_up_at)));
    }
    for item in &order.items {
        let key = item.slot_id.as_deref().or(item.sku.as_deref());
        let price = print::rupiah(item.unit_price);
        let name = print::shortened(&item.name, 60);
        let key = print::or_dash(key);
        lines.push(format!(
            "  {:<10}  {} x {key} ({name}) at {price}",
            item.kind, item.quantity
        ));
    }
    let used = order
        .tickets
        .iter()
        .filter(|ticket| ticket.used_at.is_some())
        .count();
    if !order.tickets.is_empty() {
        lines.push(format!(
            "  tickets     {} valid, {used} of them used",
            order.tickets.len()
        ));
    }
    for payment in &order.payments {
        let kind = print::or_dash(payment.payment_type.as_deref());
        let amount = print::rupiah(payment.gross_amount);
        lines.push(format!(
            "  payment     {} {} {kind} {amount}",
            payment.session_id, payment.status
        ));
    }
    lines.iter().try_for_each(|line| print::line(line))
}

fn what(happening: &Happening) -> String {
    let dash = |text: &Option<String>| print::or_dash(text.as_deref());
    let said = match happening {
        Happening::Notification {
            session_id,
            status,
            verdict,
            deliveries,
            ..
        } => {
            let status = dash(status);
            format!("notified    {session_id} {status}: {verdict}, {deliveries} times")
        }
        Happening::Log {
            sync_type,
            event_type,
            from_status,
            to_status,
            actor,
            ..
        } => {
            let by = actor.as_deref().unwrap_or(sync_type);
            let (from, to) = (dash(from_status), dash(to_status));
            format!("done        {event_type} {from} -> {to} by {by}")
        }
        Happening::Event { event_type, .. } => format!("told        {event_type}"),
    };
    print::shortened(&said, 200)
}
