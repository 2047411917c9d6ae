//! One order, now, because an operator wants to know: what the reconciler does for many, later.
//!
//! Midtrans is asked about every session of the order. Its answers and the order itself go through
//! the one path together, so that what is missing is repaired whatever the answers are; and the
//! log says who asked, also when nothing changed.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use serde_json::json;

use super::questions::questions;
use crate::apply::{ApplyError, Input, Item, OrderAsk, apply_in_txn};
use crate::domain::{ConfirmPolicy, Observation, Source, StatusAnswer};
use crate::midtrans::{Gateway, GatewayError};
use crate::store::logs::NewLog;
use crate::store::sync::{SyncState, SyncSubject};
use crate::store::{Store, StoreError};

pub use super::questions::Question;

/// Questions about one order side by side.
const AT_ONCE: usize = 4;

/// How often it starts anew at once after a deadlock or its kin.
const CONTENTION_RETRIES: u32 = 5;

/// What a sync works with, and who wants it.
#[derive(Debug, Clone, Copy)]
pub struct Sync<'a> {
    /// The store.
    pub store: &'a Store,
    /// The gateway.
    pub gateway: &'a Gateway,
    /// What is confirmed before it is acted on.
    pub policy: ConfirmPolicy,
    /// Who asks; goes into the log.
    pub actor: &'a str,
}

/// What would be asked about an order.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// What the order is, or the session where there is no order.
    pub status: String,
    /// The questions.
    pub questions: Vec<Question>,
    subject: SyncSubject,
    named: Option<String>,
}

/// What a sync came to.
#[derive(Debug)]
pub struct Synced {
    /// The order, where there is one.
    pub order_code: Option<String>,
    /// Whether anything changed.
    pub updated: bool,
    /// What the order is now, or the session where there is no order.
    pub status: String,
    /// How many questions were answered.
    pub answered: usize,
    /// Questions without an answer. The order itself is looked at only when there is none.
    pub unanswered: Vec<Unanswered>,
}

/// A question that Midtrans did not answer.
#[derive(Debug)]
pub struct Unanswered {
    /// The session it was about.
    pub session_id: String,
    /// Why.
    pub error: GatewayError,
}

