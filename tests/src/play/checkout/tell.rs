//! What the shop's stories showed, as two tables: the orders, and what is left on the shelves.

use serde_json::Value;

use super::visit::End;
use crate::play::table::{Align, Paint, Table};

/// What one story showed.
#[derive(Debug, Clone)]
pub struct Visited {
    /// What happened.
    pub story: &'static str,
    /// Its slot.
    pub slot: String,
    /// Its variant.
    pub sku: String,
    /// Its orders, and what was refused.
    pub bought: Vec<Bought>,
    /// Places that could be had, in the order of time.
    pub places: Vec<i64>,
    /// Pieces that could be had.
    pub pieces: Vec<i64>,
    /// What is wrong with what is left, if anything is.
    pub wrong: Option<String>,
}

/// What became of one order.
#[derive(Debug, Clone, Default)]
pub struct Bought {
    /// The order's code, or nothing.
    pub code: String,
    /// Whose it is, where it is not the story's first customer's.
    pub whose: String,
    /// How it ended, in the words of the table.
    pub ended: String,
    /// Codes of its valid tickets.
    pub tickets: Vec<String>,
    /// Its pickup code.
    pub pickup: Option<String>,
    /// What is wrong, if anything is.
    pub wrong: Option<String>,
    status: String,
}

impl Bought {
    pub(super) fn of(order: &Value, whose: &str, told: &str) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let status = text(&order["status"]).unwrap_or_default();
        let tickets = order["tickets"].as_array();
        let comma = if told.is_empty() { "" } else { ", " };
        Self {
            code: text(&order["order_code"]).unwrap_or_default(),
            whose: whose.to_owned(),
            ended: format!("{status}{comma}{told}"),
            tickets: tickets
                .into_iter()
                .flatten()
                .filter_map(|ticket| text(&ticket["code"]))
                .collect(),
            pickup: text(&order["pickup_code"]),
            wrong: None,
            status,
        }
    }

    /// Somebody who got no order.
    pub(super) fn refused(whose: &str, told: &str) -> Self {
        Self {
            whose: whose.to_owned(),
            ended: told.to_owned(),
            ..Self::default()
        }
    }

    /// A story that broke off.
    pub(super) fn broken_off(why: String) -> Self {
        Self {
            ended: "broken off".to_owned(),
            wrong: Some(why),
            ..Self::default()
        }
    }

    pub(super) fn judge(&self, end: End) -> Result<(), String> {
        let seen = (
            self.status.as_str(),
            self.tickets.len(),
            self.pickup.is_some(),
        );
        let wanted = (end.status, end.tickets, end.pickup);
        if seen == wanted {
            return Ok(());
        }
        let words = |(status, tickets, pickup)| {
            let with = if pickup { "with" } else { "without" };
            format!("{status} {with} a pickup code, {tickets} tickets")
        };
        Err(format!("must be {}, is {}", words(wanted), words(seen)))
    }
}

impl Visited {
    /// Whether all of it is as it should be.
    pub fn is_good(&self) -> bool {
        self.wrong.is_none() && self.bought.iter().all(|bought| bought.wrong.is_none())
    }

    fn complaints(&self) -> impl Iterator<Item = String> {
        let orders = self
            .bought
            .iter()
            .filter_map(|bought| bought.wrong.as_ref());
        let all = orders.chain(&self.wrong);
        all.map(|wrong| format!("{} ({}): {wrong}", self.slot, self.story))
    }
}

/// Both tables, and what is wrong.
pub(in crate::play) fn text(visits: &[Visited], paint: Paint) -> String {
    let complaints = visits.iter().flat_map(Visited::complaints);
    let complaints: String = complaints
        .map(|line| format!("{}\n", paint.bad(&line)))
        .collect();
    format!(
        "{}\n{}{complaints}",
        orders(visits).text(paint),
        shelves(visits).text(paint)
    )
}

fn orders(visits: &[Visited]) -> Table<5> {
    let mut table = Table::new([
        ("THE SHOP", Align::Left),
        ("STORY", Align::Left),
        ("HOW IT ENDED", Align::Left),
        ("TICKETS", Align::Left),
        ("PICKUP", Align::Left),
    ]);
    for (visit, bought) in visits
        .iter()
        .flat_map(|v| v.bought.iter().map(move |b| (v, b)))
    {
        let or_dash = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        let story = match bought.whose.is_empty() {
            true => visit.story.to_owned(),
            false => format!("… {}", bought.whose),
        };
        let tickets: Vec<String> = bought.tickets.iter().map(|code| beginning(code)).collect();
        let cells = [
            or_dash(&bought.code),
            story,
            bought.ended.clone(),
            or_dash(&tickets.join(" ")),
            or_dash(bought.pickup.as_deref().unwrap_or_default()),
        ];
        table.push(cells, verdict(bought.wrong.is_none()));
    }
    table
}

fn shelves(visits: &[Visited]) -> Table<5> {
    let mut table = Table::new([
        ("SLOT", Align::Left),
        ("PLACES LEFT", Align::Left),
        ("VARIANT", Align::Left),
        ("PIECES LEFT", Align::Left),
        ("STORY", Align::Left),
    ]);
    for visit in visits {
        let cells = [
            visit.slot.clone(),
            course(&visit.places),
            visit.sku.clone(),
            course(&visit.pieces),
            visit.story.to_owned(),
        ];
        table.push(cells, verdict(visit.wrong.is_none()));
    }
    table
}

const fn verdict(good: bool) -> (&'static str, bool) {
    (if good { "ok" } else { "WRONG" }, good)
}

/// Enough of a ticket's code to see that it is another one: whole, two would not fit.
fn beginning(code: &str) -> String {
    let beginning: String = code.chars().take(6).collect();
    format!("{beginning}…")
}

/// Before, in between, after.
fn course(counts: &[i64]) -> String {
    let counts: Vec<String> = counts.iter().map(i64::to_string).collect();
    counts.join(" -> ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_that_lacks_a_ticket_is_not_good() {
        let end = End {
            status: "PAID",
            tickets: 2,
            pickup: true,
        };
        let order = |tickets: Value| {
            let order = json!({"status": "PAID", "pickup_code": "K7FQ3X22", "tickets": tickets});
            Bought::of(&order, "", "in time")
        };
        let whole = order(json!([{"code": "A"}, {"code": "B"}]));
        assert_eq!(whole.judge(end), Ok(()));
        assert_eq!(whole.ended, "PAID, in time");
        let lacking = order(json!([{"code": "A"}]));
        assert!(lacking.judge(end).is_err());
    }
}
