//! What a batch touches, locked and in memory.
//!
//! Locks are taken in one global order (orders, then payments, each by id), so that workers do
//! not deadlock. The look-up of orders comes before any lock; what it found is checked again
//! after.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::OffsetDateTime;

use super::{ApplyError, Input, Item};
use crate::domain::linking::{Candidate, SessionOrigin, candidates};
use crate::domain::{
    Authority, EventKey, FraudStatus, Known, LinkHints, Observation, Rail, Rupiah,
    TransactionState, TransactionStatus,
};
use crate::store::events::{StoredEvent, UnconfirmedEvent};
use crate::store::links::{LinkCandidate, LinkKey};
use crate::store::logs::NewLog;
use crate::store::orders::OrderRow;
use crate::store::payments::{NewPayment, PaymentRow};
use crate::store::transactions::TransactionRow;
use crate::store::{Store, Txn};

/// Rows of one batch, and what the batch has changed of them so far.
pub(super) struct World {
    pub(super) now: OffsetDateTime,
    pub(super) orders: BTreeMap<i64, OrderRow>,
    pub(super) payments: BTreeMap<i64, Payment>,
    pub(super) by_session: HashMap<String, i64>,
    pub(super) transactions: BTreeMap<String, Transaction>,
    pub(super) events: HashMap<EventKey, Event>,
    pub(super) unconfirmed: Vec<UnconfirmedEvent>,
    pub(super) logs: Vec<NewLog>,
}

/// A session, and what the batch did to it.
pub(super) struct Payment {
    pub(super) row: PaymentRow,
    /// Found in this batch for a session that had no order.
    pub(super) link: Option<i64>,
    /// Some item was about it: it is projected again.
    pub(super) touched: bool,
    pub(super) traceparent: Option<String>,
}

impl Payment {
    /// The order it pays for, as of now.
    pub(super) fn order_id(&self) -> Option<i64> {
        self.row.order_id.or(self.link)
    }
}

/// A transaction, and whether the batch changed it.
pub(super) struct Transaction {
    pub(super) row: TransactionRow,
    pub(super) changed: bool,
}

impl Transaction {
    /// The kind of payment it is.
    pub(super) fn rail(&self) -> Rail {
        Rail::of(
            self.row.payment_type.as_deref(),
            self.row.payment_channel.as_deref(),
        )
    }

    /// What is known of it, in the words of the rules. Rows hold known words only, by a CHECK.
    pub(super) fn known(&self) -> Known {
        let fraud = self.row.fraud_status.as_deref().map(FraudStatus::parse);
        let status = TransactionStatus::parse(&self.row.status);
        let rail = self.rail();
        Known {
            state: TransactionState::of(&status, fraud.as_ref(), rail)
                .unwrap_or(TransactionState::Created),
            rail,
            gross_amount: Rupiah::new(self.row.gross_amount),
            refunded: Rupiah::new(self.row.refunded_amount),
            as_of: self.row.as_of,
        }
    }
}

/// A distinct notification: stored before, or new in this batch.
pub(super) struct Event {
    pub(super) stored: Option<StoredEvent>,
    /// The observation to store when it is new.
    pub(super) first: Option<Box<Observation>>,
    pub(super) verdict: &'static str,
    pub(super) processing_error: Option<String>,
    /// Deliveries in this batch.
    pub(super) deliveries: i32,
    pub(super) changed: bool,
}

