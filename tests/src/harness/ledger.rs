//! The ledger of a test: every notification that was answered with 200 is in the database exactly
//! once, and nothing is there that was not sent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::PgPool;

use super::Signed;
use super::wait::wait_for;

/// What makes a notification distinct: the words that enter the event key, put together here
/// independently of the code under test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(String);

impl Identity {
    /// Of a notification's body.
    pub fn of(body: &Value) -> Self {
        let text = |name: &str| match &body[name] {
            Value::String(text) => text.clone(),
            _ => String::new(),
        };
        let refunds = body["refunds"].as_array().map(|refunds| {
            let each = refunds
                .iter()
                .map(|refund| format!("{}+{}", refund["refund_key"], refund["bank_confirmed_at"]));
            each.collect::<Vec<_>>().join(",")
        });
        if body["order_id"].is_null() {
            // A payment of the BI-SNAP family: all of it tells one from the next.
            return Self(body.to_string());
        }
        let words = [
            text("order_id"),
            text("transaction_id"),
            text("transaction_status"),
            text("fraud_status"),
            text("status_code"),
            text("gross_amount"),
            text("refund_amount"),
            refunds.unwrap_or_default(),
        ];
        Self(words.join("|"))
    }
}

/// What was sent and how it was answered.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    accepted: BTreeMap<Identity, u32>,
    sent: BTreeSet<Identity>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that it was sent and what came back: a status, or nothing when the line broke. What
    /// was not accepted may be in the database all the same: its answer may have been lost.
    pub fn note(&mut self, sent: &Signed, answer: Option<u16>) {
        self.note_identity(sent.identity(), answer);
    }

    /// The same for a body that somebody else built, such as the simulator.
    pub fn note_body(&mut self, body: &Value, answer: Option<u16>) {
        self.note_identity(Identity::of(body), answer);
    }

    fn note_identity(&mut self, identity: Identity, answer: Option<u16>) {
        if answer == Some(200) {
            *self.accepted.entry(identity.clone()).or_default() += 1;
        }
        self.sent.insert(identity);
    }

    /// Takes over what another ledger holds, for tests that send from several tasks.
    pub fn merge(&mut self, other: Self) {
        for (identity, count) in other.accepted {
            *self.accepted.entry(identity).or_default() += count;
        }
        self.sent.extend(other.sent);
    }

    /// Distinct notifications that were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// Waits until every accepted notification is recorded.
    ///
    /// # Panics
    /// When one is missing after the bound.
    pub async fn wait_until_recorded(&self, pool: &PgPool, bound: std::time::Duration) {
        wait_for(
            "every accepted notification to be recorded",
            bound,
            async || {
                let recorded = recorded(pool).await;
                let missing: Vec<_> = self
                    .accepted
                    .keys()
                    .filter(|identity| !recorded.contains_key(identity))
                    .collect();
                match missing.first() {
                    None => Ok(()),
                    Some(first) => Err(format!("{} missing, such as {first:?}", missing.len())),
                }
            },
        )
        .await;
    }

    /// Checks that every accepted notification is recorded exactly once, however often it was
    /// sent, and that nothing else is.
    ///
    /// # Panics
    /// When the database says otherwise.
    pub async fn assert_settled(&self, pool: &PgPool) {
        let recorded = recorded(pool).await;
        let mut wrong = Vec::new();
        for identity in self.accepted.keys() {
            match recorded.get(identity).copied().unwrap_or(0) {
                1 => {}
                rows => wrong.push(format!("accepted, recorded {rows} times: {identity:?}")),
            }
        }
        for (identity, rows) in &recorded {
            if !self.sent.contains(identity) {
                wrong.push(format!("never sent, recorded: {identity:?}"));
            } else if *rows > 1 && !self.accepted.contains_key(identity) {
                wrong.push(format!("recorded {rows} times: {identity:?}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} entries are wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

async fn recorded(pool: &PgPool) -> BTreeMap<Identity, u32> {
    let bodies: Vec<Value> = sqlx::query_scalar("SELECT raw_body FROM payment_webhook_events")
        .fetch_all(pool)
        .await
        .expect("the recorded notifications can be read");
    let mut recorded = BTreeMap::new();
    for body in &bodies {
        *recorded.entry(Identity::of(body)).or_insert(0) += 1;
    }
    recorded
}
