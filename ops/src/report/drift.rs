//! What a report says, as it is read from the database.

use serde::Serialize;
use serde_json::Value;
use shared::store::Store;
use shared::store::report::{JobTotal, Repair, RepairTotal, RepairedTotal, SettledTotal, Span};
use time::{Date, OffsetDateTime};

/// Repairs that are read at a time.
const PAGE: i64 = 1_000;

/// Most repairs that are listed.
const MOST: usize = 100_000;

/// The drift of a day.
#[derive(Debug, Serialize)]
pub(super) struct Drift {
    pub(super) day: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) to: OffsetDateTime,
    pub(super) totals: Totals,
    /// By job.
    pub(super) jobs: Vec<JobTotal>,
    /// Every repair of the day, by whomever.
    pub(super) repaired: RepairedTotal,
    /// By what was done, by whom.
    pub(super) repairs: Vec<RepairTotal>,
    /// Payments that became paid, by what told us.
    pub(super) settled: Vec<Settled>,
    /// One by one, in the order of time.
    pub(super) orders: Vec<Mended>,
    /// There were more than are listed.
    pub(super) truncated: bool,
}

/// All runs of all jobs.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) runs: i64,
    pub(super) failed: i64,
    pub(super) checked: i64,
    pub(super) found: i64,
    pub(super) repaired: i64,
    pub(super) given_up: i64,
    pub(super) rupiah_at_risk: i64,
}

/// Payments that became paid, by what told us.
#[derive(Debug, Serialize)]
pub(super) struct Settled {
    /// In plain words: `webhook`, `reconciliation`, `operator`, …
    pub(super) by: &'static str,
    #[serde(flatten)]
    pub(super) total: SettledTotal,
}

/// One repair, with what it was before and after.
#[derive(Debug, Serialize)]
pub(super) struct Mended {
    /// What was mended, as it was: from the row's detail, or else the status.
    pub(super) before: Value,
    pub(super) after: Value,
    #[serde(flatten)]
    pub(super) repair: Repair,
}

/// Reads it all.
pub(super) async fn read(store: &Store, day: Date, span: Span) -> anyhow::Result<Drift> {
    let jobs = store.report_jobs(span).await?;
    let settled = store.report_settled(span).await?;
    let (orders, truncated) = list(store, span).await?;
    Ok(Drift {
        day: day.to_string(),
        from: span.from,
        to: span.to,
        totals: totals(&jobs),
        jobs,
        repaired: store.report_repaired(span).await?,
        repairs: store.report_repairs(span).await?,
        settled: settled.into_iter().map(named).collect(),
        orders,
        truncated,
    })
}

async fn list(store: &Store, span: Span) -> anyhow::Result<(Vec<Mended>, bool)> {
    let mut all: Vec<Mended> = Vec::new();
    let mut after = (span.from, 0);
    loop {
        let page = store.report_list(span, after, PAGE).await?;
        let is_last = i64::try_from(page.len())? < PAGE;
        if let Some(last) = page.last() {
            after = (last.at, last.id);
        }
        all.extend(page.into_iter().map(mended));
        if is_last || all.len() >= MOST {
            return Ok((all, !is_last));
        }
    }
}

fn totals(jobs: &[JobTotal]) -> Totals {
    jobs.iter().fold(Totals::default(), |sum, job| Totals {
        runs: sum.runs + job.runs,
        failed: sum.failed + job.failed,
        checked: sum.checked + job.checked,
        found: sum.found + job.found,
        repaired: sum.repaired + job.repaired,
        given_up: sum.given_up + job.given_up,
        rupiah_at_risk: sum.rupiah_at_risk + job.rupiah_at_risk,
    })
}

fn named(total: SettledTotal) -> Settled {
    let by = match total.sync_type.as_str() {
        "webhook" => "webhook",
        "reconcile" => "reconciliation",
        "admin" => "operator",
        "poll" => "question of the shop or of a confirmation",
        "replay" => "replayed dead letter",
        "backfill" => "backfill",
        _ => "system",
    };
    Settled { by, total }
}

fn mended(repair: Repair) -> Mended {
    let of = |name: &str| repair.detail.as_ref().and_then(|detail| detail.get(name));
    let status = |status: &Option<String>| status.clone().map_or(Value::Null, Value::String);
    let (before, after) = match (of("before"), of("after"), of("missing")) {
        // Tickets are counted: so many were missing.
        (None, None, Some(missing)) => {
            let missing = missing.as_i64().unwrap_or(0);
            let before = format!("{missing} tickets missing");
            (before.into(), "all tickets issued".into())
        }
        (None, None, None) => (status(&repair.from_status), status(&repair.to_status)),
        (before, after, _) => {
            let or_null = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
            (or_null(before), or_null(after))
        }
    };
    Mended {
        before,
        after,
        repair,
    }
}
