//! The report as one table: `section` says what a line is, and columns that it does not have are empty.

use serde::Serialize;
use serde_json::Value;

use super::drift::Drift;
use super::text_form::text;
use crate::print;

/// A line; the columns of all sections.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    /// `job`, `repair_kind`, `settled` or `repair`.
    section: &'static str,
    /// The job, the repair, or what told us.
    name: &'a str,
    sync_type: Option<&'a str>,
    actor: Option<&'a str>,
    runs: Option<i64>,
    failed: Option<i64>,
    checked: Option<i64>,
    found: Option<i64>,
    repaired: Option<i64>,
    given_up: Option<i64>,
    count: Option<i64>,
    orders: Option<i64>,
    rupiah: Option<i64>,
    at: Option<String>,
    order_code: Option<&'a str>,
    session_id: Option<&'a str>,
    from_status: Option<&'a str>,
    to_status: Option<&'a str>,
    before: Option<String>,
    after: Option<String>,
}

pub(super) fn of(drift: &Drift) -> anyhow::Result<String> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for line in totals(drift).chain(repairs(drift)) {
        table.serialize(line)?;
    }
    let bytes = table.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8(bytes)?)
}

fn totals(drift: &Drift) -> impl Iterator<Item = Line<'_>> {
    let total = &drift.totals;
    let all = Line {
        section: "total",
        name: &drift.day,
        runs: Some(total.runs),
        failed: Some(total.failed),
        checked: Some(total.checked),
        found: Some(total.found),
        repaired: Some(total.repaired),
        given_up: Some(total.given_up),
        rupiah: Some(total.rupiah_at_risk),
        ..Line::default()
    };
    let jobs = drift.jobs.iter().map(|job| Line {
        section: "job",
        name: &job.name,
        runs: Some(job.runs),
        failed: Some(job.failed),
        checked: Some(job.checked),
        found: Some(job.found),
        repaired: Some(job.repaired),
        given_up: Some(job.given_up),
        rupiah: Some(job.rupiah_at_risk),
        ..Line::default()
    });
    let kinds = drift.repairs.iter().map(|kind| Line {
        section: "repair_kind",
        name: &kind.event_type,
        sync_type: Some(&kind.sync_type),
        actor: kind.actor.as_deref(),
        count: Some(kind.count),
        orders: Some(kind.orders),
        rupiah: Some(kind.rupiah),
        ..Line::default()
    });
    let settled = drift.settled.iter().map(|settled| Line {
        section: "settled",
        name: settled.by,
        sync_type: Some(&settled.total.sync_type),
        actor: settled.total.actor.as_deref(),
        count: Some(settled.total.payments),
        rupiah: Some(settled.total.rupiah),
        ..Line::default()
    });
    std::iter::once(all).chain(jobs).chain(kinds).chain(settled)
}

fn repairs(drift: &Drift) -> impl Iterator<Item = Line<'_>> {
    let value = |value: &Value| (!value.is_null()).then(|| text(value));
    drift.orders.iter().map(move |mended| {
        let repair = &mended.repair;
        Line {
            section: "repair",
            name: &repair.event_type,
            sync_type: Some(&repair.sync_type),
            actor: repair.actor.as_deref(),
            rupiah: repair.rupiah,
            at: Some(print::time(repair.at)),
            order_code: repair.order_code.as_deref(),
            session_id: repair.session_id.as_deref(),
            from_status: repair.from_status.as_deref(),
            to_status: repair.to_status.as_deref(),
            before: value(&mended.before),
            after: value(&mended.after),
            ..Line::default()
        }
    })
}
