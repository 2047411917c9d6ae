//! The one path from observations to rows.
//!
//! [`apply`] takes a batch, in one database transaction: it locks what the batch touches
//! (`world`), judges each item against it (`observe`), projects sessions and orders
//! (`project`) and writes the difference (`save`). What a status means is decided in
//! [`crate::domain`]; what becomes of a failed batch is the worker's.

mod world;

mod observe;

mod events;

mod project;

mod save;

mod contradiction;

pub mod audit;

use crate::domain::outcome::{Class, Classify, DeadReason, Settled};
use crate::domain::{ConfirmPolicy, Observation, Source};
use crate::fault;
use crate::store::{Store, StoreError};

pub use contradiction::Contradiction;

/// How often a batch starts anew at once after a deadlock or its kin.
const CONTENTION_RETRIES: u32 = 5;

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
}

impl Item {
    /// An item without a trace.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            traceparent: None,
        }
    }

    /// The session it is about.
    pub fn session_id(&self) -> &str {
        match &self.input {
            Input::Observed(seen) => &seen.session_id,
            Input::Link { session_id, .. } | Input::GiveUp { session_id, .. } => session_id,
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
}

impl ApplyError {
    fn is_contention(&self) -> bool {
        match self {
            Self::Store(error) => error.is_contention(),
            Self::LinkedMeanwhile => true,
            Self::Contradiction(_) => false,
        }
    }
}

impl Classify for ApplyError {
    fn classify(&self) -> Class {
        match self {
            Self::Store(error) => error.classify(),
            Self::LinkedMeanwhile => Class::Wait,
            Self::Contradiction(_) => Class::Dead(DeadReason::ConstraintViolation),
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
    policy: ConfirmPolicy,
    batch: &[Item],
) -> Result<Vec<Outcome>, ApplyError> {
    let mut retries = 0;
    loop {
        match apply_once(store, policy, batch).await {
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
    policy: ConfirmPolicy,
    batch: &[Item],
) -> Result<Vec<Outcome>, ApplyError> {
    let mut txn = store.begin().await?;
    let mut world = world::World::load(store, &mut txn, batch).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for item in batch {
        fault::point_of("apply.session", item.session_id()).await;
        outcomes.push(world.take(item, policy)?);
    }
    let changes = world.project();
    save::write(store, &mut txn, &changes).await?;
    fault::point("apply.before_commit").await;
    store.commit(txn).await?;
    fault::point("apply.after_commit").await;
    Ok(outcomes)
}
