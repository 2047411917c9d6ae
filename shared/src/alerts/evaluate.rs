//! Looks for every condition, compares with what is open, and writes the difference with its
//! messages in one transaction.
//!
//! A question that fails leaves its rule's alerts as they are; the others go on.

use time::OffsetDateTime;
use tracing::{info, warn};

use super::IngestMetrics;
use crate::domain::alerts::{Finding, Found, Limits, Plan, Route, Rule, judge, plan};
use crate::fault;
use crate::store::alerts_conditions::ReviewKind;
use crate::store::lease::{Hold, Lease};
use crate::store::{Store, StoreError, Txn};
use crate::telemetry::metrics;

/// What is known of the broker by who has a line to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerNews {
    /// It takes messages.
    Up,
    /// It does not, and that is stored as an alert.
    Down(Box<Finding>),
    /// It does not, for too short a time to say so; or nobody has looked.
    Unknown,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rules that were looked for.
    pub rules: usize,
    /// Rules that could not be looked for.
    pub failed: usize,
    /// Alerts that began.
    pub opened: usize,
    /// Alerts that were said again.
    pub repeated: usize,
    /// Alerts that ended.
    pub resolved: usize,
    /// Alerts that hold now.
    pub open: usize,
    /// Rupiah of the orders and payments that alerts name, each once.
    pub rupiah_at_risk: i64,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The database did not answer.
    #[error("alerts could not be evaluated")]
    Store(#[from] StoreError),
    /// Another process leads.
    #[error("the lease is lost")]
    Fenced,
}

/// Looks for conditions.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    routes: Vec<Route>,
    ingest: Option<IngestMetrics>,
}

impl Watch {
    /// With these thresholds; messages are written for these routes.
    pub const fn new(limits: Limits, routes: Vec<Route>, ingest: Option<IngestMetrics>) -> Self {
        Self {
            limits,
            routes,
            ingest,
        }
    }

    /// The thresholds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The routes that messages are written for.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Looks for everything and writes what changed; under the lease, if one is given. `broker` is
    /// asked when the open alerts are locked, so that it is not older than they are.
    ///
    /// # Errors
    /// When the database does not answer, or the lease is lost.
    pub async fn evaluate(
        &self,
        store: &Store,
        lease: Option<&Lease>,
        broker: impl Fn() -> BrokerNews + Send,
    ) -> Result<Totals, EvaluateError> {
        let (mut found, failed) = self.look_for_all(store).await?;
        found.extend(self.signature_failures().await);
        let plan = self.write(store, lease, &mut found, broker).await?;
        self.tell(&plan);
        if !plan.open.is_empty() {
            fault::point("alerts.stored").await;
        }
        gauge(store).await?;
        Ok(Totals {
            rules: found.len(),
            failed,
            opened: plan.open.len(),
            repeated: plan.repeat.len(),
            resolved: plan.resolve.len(),
            open: plan.open.len() + plan.seen.len(),
            rupiah_at_risk: judge::at_risk(&found),
        })
    }

    /// Each question in turn; after one that failed in a transaction of its own.
    async fn look_for_all(&self, store: &Store) -> Result<(Vec<Found>, usize), StoreError> {
        let (mut all, mut failed) = (Vec::new(), 0);
        let mut txn = store.alerts_begin().await?;
        for rule in Rule::ALL {
            match look(store, &mut txn, *rule, &self.limits).await {
                Ok(found) => all.extend(found),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    warn!(
                        alert.rule = rule.as_str(),
                        error = %error,
                        cause,
                        "Alert rule could not be evaluated"
                    );
                    failed += 1;
                    txn = store.alerts_begin().await?;
                }
            }
        }
        Ok((all, failed))
    }

    /// Few are no news before this process has watched for the whole window.
    async fn signature_failures(&self) -> Option<Found> {
        let failures = self.ingest.as_ref()?.failures().await?;
        let count = i64::try_from(failures.count).unwrap_or(i64::MAX);
        let since = OffsetDateTime::now_utc() - failures.first_ago;
        let found = judge::signature_failures(&self.limits, count, since);
        (failures.complete || !found.findings.is_empty()).then_some(found)
    }

    async fn write(
        &self,
        store: &Store,
        lease: Option<&Lease>,
        found: &mut Vec<Found>,
        broker: impl Fn() -> BrokerNews + Send,
    ) -> Result<Plan, EvaluateError> {
        let mut txn = store.begin().await?;
        if let Some(lease) = lease
            && store.lease_guard_in_txn(&mut txn, lease).await? == Hold::Lost
        {
            return Err(EvaluateError::Fenced);
        }
        let open = store.alerts_unresolved_in_txn(&mut txn).await?;
        let now = store.now_in_txn(&mut txn).await?;
        found.extend(outage(broker()));
        let mut plan = plan(found, &open, now, self.limits.cooldown);
        // Whoever watches the broker begins its alert; by now it may be over again.
        plan.open.retain(|finding| finding.rule != Rule::BrokerDown);
        let routes = &self.routes;
        store.alerts_seen_in_txn(&mut txn, &plan.seen).await?;
        if !plan.open.is_empty() {
            store
                .alerts_open_in_txn(&mut txn, &plan.open, routes)
                .await?;
        }
        if !plan.repeat.is_empty() {
            store
                .alerts_repeat_in_txn(&mut txn, &plan.repeat, routes)
                .await?;
        }
        if !plan.resolve.is_empty() {
            store
                .alerts_resolve_in_txn(&mut txn, &plan.resolve, routes)
                .await?;
        }
        store.commit(txn).await?;
        Ok(plan)
    }

    fn tell(&self, plan: &Plan) {
        for finding in &plan.open {
            warn!(
                alert.rule = finding.rule.as_str(),
                alert.severity = finding.rule.severity().as_str(),
                alert.routes = self.routes.len(),
                alert.summary = finding.summary,
                "Alert opened"
            );
        }
        if !plan.resolve.is_empty() {
            info!(alerts.resolved = plan.resolve.len(), "Alerts resolved");
        }
    }
}

