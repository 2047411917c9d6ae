//! What a batch asks about, gathered once, and which orders its sessions may belong to.

use std::collections::{BTreeMap, HashMap};

use super::{ApplyError, Input, Item};
use crate::domain::linking::{Candidate, SessionOrigin, candidates};
use crate::domain::{Authority, LinkHints, Observation};
use crate::store::links::{LinkCandidate, LinkKey};
use crate::store::payments::NewPayment;
use crate::store::{Store, Txn};

/// What the batch asks about, gathered once.
pub(super) struct Asked<'a> {
    /// Sessions with the observation that would make their payment.
    pub(super) sessions: BTreeMap<&'a str, Option<&'a Observation>>,
    pub(super) hints: HashMap<&'a str, LinkHints>,
    /// Sessions that only ask for their order: what names it stands in notifications of old.
    pub(super) linking: Vec<&'a str>,
    pub(super) transactions: Vec<&'a str>,
    pub(super) event_keys: Vec<&'a [u8]>,
    /// Transactions that the status API answered about.
    pub(super) answered: Vec<&'a str>,
    /// Codes of orders that are asked about themselves.
    pub(super) orders: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(batch: &'a [Item]) -> Self {
        let mut asked = Self {
            sessions: BTreeMap::new(),
            hints: HashMap::new(),
            linking: Vec::new(),
            transactions: Vec::new(),
            event_keys: Vec::new(),
            answered: Vec::new(),
            orders: Vec::new(),
        };
        for item in batch {
            match &item.input {
                Input::Observed(seen) => asked.observed(seen),
                Input::Link { session_id, .. } => {
                    asked.sessions.entry(session_id).or_default();
                    asked.linking.push(session_id);
                }
                Input::SessionEnded { session_id, .. } => {
                    asked.sessions.entry(session_id).or_default();
                }
                Input::Order { order_code, .. } => asked.orders.push(order_code),
                Input::GiveUp {
                    session_id,
                    transaction_id,
                    ..
                } => {
                    asked.sessions.entry(session_id).or_default();
                    asked.answered.push(transaction_id);
                }
            }
        }
        asked
    }

    fn observed(&mut self, seen: &'a Observation) {
        if seen.authority == Authority::Notified {
            self.event_keys.push(seen.event_key.as_bytes());
        } else {
            self.answered.push(&seen.transaction_id);
        }
        if seen.is_test {
            return;
        }
        self.sessions
            .entry(&seen.session_id)
            .or_default()
            .get_or_insert(seen);
        self.transactions.push(&seen.transaction_id);
        self.hint(&seen.session_id, seen.link_hints.clone());
    }

    /// The first that says something counts.
    fn hint(&mut self, session_id: &'a str, more: LinkHints) {
        let hints = self.hints.entry(session_id).or_default();
        hints.metadata_order_id = hints.metadata_order_id.take().or(more.metadata_order_id);
        hints.custom_field1 = hints.custom_field1.take().or(more.custom_field1);
    }

    pub(super) async fn recall_hints(
        &mut self,
        store: &Store,
        txn: &mut Txn,
    ) -> Result<(), ApplyError> {
        for said in store.links_hints_in_txn(txn, &self.linking).await? {
            let session = self.linking.iter().find(|id| **id == said.session_id);
            let hints = LinkHints {
                metadata_order_id: said.metadata_order_id,
                custom_field1: said.custom_field1,
            };
            if let Some(session) = session.copied() {
                self.hint(session, hints);
            }
        }
        Ok(())
    }

    /// The sessions of observations that have no payment yet.
    pub(super) fn missing_payments(&self, links: &HashMap<String, Link>) -> Vec<NewPayment<'a>> {
        self.sessions
            .iter()
            .filter_map(|(session_id, first)| {
                let link = links.get(*session_id);
                let exists = link.is_some_and(|link| link.origin.is_some());
                let seen = first.filter(|_| !exists)?;
                Some(NewPayment {
                    session_id,
                    order_id: link.and_then(|link| link.order_id),
                    gross_amount: seen.fee.map_or(seen.gross_amount, |fee| fee.original).get(),
                })
            })
            .collect()
    }
}

/// What the look-up found for one session.
#[derive(Default)]
pub(super) struct Link {
    pub(super) order_id: Option<i64>,
    /// Where the payment comes from, when it exists.
    pub(super) origin: Option<SessionOrigin>,
}

pub(super) async fn find_links(
    store: &Store,
    txn: &mut Txn,
    asked: &Asked<'_>,
) -> Result<HashMap<String, Link>, ApplyError> {
    let none = LinkHints::default();
    let tried: Vec<(&str, Vec<Candidate>)> = asked
        .sessions
        .keys()
        .map(|session| {
            let hints = asked.hints.get(session).unwrap_or(&none);
            (*session, candidates(session, hints, SessionOrigin::Webhook))
        })
        .collect();
    let rows: Vec<LinkCandidate<'_>> = tried
        .iter()
        .flat_map(|(session, list)| rows_of(session, list))
        .collect();
    let sessions: Vec<&str> = asked.sessions.keys().copied().collect();
    let mut found = store.links_find_in_txn(txn, &sessions, &rows).await?;
    // The payment's own row (rank -1) comes first, and then the candidates by preference.
    found.sort_by_key(|row| row.rank);
    let mut links: HashMap<String, Link> = HashMap::with_capacity(sessions.len());
    for row in found {
        let link = links.entry(row.session_id).or_default();
        if let Some(origin) = row.origin.as_deref() {
            link.origin = SessionOrigin::parse(origin);
        }
        let barred = row.unsigned && link.origin == Some(SessionOrigin::Checkout);
        if link.order_id.is_none() && !barred {
            link.order_id = row.order_id;
        }
    }
    Ok(links)
}

/// The orders that questions would find, by session, with what named them; nothing is locked.
pub(super) async fn asked_orders(
    store: &Store,
    txn: &mut Txn,
    questions: &[Item],
) -> Result<HashMap<String, (i64, LinkHints)>, ApplyError> {
    let mut asked = Asked::of(questions);
    asked.recall_hints(store, txn).await?;
    let links = find_links(store, txn, &asked).await?;
    let found = links.into_iter().filter_map(|(session_id, link)| {
        let hints = asked.hints.get(session_id.as_str()).cloned();
        Some((session_id, (link.order_id?, hints.unwrap_or_default())))
    });
    Ok(found.collect())
}

fn rows_of<'a>(session_id: &'a str, list: &'a [Candidate]) -> Vec<LinkCandidate<'a>> {
    let mut rows = Vec::with_capacity(list.len());
    for (rank, candidate) in (0..).zip(list) {
        let mut push = |key, unsigned| {
            rows.push(LinkCandidate {
                session_id,
                rank,
                key,
                unsigned,
            });
        };
        match candidate {
            Candidate::PaymentOrder => {}
            Candidate::CodeOrId(text) => {
                push(LinkKey::Code(text), true);
                if let Ok(id) = text.parse() {
                    push(LinkKey::Id(id), true);
                }
            }
            Candidate::OrderSession => push(LinkKey::OwnSession, false),
            Candidate::Code(code) => push(LinkKey::Code(code), false),
        }
    }
    rows
}
