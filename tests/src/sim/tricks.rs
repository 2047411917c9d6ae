//! The armed tricks, and what of them applies to an event.
//!
//! Only decides. The courier carries out what concerns notifications, the gateway the rest.

use serde_json::{Map, Value};

use super::trick::{ApiTrick, Call, Trick};

/// Everything that applies to one notification, all matching tricks taken together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) copies: u32,
    pub(crate) concurrent: bool,
    pub(crate) drop: bool,
    pub(crate) hold: bool,
    pub(crate) delay_ms: u64,
    pub(crate) parallel: bool,
    pub(crate) omit: Vec<String>,
    pub(crate) add: Map<String, Value>,
}

/// The armed tricks; bounded, the oldest goes first.
#[derive(Default)]
pub(crate) struct Tricks {
    armed: Vec<(u64, Trick)>,
    next_id: u64,
}

/// More armed tricks than a test could mean.
const MOST: usize = 10_000;

impl Tricks {
    /// Arms a trick and returns its number.
    pub(crate) fn arm(&mut self, trick: Trick) -> u64 {
        if self.armed.len() >= MOST {
            self.armed.remove(0);
        }
        self.next_id += 1;
        self.armed.push((self.next_id, trick));
        self.next_id
    }

    /// Disarms one trick, or all; says how many.
    pub(crate) fn disarm(&mut self, id: Option<u64>) -> usize {
        let before = self.armed.len();
        self.armed
            .retain(|(number, _)| id.is_some_and(|id| id != *number));
        before - self.armed.len()
    }

    /// What is armed, with numbers.
    pub(crate) fn list(&self) -> &[(u64, Trick)] {
        &self.armed
    }

    /// The plan for a notification of `status` of this transaction; uses the tricks up.
    pub(crate) fn plan(&mut self, order_id: &str, transaction_id: &str, status: &str) -> Plan {
        let mut plan = Plan::default();
        self.take(
            |trick| {
                trick.shapes_notifications()
                    && trick.is_for(&[order_id, transaction_id])
                    && trick.is_on(status)
            },
            |trick| plan.include(trick),
        );
        plan
    }

    /// The fee to impose on this order, if one is armed.
    pub(crate) fn fee(&mut self, ids: &[&str], status: &str) -> Option<i64> {
        let mut fee = None;
        self.take(
            |trick| trick.fee.is_some() && trick.is_for(ids) && trick.is_on(status),
            |trick| fee = trick.fee,
        );
        fee
    }

    /// The amount to which a capture or settlement of this order is lowered.
    pub(crate) fn captured_amount(&mut self, ids: &[&str]) -> Option<i64> {
        let mut amount = None;
        self.take(
            |trick| trick.captured_amount.is_some() && trick.is_for(ids),
            |trick| amount = trick.captured_amount,
        );
        amount
    }

    /// The transaction id the next charge of this order gets.
    pub(crate) fn transaction_id(&mut self, order_id: &str) -> Option<String> {
        let mut id = None;
        self.take(
            |trick| trick.transaction_id.is_some() && trick.is_for(&[order_id]),
            |trick| id.clone_from(&trick.transaction_id),
        );
        id
    }

    /// The disturbance of an API call about this order; the one armed last wins.
    pub(crate) fn api(&mut self, call: Call, ids: &[&str]) -> Option<ApiTrick> {
        let at = self.armed.iter().rposition(|(_, trick)| {
            let api = trick.api.as_ref();
            api.is_some_and(|api| api.call == call || api.call == Call::Any) && trick.is_for(ids)
        })?;
        let found = self.armed[at].1.api.clone();
        self.use_up(at);
        found
    }

    fn take(&mut self, matches: impl Fn(&Trick) -> bool, mut each: impl FnMut(&Trick)) {
        for at in (0..self.armed.len()).rev() {
            if matches(&self.armed[at].1) {
                each(&self.armed[at].1);
                self.use_up(at);
            }
        }
    }

    fn use_up(&mut self, at: usize) {
        if let Some(times) = self.armed[at].1.times.as_mut() {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.armed.remove(at);
            }
        }
    }
}

impl Plan {
    fn include(&mut self, trick: &Trick) {
        if let Some(duplicate) = trick.duplicate {
            self.copies += duplicate.copies;
            self.concurrent |= duplicate.concurrent;
        }
        self.drop |= trick.drop;
        self.hold |= trick.hold;
        self.delay_ms = self.delay_ms.max(trick.delay_ms.unwrap_or(0));
        self.parallel |= trick.parallel;
        self.omit.extend(trick.omit.iter().cloned());
        for (name, value) in &trick.add {
            merge(&mut self.add, name, value);
        }
    }

    /// Takes fields out of a signed body and puts others in.
    pub(crate) fn deform(&self, body: &mut Map<String, Value>) {
        for name in &self.omit {
            body.remove(name);
        }
        for (name, value) in &self.add {
            merge(body, name, value);
        }
    }
}

fn merge(into: &mut Map<String, Value>, name: &str, value: &Value) {
    match (into.get_mut(name), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (inner, value) in new {
                merge(old, inner, value);
            }
        }
        _ => {
            into.insert(name.to_owned(), value.clone());
        }
    }
}
