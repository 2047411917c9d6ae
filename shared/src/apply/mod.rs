//! The one path from observations to rows.
//!
//! [`apply`] takes a batch, in one database transaction: it locks what the batch touches
//! (`world`), judges each item against it (`observe`), projects sessions and orders
//! (`project`), plans what orders are given or give back (`effects`) and writes the difference
//! (`save`). What a status means is decided in
//! [`crate::domain`]; what becomes of a failed batch is the worker's.

mod world;

mod lookup;

mod observe;

mod asked;

mod events;

mod project;

mod effects;

mod told;

mod save;

mod contradiction;

pub mod audit;

pub mod backfill;

use std::time::Duration;

use crate::domain::outcome::{Class, Classify, DeadReason, Settled};
use crate::domain::projection::ResolutionAction;
use crate::domain::{ConfirmPolicy, Observation, Source, TransactionStatus};
use crate::fault;
use crate::store::{Store, StoreError, Txn};

use lookup::asked_orders;

pub use contradiction::Contradiction;

/// How often a batch starts anew at once after a deadlock or its kin.
const CONTENTION_RETRIES: u32 = 5;

/// Where a code that was drawn meets one that exists.
const DRAWN: [&str; 2] = ["tickets_code_key", "orders_pickup_code_unique"];

/// What applying depends on beside what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What is confirmed by the status API before it is acted on.
    pub policy: ConfirmPolicy,
    /// How long after a payment was first heard of the reconciler looks at it.
    pub first_check: Duration,
}

/// The first check of a payment that nobody says otherwise of.
const FIRST_CHECK: Duration = Duration::from_secs(5 * 60);

impl From<ConfirmPolicy> for Rules {
    fn from(policy: ConfirmPolicy) -> Self {
        Self {
            policy,
            first_check: FIRST_CHECK,
        }
    }
}

/// One thing to apply.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub input: Input,
    /// The trace it belongs to; goes into the domain events it causes.
    pub traceparent: Option<String>,
}

/// What an item is.
#[derive(Debug, Clone)]
pub enum Input {
    /// A sight of a transaction: a notification, an answer of the status API, a replay.
    Observed(Box<Observation>),
    /// Look again for the order of a session, and project it.
    Link {
        /// The session.
        session_id: String,
        /// Who asks.
        source: Source,
    },
    /// The status API does not know the transaction, however often it was asked: what waits for
    /// its word is refused.
    GiveUp {
        /// The session.
        session_id: String,
        /// The transaction nobody knows.
        transaction_id: String,
        /// Who asks.
        source: Source,
    },
    /// A session that never had a transaction has ended, such as a page that was closed.
    SessionEnded {
        /// The session.
        session_id: String,
        /// How it ended.
        status: TransactionStatus,
        /// By which way it is known.
        source: Source,
    },
    /// Look at an order itself, whatever its sessions say.
    Order {
        /// The order.
        order_code: String,
        /// What for.
        ask: OrderAsk,
        /// By which way the question came.
        source: Source,
        /// The operator, where it is one.
        actor: Option<String>,
    },
}

/// Why an order is looked at.
#[derive(Debug, Clone)]
pub enum OrderAsk {
    /// Project it again and do what is missing.
    Recheck,
    /// An operator decides; settled as stale when it is not in review.
    Resolve {
        /// What is decided.
        action: ResolutionAction,
        /// Why.
        why: String,
    },
    /// It is past its time, and Midtrans was asked: close it unless it is paid.
    Close,
}

impl Item {
    /// An item without a trace.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            traceparent: None,
        }
    }

    /// By which way it came.
    pub fn source(&self) -> Source {
        match &self.input {
            Input::Observed(seen) => seen.source,
            Input::Link { source, .. }
            | Input::GiveUp { source, .. }
            | Input::SessionEnded { source, .. }
            | Input::Order { source, .. } => *source,
        }
    }

    /// The session it is about, or the first one of the order.
    pub fn session_id(&self) -> &str {
        match &self.input {
            Input::Observed(seen) => &seen.session_id,
            Input::Link { session_id, .. }
            | Input::GiveUp { session_id, .. }
            | Input::SessionEnded { session_id, .. } => session_id,
            // The id of its first session.
            Input::Order { order_code, .. } => order_code,
        }
    }
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub settled: Settled,
    /// What the caller must see to before the message is acknowledged.
    pub follow_up: Option<FollowUp>,
}