impl World {
    /// Locks and reads everything the batch touches, and makes the sessions that are new.
    pub(super) async fn load(
        store: &Store,
        txn: &mut Txn,
        batch: &[Item],
    ) -> Result<Self, ApplyError> {
        let now = store.now_in_txn(txn).await?;
        let mut asked = Asked::of(batch);
        asked.recall_hints(store, txn).await?;
        let links = find_links(store, txn, &asked).await?;
        let order_ids: BTreeSet<i64> = links.values().filter_map(|link| link.order_id).collect();
        let order_ids: Vec<i64> = order_ids.into_iter().collect();
        let orders = store.orders_lock_in_txn(txn, &order_ids).await?;
        let missing = asked.missing_payments(&links);
        store.payments_insert_missing_in_txn(txn, &missing).await?;
        let sessions: Vec<&str> = asked.sessions.keys().copied().collect();
        let payments = store
            .payments_lock_in_txn(txn, &sessions, &order_ids)
            .await?;
        let payment_ids: Vec<i64> = payments.iter().map(|row| row.id).collect();
        let transactions = store
            .transactions_find_in_txn(txn, &payment_ids, &asked.transactions)
            .await?;
        let stored = store.events_find_in_txn(txn, &asked.event_keys).await?;
        let unconfirmed = match asked.answered.is_empty() {
            true => Vec::new(),
            false => {
                store
                    .events_unconfirmed_in_txn(txn, &asked.answered)
                    .await?
            }
        };
        let mut world = Self {
            now,
            orders: orders.into_iter().map(|row| (row.id, row)).collect(),
            payments: BTreeMap::new(),
            by_session: HashMap::with_capacity(payments.len()),
            transactions: transactions.into_iter().map(Transaction::stored).collect(),
            events: stored.into_iter().filter_map(Event::stored).collect(),
            unconfirmed,
            logs: Vec::new(),
        };
        world.take_payments(payments, &links)?;
        Ok(world)
    }

    /// The payment of a session; none for a session nobody ever stored.
    pub(super) fn payment_mut(&mut self, session_id: &str) -> Option<&mut Payment> {
        let id = self.by_session.get(session_id)?;
        self.payments.get_mut(id)
    }

    fn take_payments(
        &mut self,
        rows: Vec<PaymentRow>,
        links: &HashMap<String, Link>,
    ) -> Result<(), ApplyError> {
        for row in rows {
            if row
                .order_id
                .is_some_and(|id| !self.orders.contains_key(&id))
            {
                return Err(ApplyError::LinkedMeanwhile);
            }
            let found = links.get(&row.session_id).and_then(|link| link.order_id);
            let link = if row.order_id.is_none() { found } else { None };
            self.by_session.insert(row.session_id.clone(), row.id);
            let payment = Payment {
                row,
                link,
                touched: false,
                traceparent: None,
            };
            self.payments.insert(payment.row.id, payment);
        }
        Ok(())
    }
}

impl Transaction {
    fn stored(row: TransactionRow) -> (String, Self) {
        (
            row.midtrans_transaction_id.clone(),
            Self {
                row,
                changed: false,
            },
        )
    }
}

impl Event {
    fn stored(event: StoredEvent) -> Option<(EventKey, Self)> {
        let key = EventKey::from_slice(&event.event_key)?;
        let verdict = verdict_word(&event.verdict);
        let known = Self {
            stored: Some(event),
            first: None,
            verdict,
            processing_error: None,
            deliveries: 0,
            changed: false,
        };
        Some((key, known))
    }
}

/// The stored word as one of ours; the column's CHECK lists the same ones.
fn verdict_word(stored: &str) -> &'static str {
    ["applied", "stale", "unconfirmed", "refused", "test", "dead"]
        .into_iter()
        .find(|word| *word == stored)
        .unwrap_or("dead")
}

/// What the batch asks about, gathered once.
struct Asked<'a> {
    /// Sessions with the observation that would make their payment.
    sessions: BTreeMap<&'a str, Option<&'a Observation>>,
    hints: HashMap<&'a str, LinkHints>,
    /// Sessions that only ask for their order: what names it stands in notifications of old.
    linking: Vec<&'a str>,
    transactions: Vec<&'a str>,
    event_keys: Vec<&'a [u8]>,
    /// Transactions that the status API answered about.
    answered: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(batch: &'a [Item]) -> Self {
        let mut asked = Self {
            sessions: BTreeMap::new(),
            hints: HashMap::new(),
            linking: Vec::new(),
            transactions: Vec::new(),
            event_keys: Vec::new(),
            answered: Vec::new(),
        };
        for item in batch {
            match &item.input {
                Input::Observed(seen) => asked.observed(seen),
                Input::Link { session_id, .. } => {
                    asked.sessions.entry(session_id).or_default();
                    asked.linking.push(session_id);
                }
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

    async fn recall_hints(&mut self, store: &Store, txn: &mut Txn) -> Result<(), ApplyError> {
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
    fn missing_payments(&self, links: &HashMap<String, Link>) -> Vec<NewPayment<'a>> {
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
struct Link {
    order_id: Option<i64>,
    /// Where the payment comes from, when it exists.
    origin: Option<SessionOrigin>,
}

async fn find_links(
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
