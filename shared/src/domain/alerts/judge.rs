//! What was found, measured by the thresholds: rows become findings with their words.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::wording::{duration, rupiah};
use super::{Limits, Rule};
use crate::domain::Rupiah;

/// One order or payment that a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The row's id.
    pub id: i64,
    /// The order.
    pub order_code: Option<String>,
    /// The payment session.
    pub session_id: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// What the payment is.
    pub payment_status: Option<String>,
    /// Rupiah.
    pub amount: Option<i64>,
    /// Since when it is so.
    pub since: OffsetDateTime,
    /// What else is known: review reasons, or the rule's own words.
    pub notes: Vec<String>,
}

/// Many of a kind, and the oldest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many; counting stops at 10,000.
    pub count: i64,
    /// How many of them within the last hour.
    pub recent: i64,
    /// Rupiah in those that were counted.
    pub amount: i64,
    /// The oldest.
    pub oldest: Case,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule and what it is about: one alert at a time has it.
    pub dedupe_key: String,
    /// Which condition.
    pub rule: Rule,
    /// The row it is about.
    pub subject_id: Option<i64>,
    /// The order.
    pub order_code: Option<String>,
    /// The payment session.
    pub session_id: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// What the payment is.
    pub payment_status: Option<String>,
    /// Rupiah.
    pub amount: Option<i64>,
    /// Since when.
    pub since: OffsetDateTime,
    /// One sentence.
    pub summary: String,
}

/// What looking for one condition brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which condition.
    pub rule: Rule,
    /// Where it holds.
    pub findings: Vec<Finding>,
    /// The last row looked at, when there are more than are told: of rows behind it nothing is
    /// known.
    pub complete_up_to: Option<i64>,
}

impl Found {
    /// The condition does not hold.
    pub const fn nothing(rule: Rule) -> Self {
        Self {
            rule,
            findings: Vec::new(),
            complete_up_to: None,
        }
    }

    fn one(rule: Rule, holds: bool, oldest: Case, amount: Option<i64>, summary: String) -> Self {
        let mut found = Self::nothing(rule);
        if holds {
            found.findings.push(Finding {
                dedupe_key: rule.as_str().to_owned(),
                rule,
                subject_id: None,
                order_code: oldest.order_code,
                session_id: oldest.session_id,
                order_status: oldest.order_status,
                payment_status: oldest.payment_status,
                amount: amount.or(oldest.amount),
                since: oldest.since,
                summary,
            });
        }
        found
    }
}

/// One finding per case, up to the limit, and one for those beyond it. `cases` are in the order of
/// their ids and at most one more than the limit.
pub fn each(rule: Rule, limits: &Limits, mut cases: Vec<Case>) -> Found {
    let most = usize::try_from(limits.per_rule).unwrap_or(usize::MAX);
    let first_untold = cases.get(most).map(|case| case.since);
    cases.truncate(most);
    let complete_up_to = first_untold.and(cases.last().map(|case| case.id));
    let mut findings: Vec<Finding> = cases.into_iter().map(|case| finding(rule, case)).collect();
    if let Some(since) = first_untold {
        findings.push(Finding {
            dedupe_key: format!("{}:more", rule.as_str()),
            rule,
            subject_id: None,
            order_code: None,
            session_id: None,
            order_status: None,
            payment_status: None,
            amount: None,
            since,
            summary: format!("More than {most} cases at once; only the first are told one by one"),
        });
    }
    Found {
        rule,
        findings,
        complete_up_to,
    }
}

fn finding(rule: Rule, case: Case) -> Finding {
    let order = case.order_code.as_deref().unwrap_or("-");
    let session = case.session_id.as_deref().unwrap_or("-");
    let payment = case.payment_status.as_deref().unwrap_or("unknown");
    let status = case.order_status.as_deref().unwrap_or("unknown");
    let amount = rupiah(Rupiah::new(case.amount.unwrap_or(0)));
    let notes = case.notes.join(", ");
    let summary = match rule {
        Rule::PaidNotApplied => {
            format!("Payment {session} over {amount} is {payment}, but order {order} is {status}")
        }
        Rule::OrderInReview => format!("Order {order} over {amount} waits for a decision: {notes}"),
        Rule::PaidAfterRelease => {
            format!("Order {order} was paid ({amount}) after what it held went to others")
        }
        Rule::DuplicatePayment => format!("Order {order} over {amount} is paid more than once"),
        Rule::EffectsMissing => format!("Order {order} over {amount} is {status}, but {notes}"),
        _ => notes.clone(),
    };
    let subject = match (rule, &case.order_code) {
        (Rule::PaidNotApplied, _) | (_, None) => case.session_id.clone(),
        (_, Some(code)) => Some(code.clone()),
    };
    Finding {
        dedupe_key: format!("{}:{}", rule.as_str(), subject.unwrap_or(notes)),
        rule,
        subject_id: Some(case.id),
        order_code: case.order_code,
        session_id: case.session_id,
        order_status: case.order_status,
        payment_status: case.payment_status,
        amount: case.amount,
        since: case.since,
        summary,
    }
}

/// Wares of which more is sold or reserved than there is; since when the first of them.
pub fn oversold(wares: &[String], since: Option<OffsetDateTime>) -> Found {
    let Some(since) = since else {
        return Found::nothing(Rule::StockOversold);
    };
    let summary = format!(
        "More is sold or reserved than there is of {}",
        wares.join(", ")
    );
    Found::one(Rule::StockOversold, true, nobody(since), None, summary)
}