/// Why there was no sync.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// There is no order of this code and no session of this id.
    #[error("there is no such order or session")]
    Unknown,
    /// The database failed.
    #[error("the order was not read")]
    Store(#[source] StoreError),
    /// The answers were not applied.
    #[error("what Midtrans answered was not applied")]
    Apply(#[source] ApplyError),
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What Midtrans knows of a transaction, or of a session; `None` when it knows nothing, which it
/// also says of a page that nobody has used yet.
///
/// # Errors
/// Midtrans did not answer.
pub async fn look(
    gateway: &Gateway,
    id: &str,
    session_id: &str,
    source: Source,
) -> Result<Option<Box<Observation>>, GatewayError> {
    let answer = gateway.status(id, session_id, None, source).await?;
    Ok(match answer {
        StatusAnswer::Found(seen) => Some(seen),
        StatusAnswer::NotFound | StatusAnswer::Error { .. } => None,
    })
}

impl Sync<'_> {
    /// What would be asked about the order of this code, or about the session of this id and the
    /// order it belongs to.
    ///
    /// # Errors
    /// There is neither, or the database does not answer.
    pub async fn plan(&self, name: &str) -> Result<Planned, SyncError> {
        let subject = self.store.sync_subject(name).await?;
        let subject = subject.ok_or(SyncError::Unknown)?;
        let mut named = subject.session_id.clone();
        let rows = self
            .store
            .sync_sessions(subject.order_id, named.as_deref())
            .await?;
        if rows.is_empty() && named.is_none() {
            // Of a payment that the shop began by itself, under the name of the order.
            named.clone_from(&subject.order_code);
        }
        Ok(Planned {
            order_code: subject.order_code.clone(),
            status: subject.status.clone(),
            questions: questions(&rows, named.as_deref()),
            subject,
            named,
        })
    }

    /// Asks about the order of this code, or about the session of this id and the order it belongs
    /// to; applies what Midtrans answers and repairs what is missing.
    ///
    /// # Errors
    /// There is neither, or the database failed. A gateway that does not answer is no error here:
    /// see [`Synced::unanswered`].
    pub async fn run(&self, name: &str) -> Result<Synced, SyncError> {
        let planned = self.plan(name).await?;
        let (mut items, mut unanswered) = (Vec::new(), Vec::new());
        let asked = planned.questions.len();
        for (question, answer) in self.ask(&planned.questions).await {
            match answer {
                Ok(found) => items.extend(found.map(|seen| Item::new(Input::Observed(seen)))),
                Err(error) => unanswered.push(Unanswered {
                    session_id: question.session_id.clone(),
                    error,
                }),
            }
        }
        let answered = asked - unanswered.len();
        if unanswered.is_empty() {
            items.extend(self.look_at_itself(&planned));
        }
        let (before, after) = self.apply(&planned, &items, answered, &unanswered).await?;
        let (mut order_code, mut status) = (planned.order_code, after.status);
        if order_code.is_none()
            && let Some(now) = self.store.sync_subject(name).await?
        {
            // It may have found its order.
            (order_code, status) = (now.order_code, now.status);
        }
        Ok(Synced {
            order_code,
            updated: before.digest != after.digest,
            status,
            answered,
            unanswered,
        })
    }

    async fn ask<'q>(
        &self,
        questions: &'q [Question],
    ) -> Vec<(&'q Question, Result<Option<Box<Observation>>, GatewayError>)> {
        let asking: Vec<BoxFuture<'_, _>> = questions
            .iter()
            .map(|question| async move { (question, self.answer(question).await) }.boxed())
            .collect();
        stream::iter(asking).buffered(AT_ONCE).collect().await
    }

    async fn answer(&self, question: &Question) -> Result<Option<Box<Observation>>, GatewayError> {
        let session = &question.session_id;
        let found = look(self.gateway, &question.id, session, Source::Admin).await?;
        match &question.or_else {
            Some(id) if found.is_none() => look(self.gateway, id, session, Source::Admin).await,
            _ => Ok(found),
        }
    }

    /// The order itself, or the order that a session may belong to. Not without all answers: an
    /// order might be closed although it is paid.
    fn look_at_itself(&self, planned: &Planned) -> Option<Item> {
        let source = Source::Admin;
        if let Some(order_code) = planned.order_code.clone() {
            return Some(Item::new(Input::Order {
                order_code,
                ask: OrderAsk::Recheck,
                source,
                actor: Some(self.actor.to_owned()),
            }));
        }
        let session_id = planned.named.clone()?;
        Some(Item::new(Input::Link { session_id, source }))
    }

    async fn apply(
        &self,
        planned: &Planned,
        items: &[Item],
        answered: usize,
        unanswered: &[Unanswered],
    ) -> Result<(SyncState, SyncState), SyncError> {
        let mut retries = 0;
        loop {
            match self.apply_once(planned, items, answered, unanswered).await {
                Err(error) if error.is_contention() && retries < CONTENTION_RETRIES => retries += 1,
                result => return result.map_err(SyncError::Apply),
            }
        }
    }

    /// Under the order's lock, so that what differs afterwards was changed here.
    async fn apply_once(
        &self,
        planned: &Planned,
        items: &[Item],
        answered: usize,
        unanswered: &[Unanswered],
    ) -> Result<(SyncState, SyncState), ApplyError> {
        let (store, named) = (self.store, planned.named.as_deref());
        let order_id = planned.subject.order_id;
        let mut txn = store.begin().await?;
        store.sync_lock_in_txn(&mut txn, order_id).await?;
        let before = store.sync_state_in_txn(&mut txn, order_id, named).await?;
        apply_in_txn(store, &mut txn, self.policy, items).await?;
        let after = store.sync_state_in_txn(&mut txn, order_id, named).await?;
        let failed = unanswered.iter().map(
            |failed| json!({"session_id": failed.session_id, "error": failed.error.to_string()}),
        );
        let log = NewLog {
            order_code: planned.order_code.clone(),
            session_id: planned.named.clone(),
            sync_type: Source::Admin.as_str(),
            event_type: "sync_payment",
            from_status: Some(before.status.clone()),
            to_status: Some(after.status.clone()),
            actor: Some(self.actor.to_owned()),
            detail: Some(json!({
                "updated": before.digest != after.digest,
                "answered": answered,
                "unanswered": failed.collect::<Vec<_>>(),
            })),
        };
        store.logs_insert_in_txn(&mut txn, &[log]).await?;
        store.commit(txn).await?;
        Ok((before, after))
    }
}
