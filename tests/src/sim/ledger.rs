//! All transactions and Snap pages in memory, bounded: the oldest are forgotten first.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde_json::Value;
use time::OffsetDateTime;

use super::model::{Routes, Transaction};

/// The simulator's books.
pub(crate) struct Ledger {
    capacity: usize,
    transactions: HashMap<String, Transaction>,
    by_order: HashMap<String, Vec<String>>,
    age: VecDeque<String>,
    pages: HashMap<String, Page>,
    page_of_order: HashMap<String, String>,
    page_age: VecDeque<String>,
    due: BTreeSet<(OffsetDateTime, String)>,
}

/// One Snap page: a token for which no transaction exists until the customer picks a method.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) token: String,
    pub(crate) order_id: String,
    pub(crate) request: Value,
    pub(crate) routes: Routes,
    pub(crate) state: PageState,
    /// When it closes by itself, real time; `None` when clocks stand still.
    pub(crate) closes: Option<OffsetDateTime>,
}

/// What became of a Snap page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageState {
    Open,
    Cancelled,
    Expired,
    /// A newer page for the same order took its place.
    Replaced,
}

impl PageState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            PageState::Open => "open",
            PageState::Cancelled => "cancelled",
            PageState::Expired => "expired",
            PageState::Replaced => "replaced",
        }
    }
}

impl Ledger {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            transactions: HashMap::new(),
            by_order: HashMap::new(),
            age: VecDeque::new(),
            pages: HashMap::new(),
            page_of_order: HashMap::new(),
            page_age: VecDeque::new(),
            due: BTreeSet::new(),
        }
    }

    /// Adds a transaction, which becomes the latest of its order.
    pub(crate) fn insert(&mut self, txn: Transaction) {
        if self.age.len() >= self.capacity {
            self.forget_oldest();
        }
        let of_order = self.by_order.entry(txn.order_id.clone()).or_default();
        of_order.push(txn.id.clone());
        self.age.push_back(txn.id.clone());
        self.transactions.insert(txn.id.clone(), txn);
    }

    /// The transaction with this id, or the latest of the order with this id.
    pub(crate) fn find(&mut self, id: &str) -> Option<&mut Transaction> {
        let key = if self.transactions.contains_key(id) {
            id
        } else {
            self.by_order.get(id)?.last()?
        };
        self.transactions.get_mut(key)
    }

    /// The transaction with exactly this id.
    pub(crate) fn has_transaction(&self, id: &str) -> bool {
        self.transactions.contains_key(id)
    }

    /// All transactions of an order (or of the order of a transaction), oldest first.
    pub(crate) fn of_order(&self, id: &str) -> Vec<&Transaction> {
        let order_id = self.transactions.get(id).map_or(id, |txn| &txn.order_id);
        let ids = self.by_order.get(order_id).into_iter().flatten();
        ids.filter_map(|id| self.transactions.get(id)).collect()
    }

    /// All transactions, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Transaction> {
        self.age.iter().filter_map(|id| self.transactions.get(id))
    }

    /// Whether the order id is taken: its latest transaction is alive, paid or was paid.
    pub(crate) fn is_taken(&self, order_id: &str) -> bool {
        let ids = self.by_order.get(order_id).and_then(|ids| ids.last());
        ids.and_then(|id| self.transactions.get(id))
            .is_some_and(|txn| !txn.frees_order_id())
    }

    /// Opens a Snap page; an older open page of the same order is replaced.
    pub(crate) fn open_page(&mut self, page: Page) {
        let newest = (page.order_id.clone(), page.token.clone());
        if let Some(older) = self.page_of_order.insert(newest.0, newest.1)
            && let Some(older) = self.pages.get_mut(&older)
            && older.state == PageState::Open
        {
            older.state = PageState::Replaced;
        }
        if self.page_age.len() >= self.capacity
            && let Some(oldest) = self.page_age.pop_front()
            && let Some(forgotten) = self.pages.remove(&oldest)
            && self.page_of_order.get(&forgotten.order_id) == Some(&oldest)
        {
            self.page_of_order.remove(&forgotten.order_id);
        }
        self.page_age.push_back(page.token.clone());
        self.pages.insert(page.token.clone(), page);
    }

    /// A Snap page by token, or the newest of an order; its life is checked against the clock.
    pub(crate) fn page(&mut self, id: &str, now: OffsetDateTime) -> Option<&mut Page> {
        let token = self.page_of_order.get(id).map_or(id, String::as_str);
        let page = self.pages.get_mut(token)?;
        if page.state == PageState::Open && page.closes.is_some_and(|at| at <= now) {
            page.state = PageState::Expired;
        }
        Some(page)
    }

    /// All Snap pages, oldest first.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &Page> {
        self.page_age
            .iter()
            .filter_map(|token| self.pages.get(token))
    }

    /// Notes that this transaction's time to pay ends at `at`, real time.
    pub(crate) fn set_due(&mut self, at: OffsetDateTime, id: &str) {
        self.due.insert((at, id.to_owned()));
    }

    /// When the next transaction's time ends.
    pub(crate) fn next_due(&self) -> Option<OffsetDateTime> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the transactions whose time has ended.
    pub(crate) fn take_due(&mut self, now: OffsetDateTime) -> Vec<String> {
        let mut over = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            over.extend(self.due.pop_first().map(|(_, id)| id));
        }
        over
    }

    fn forget_oldest(&mut self) {
        let Some(id) = self.age.pop_front() else {
            return;
        };
        if let Some(txn) = self.transactions.remove(&id)
            && let Some(ids) = self.by_order.get_mut(&txn.order_id)
        {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_order.remove(&txn.order_id);
            }
        }
    }
}