/// What remains to be done after the commit. It follows from the stored state, so a message that
/// is delivered again after a crash asks for it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUp {
    /// The session has no order yet: look again later.
    Link {
        /// The session.
        session_id: String,
    },
    /// Ask the status API about the transaction.
    Confirm {
        /// The session.
        session_id: String,
        /// The transaction.
        transaction_id: String,
        /// Whose key signs the question, where the notification says.
        merchant_id: Option<String>,
    },
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The database failed.
    #[error("applying a batch failed")]
    Store(#[source] StoreError),
    /// An item contradicts what is stored.
    #[error("an observation contradicts what is stored")]
    Contradiction(#[source] Contradiction),
    /// A session was linked to another order between the look-up and the lock.
    #[error("a session was linked by somebody else meanwhile")]
    LinkedMeanwhile,
    /// What the order had reserved is gone: it cannot be fulfilled by anybody's word.
    #[error("what order {order_code} had reserved is not available any more")]
    NotAvailable {
        /// The order.
        order_code: String,
    },
}

impl ApplyError {
    /// Whether the same batch may succeed at once: another transaction was in the way, or a code
    /// was drawn that exists.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Store(error) => error.is_contention() || DRAWN.iter().any(|c| error.violates(c)),
            Self::LinkedMeanwhile => true,
            Self::Contradiction(_) | Self::NotAvailable { .. } => false,
        }
    }
}

impl Classify for ApplyError {
    fn classify(&self) -> Class {
        match self {
            Self::Store(error) => error.classify(),
            Self::LinkedMeanwhile => Class::Wait,
            Self::Contradiction(_) | Self::NotAvailable { .. } => {
                Class::Dead(DeadReason::ConstraintViolation)
            }
        }
    }
}

impl From<StoreError> for ApplyError {
    /// Every step of the batch is a step of the store; its text already names the step.
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Applies a batch in one transaction: all of it or nothing. Answers one outcome per item, in
/// their order. Deadlocks and their kin start anew at once, bounded.
///
/// # Errors
/// [`ApplyError`], whose class says whether to wait, to split the batch or to give the item up.
pub async fn apply(
    store: &Store,
    rules: impl Into<Rules>,
    batch: &[Item],
) -> Result<Vec<Outcome>, ApplyError> {
    let rules = rules.into();
    let mut retries = 0;
    loop {
        match apply_once(store, rules, batch).await {
            Err(error) if error.is_contention() && retries < CONTENTION_RETRIES => {
                retries += 1;
                tracing::debug!(
                    apply.retries = retries,
                    "batch starts anew after contention"
                );
            }
            result => return result,
        }
    }
}

async fn apply_once(
    store: &Store,
    rules: Rules,
    batch: &[Item],
) -> Result<Vec<Outcome>, ApplyError> {
    let mut txn = store.begin().await?;
    let outcomes = apply_in_txn(store, &mut txn, rules, batch).await?;
    fault::point("apply.before_commit").await;
    store.commit(txn).await?;
    fault::point("apply.after_commit").await;
    Ok(outcomes)
}

/// Applies a batch inside the caller's transaction, which then commits or, after an error, must be
/// dropped. When the error [is contention](ApplyError::is_contention) the caller starts anew, bounded.
///
/// # Errors
/// As [`apply`].
pub async fn apply_in_txn(
    store: &Store,
    txn: &mut Txn,
    rules: impl Into<Rules>,
    batch: &[Item],
) -> Result<Vec<Outcome>, ApplyError> {
    let rules = rules.into();
    let mut world = world::World::load(store, txn, batch, rules.first_check).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for item in batch {
        fault::point_of("apply.session", item.session_id()).await;
        outcomes.push(world.take(item, rules.policy)?);
    }
    world.load_holdings(store, txn).await?;
    let changes = world.project()?;
    save::write(store, txn, &changes, rules.first_check).await?;
    Ok(outcomes)
}
