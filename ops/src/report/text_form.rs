//! The report for people.

use serde_json::Value;

use super::drift::{Drift, Mended};
use crate::print;

/// Most repairs that are shown.
const SHOWN: usize = 100;

pub(super) fn show(drift: &Drift) -> anyhow::Result<()> {
    let totals = &drift.totals;
    print::line(&format!("Drift of {} (WIB)", drift.day))?;
    print::line(&format!(
        "found {}, repaired {}, given up {}, at risk {} in {} runs, {} of them failed",
        totals.found,
        totals.repaired,
        totals.given_up,
        print::rupiah(totals.rupiah_at_risk),
        totals.runs,
        totals.failed,
    ))?;
    jobs(drift)?;
    repairs(drift)?;
    settled(drift)?;
    orders(drift)
}

fn jobs(drift: &Drift) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = drift
        .jobs
        .iter()
        .map(|job| {
            vec![
                job.name.clone(),
                job.runs.to_string(),
                job.failed.to_string(),
                job.checked.to_string(),
                job.found.to_string(),
                job.repaired.to_string(),
                job.given_up.to_string(),
                print::rupiah(job.rupiah_at_risk),
            ]
        })
        .collect();
    let headings = [
        "JOB", "RUNS", "FAILED", "CHECKED", "FOUND", "REPAIRED", "GIVEN UP", "AT RISK",
    ];
    section("Jobs", &headings, &rows)
}

fn repairs(drift: &Drift) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = drift
        .repairs
        .iter()
        .map(|kind| {
            vec![
                kind.event_type.clone(),
                kind.sync_type.clone(),
                print::or_dash(kind.actor.as_deref()),
                kind.count.to_string(),
                kind.orders.to_string(),
                print::rupiah(kind.rupiah),
            ]
        })
        .collect();
    let headings = ["REPAIR", "BY", "ACTOR", "COUNT", "ORDERS", "RUPIAH"];
    let all = &drift.repaired;
    let rupiah = print::rupiah(all.rupiah);
    let title = format!("{} repairs of {} orders ({rupiah})", all.count, all.orders);
    section(&title, &headings, &rows)
}

fn settled(drift: &Drift) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = drift
        .settled
        .iter()
        .map(|settled| {
            vec![
                settled.by.to_owned(),
                print::or_dash(settled.total.actor.as_deref()),
                settled.total.payments.to_string(),
                print::rupiah(settled.total.rupiah),
            ]
        })
        .collect();
    let headings = ["TOLD BY", "ACTOR", "PAYMENTS", "RUPIAH"];
    section("Payments that became paid", &headings, &rows)
}

fn orders(drift: &Drift) -> anyhow::Result<()> {
    let shown = drift.orders.iter().take(SHOWN);
    let rows: Vec<Vec<String>> = shown.map(order).collect();
    let headings = [
        "AT", "ORDER", "REPAIR", "BY", "BEFORE", "AFTER", "STATUS", "RUPIAH",
    ];
    section("Repairs", &headings, &rows)?;
    let count = drift.orders.len();
    if drift.truncated {
        print::line(&format!("{SHOWN} of more than {count} shown"))?;
    } else if count > SHOWN {
        print::line(&format!("{SHOWN} of {count} shown: --format csv has all"))?;
    }
    Ok(())
}

fn order(mended: &Mended) -> Vec<String> {
    let repair = &mended.repair;
    let name = repair
        .order_code
        .as_deref()
        .or(repair.session_id.as_deref());
    let by = repair.actor.as_deref().unwrap_or(&repair.sync_type);
    let status = |status: &Option<String>| print::or_dash(status.as_deref());
    let (from, to) = (status(&repair.from_status), status(&repair.to_status));
    vec![
        print::time(repair.at),
        print::or_dash(name),
        repair.event_type.clone(),
        print::shortened(by, 40),
        plain(&mended.before),
        plain(&mended.after),
        match from == to {
            true => to,
            false => format!("{from} -> {to}"),
        },
        repair.rupiah.map_or("-".to_owned(), print::rupiah),
    ]
}

/// A value as text, shortened.
fn plain(value: &Value) -> String {
    print::shortened(&text(value), 40)
}

/// A value as text; nothing is a dash.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn section(title: &str, headings: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
    print::line("")?;
    print::line(&format!(
        "{title}:{}",
        if rows.is_empty() { " none" } else { "" }
    ))?;
    if rows.is_empty() {
        return Ok(());
    }
    print::table(headings, rows)
}
