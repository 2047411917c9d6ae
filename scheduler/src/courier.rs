//! Carries messages that cannot be stored: keeps them in memory, tries the channels again with
//! growing pauses, and records afterwards what happened.

use shared::alerts::{Channels, backoff};
use shared::domain::alerts::{Finding, MessageKind, Notice, Route, Rule};
use shared::store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use crate::pause::chain;

/// Messages under way, and what is to be recorded of them.
pub(crate) struct Courier {
    channels: Channels,
    routes: Vec<Route>,
    parcels: Vec<Parcel>,
    to_record: Vec<Finding>,
    to_close: Vec<Rule>,
}

/// One message on one route.
struct Parcel {
    route: Route,
    notice: Notice,
    attempts: u32,
    next_try: Instant,
}

impl Courier {
    pub(crate) fn new(channels: Channels, routes: &[Route]) -> Self {
        Self {
            channels,
            routes: routes.to_vec(),
            parcels: Vec::new(),
            to_record: Vec::new(),
            to_close: Vec::new(),
        }
    }

    /// Takes a message for every route.
    pub(crate) fn take(
        &mut self,
        kind: MessageKind,
        finding: &Finding,
        resolved_at: Option<OffsetDateTime>,
    ) {
        for route in &self.routes {
            let id = Uuid::new_v4().to_string();
            self.parcels.push(Parcel {
                route: *route,
                notice: Notice::of_finding(id, kind, finding, resolved_at),
                attempts: 0,
                next_try: Instant::now(),
            });
        }
    }

    /// Keeps in mind that an alert began and ended that no row tells of.
    pub(crate) fn record_later(&mut self, finding: Finding) {
        self.to_record.push(finding);
    }

    /// Keeps in mind that the open alert of a rule is over, and that this was told.
    pub(crate) fn close_later(&mut self, rule: Rule) {
        self.to_close.push(rule);
    }

    /// Tries what is due. Of one route nothing overtakes anything.
    pub(crate) async fn carry(&mut self) {
        for route in self.routes.clone() {
            while let Some(index) = self.parcels.iter().position(|p| p.route == route) {
                let parcel = &mut self.parcels[index];
                if parcel.next_try > Instant::now() {
                    break;
                }
                match self.channels.deliver(route, &parcel.notice).await {
                    Ok(_) => drop(self.parcels.remove(index)),
                    Err(_) => {
                        parcel.attempts = parcel.attempts.saturating_add(1);
                        parcel.next_try = Instant::now() + backoff(parcel.attempts);
                    }
                }
            }
        }
    }

    /// Writes down what was told while nothing could be stored.
    pub(crate) async fn record(&mut self, store: &Store) {
        while let Some(rule) = self.to_close.last() {
            if let Err(failed) = close(store, *rule).await {
                return warn!(error = chain(&failed), "An outage could not be recorded");
            }
            self.to_close.pop();
        }
        while let Some(finding) = self.to_record.last() {
            if let Err(failed) = store.alert_record(finding).await {
                return warn!(error = chain(&failed), "An outage could not be recorded");
            }
            self.to_record.pop();
        }
    }
}

async fn close(store: &Store, rule: Rule) -> Result<(), StoreError> {
    let mut txn = store.begin().await?;
    if let Some(open) = store.alert_open_of_in_txn(&mut txn, rule).await? {
        store.alert_close_in_txn(&mut txn, open.id).await?;
    }
    store.commit(txn).await
}