/// Payments without order: too many, or too many of late.
pub fn orphans(limits: &Limits, tally: Option<Tally>) -> Found {
    let Some(tally) = tally else {
        return Found::nothing(Rule::OrphansRising);
    };
    let holds = tally.count >= limits.orphans || tally.recent >= limits.orphans_per_hour;
    let summary = format!(
        "{} payments have no order, {} of them of the last hour, {} together; the oldest is {}",
        tally.count,
        tally.recent,
        rupiah(Rupiah::new(tally.amount)),
        tally.oldest.session_id.as_deref().unwrap_or("-"),
    );
    let amount = Some(tally.amount);
    Found::one(Rule::OrphansRising, holds, tally.oldest, amount, summary)
}

/// Payments and orders that should have come to an end.
pub fn stuck(limits: &Limits, payments: Option<Tally>, orders: Option<Tally>) -> Found {
    let count = |tally: &Option<Tally>| tally.as_ref().map_or((0, 0), |t| (t.count, t.amount));
    let ((payments_count, in_payments), (orders_count, in_orders)) =
        (count(&payments), count(&orders));
    // A payment's order is most often stuck with it: its money is not counted twice.
    let amount = in_payments.max(in_orders);
    let summary = format!(
        "{payments_count} payments and {orders_count} orders are open {} past their time, {}",
        duration(limits.pending_sla),
        rupiah(Rupiah::new(amount)),
    );
    let oldest = [payments, orders]
        .into_iter()
        .flatten()
        .map(|tally| tally.oldest)
        .min_by_key(|case| case.since);
    match oldest {
        Some(oldest) => Found::one(Rule::Stuck, true, oldest, Some(amount), summary),
        None => Found::nothing(Rule::Stuck),
    }
}

/// Messages that were given up and that nobody has settled.
pub fn dead_letters(limits: &Limits, tally: Option<Tally>) -> Found {
    let Some(tally) = tally else {
        return Found::nothing(Rule::DeadLetters);
    };
    let holds = tally.count >= limits.dead_letters;
    let summary = format!(
        "{} messages were given up, {} in them; the oldest: {}",
        tally.count,
        rupiah(Rupiah::new(tally.amount)),
        tally.oldest.notes.join(", "),
    );
    let amount = Some(tally.amount);
    Found::one(Rule::DeadLetters, holds, tally.oldest, amount, summary)
}

/// Notifications of a day that the status API did not bear out.
pub fn refused(tally: Option<Tally>) -> Found {
    let Some(tally) = tally else {
        return Found::nothing(Rule::NotificationsRefused);
    };
    let summary = format!(
        "{} notifications within a day were refused: the status API contradicts them, or does not \
         know their transaction",
        tally.count
    );
    Found::one(
        Rule::NotificationsRefused,
        true,
        tally.oldest,
        None,
        summary,
    )
}

/// What the reconciler mended within a day.
pub fn repairs(limits: &Limits, tally: Option<Tally>) -> Found {
    let Some(tally) = tally else {
        return Found::nothing(Rule::RepairsHigh);
    };
    let holds = tally.count >= limits.repairs_per_day;
    let summary = format!(
        "The reconciler mended {} things within a day: notifications do not arrive, or are not \
         applied",
        tally.count
    );
    Found::one(Rule::RepairsHigh, holds, tally.oldest, None, summary)
}

/// Signatures that did not match within the window.
pub fn signature_failures(limits: &Limits, count: i64, since: OffsetDateTime) -> Found {
    let holds = count >= limits.signature_failures;
    let summary = format!(
        "{count} notifications of the last {} had a signature that does not match: a wrong \
         server key, or somebody who forges",
        duration(limits.signature_window),
    );
    Found::one(Rule::SignatureFailures, holds, nobody(since), None, summary)
}

/// The newest payments, none of which was ever notified.
pub fn silence(limits: &Limits, tally: Option<Tally>) -> Found {
    let Some(tally) = tally else {
        return Found::nothing(Rule::NotificationsSilent);
    };
    let holds = tally.count >= limits.silent_payments;
    let summary = format!(
        "The {} newest payments older than {} wait, and no notification about any of them came",
        tally.count,
        duration(limits.silent_after),
    );
    let amount = Some(tally.amount);
    Found::one(
        Rule::NotificationsSilent,
        holds,
        tally.oldest,
        amount,
        summary,
    )
}

/// Rupiah of the orders and payments that findings name, each once.
pub fn at_risk(found: &[Found]) -> i64 {
    let findings = found.iter().flat_map(|found| &found.findings);
    let named: BTreeMap<&str, i64> = findings
        .filter_map(|finding| {
            let name = finding
                .order_code
                .as_ref()
                .or(finding.session_id.as_ref())?;
            Some((name.as_str(), finding.amount?))
        })
        .collect();
    named.values().sum()
}

/// A dependency that does not answer.
pub fn outage(rule: Rule, since: OffsetDateTime, why: &str) -> Finding {
    let what = match rule {
        Rule::BrokerDown => "The broker",
        _ => "The database",
    };
    Finding {
        dedupe_key: rule.as_str().to_owned(),
        rule,
        subject_id: None,
        order_code: None,
        session_id: None,
        order_status: None,
        payment_status: None,
        amount: None,
        since,
        summary: format!("{what} is away: {why}"),
    }
}

fn nobody(since: OffsetDateTime) -> Case {
    Case {
        id: 0,
        order_code: None,
        session_id: None,
        order_status: None,
        payment_status: None,
        amount: None,
        since,
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