fn outage(broker: BrokerNews) -> Option<Found> {
    let nothing = Found::nothing(Rule::BrokerDown);
    match broker {
        BrokerNews::Up => Some(nothing),
        BrokerNews::Down(finding) => Some(Found {
            findings: vec![*finding],
            ..nothing
        }),
        BrokerNews::Unknown => None,
    }
}

/// Every rule has its series, at zero too.
async fn gauge(store: &Store) -> Result<(), StoreError> {
    let counts = store.alerts_open_counts().await?;
    for rule in Rule::ALL {
        let of_rule = counts.iter().filter(|count| count.rule == rule.as_str());
        let open = of_rule.map(|count| count.count).sum();
        metrics::alerts_open(rule.as_str(), rule.severity().as_str(), open);
    }
    Ok(())
}

/// `None` for rules that no row answers.
async fn look(
    store: &Store,
    txn: &mut Txn,
    rule: Rule,
    limits: &Limits,
) -> Result<Option<Found>, StoreError> {
    // One more than is told: whether there are more is known without counting.
    let most = limits.per_rule + 1;
    let cases = match rule {
        Rule::DatabaseDown | Rule::BrokerDown | Rule::SignatureFailures => return Ok(None),
        Rule::PaidNotApplied => {
            let after = limits.mismatch_after;
            store
                .alerts_paid_not_applied_in_txn(txn, after, most)
                .await?
        }
        Rule::OrderInReview => {
            store
                .alerts_in_review_in_txn(txn, ReviewKind::Other, most)
                .await?
        }
        Rule::PaidAfterRelease => {
            let kind = ReviewKind::PaidAfterRelease;
            store.alerts_in_review_in_txn(txn, kind, most).await?
        }
        Rule::DuplicatePayment => store.alerts_paid_twice_in_txn(txn, most).await?,
        Rule::EffectsMissing => {
            let after = limits.effects_after;
            store
                .alerts_effects_missing_in_txn(txn, after, most)
                .await?
        }
        Rule::StockOversold
        | Rule::OrphansRising
        | Rule::Stuck
        | Rule::DeadLetters
        | Rule::RepairsHigh
        | Rule::NotificationsRefused
        | Rule::NotificationsSilent => return count(store, txn, rule, limits).await.map(Some),
    };
    Ok(Some(judge::each(rule, limits, cases)))
}

/// Rules that are about many at once.
async fn count(
    store: &Store,
    txn: &mut Txn,
    rule: Rule,
    limits: &Limits,
) -> Result<Found, StoreError> {
    Ok(match rule {
        Rule::StockOversold => {
            let wares = store.alerts_oversold_in_txn(txn, limits.per_rule).await?;
            let since = wares.iter().map(|ware| ware.since).min();
            let names: Vec<String> = wares.into_iter().map(|ware| ware.ware).collect();
            judge::oversold(&names, since)
        }
        Rule::OrphansRising => judge::orphans(limits, store.alerts_orphans_in_txn(txn).await?),
        Rule::Stuck => {
            let past = limits.pending_sla;
            let payments = store.alerts_stuck_payments_in_txn(txn, past).await?;
            let orders = store.alerts_stuck_orders_in_txn(txn, past).await?;
            judge::stuck(limits, payments, orders)
        }
        Rule::DeadLetters => {
            judge::dead_letters(limits, store.alerts_dead_letters_in_txn(txn).await?)
        }
        Rule::RepairsHigh => judge::repairs(limits, store.alerts_repairs_in_txn(txn).await?),
        Rule::NotificationsRefused => judge::refused(store.alerts_refused_in_txn(txn).await?),
        Rule::NotificationsSilent => {
            let (after, newest) = (limits.silent_after, limits.silent_payments);
            judge::silence(
                limits,
                store.alerts_silence_in_txn(txn, after, newest).await?,
            )
        }
        _ => Found::nothing(rule),
    })
}
