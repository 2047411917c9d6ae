//! What a batch touches, locked and in memory.
//!
//! Locks are taken in one global order (orders, then payments, each by id), so that workers do
//! not deadlock. The look-up of orders comes before any lock; what it found is checked again
//! after.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use time::OffsetDateTime;

use super::effects::{ActedBy, Held};
use super::lookup::{Asked, Link, find_links};
use super::{ApplyError, Item};
use crate::domain::{
    EventKey, FraudStatus, Known, Observation, Rail, Rupiah, Source, TransactionState,
    TransactionStatus,
};
use crate::store::events::{StoredEvent, UnconfirmedEvent};
use crate::store::logs::NewLog;
use crate::store::orders::{OrderResolution, OrderRow};
use crate::store::payments::PaymentRow;
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
    /// Orders that somebody asked about, beside those of the sessions.
    pub(super) asked: BTreeMap<i64, ActedBy>,
    /// Of these, the ones to be closed, past their time.
    pub(super) closing: BTreeSet<i64>,
    pub(super) resolutions: Vec<OrderResolution>,
    /// What orders consist of, of those where something may become of it.
    pub(super) held: BTreeMap<i64, Held>,
    pub(super) logs: Vec<NewLog>,
}

/// A session, and what the batch did to it.
pub(super) struct Payment {
    pub(super) row: PaymentRow,
    /// Found in this batch for a session that had no order.
    pub(super) link: Option<i64>,
    /// Some item was about it, and came by this way: it is projected again.
    pub(super) touched: Option<Source>,
    /// It ended without ever having had a transaction.
    pub(super) ended: Option<TransactionStatus>,
    pub(super) traceparent: Option<String>,
}

impl Payment {
    /// As the table has it.
    pub(super) fn stored(row: PaymentRow) -> Self {
        Self {
            row,
            link: None,
            touched: None,
            ended: None,
            traceparent: None,
        }
    }

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
        first_check: Duration,
    ) -> Result<Self, ApplyError> {
        let now = store.now_in_txn(txn).await?;
        let mut asked = Asked::of(batch);
        asked.recall_hints(store, txn).await?;
        let links = find_links(store, txn, &asked).await?;
        let mut order_ids: BTreeSet<i64> =
            links.values().filter_map(|link| link.order_id).collect();
        order_ids.extend(store.orders_ids_in_txn(txn, &asked.orders).await?);
        let order_ids: Vec<i64> = order_ids.into_iter().collect();
        let orders = store.orders_lock_in_txn(txn, &order_ids).await?;
        let missing = asked.missing_payments(&links);
        store
            .payments_insert_missing_in_txn(txn, &missing, first_check)
            .await?;
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
            orders: orders.into_iter().map(|row| (row.id, row)).collect(),
            by_session: HashMap::with_capacity(payments.len()),
            transactions: transactions.into_iter().map(Transaction::stored).collect(),
            events: stored.into_iter().filter_map(Event::stored).collect(),
            unconfirmed,
            ..Self::at(now)
        };
        world.take_payments(payments, &links)?;
        Ok(world)
    }

    /// A world with nothing in it.
    pub(super) fn at(now: OffsetDateTime) -> Self {
        Self {
            now,
            orders: BTreeMap::new(),
            payments: BTreeMap::new(),
            by_session: HashMap::new(),
            transactions: BTreeMap::new(),
            events: HashMap::new(),
            unconfirmed: Vec::new(),
            asked: BTreeMap::new(),
            closing: BTreeSet::new(),
            resolutions: Vec::new(),
            held: BTreeMap::new(),
            logs: Vec::new(),
        }
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
                link,
                ..Payment::stored(row)
            };
            self.payments.insert(payment.row.id, payment);
        }
        Ok(())
    }
}

impl Transaction {
    pub(super) fn stored(row: TransactionRow) -> (String, Self) {
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
