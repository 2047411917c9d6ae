//! Applies a batch, and when it fails for one message's sake, splits it until that message stands
//! alone. Waits out whatever is nobody's fault.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use shared::apply::{Item, Outcome, Rules, apply};
use shared::domain::outcome::{Class, Classify, Failure};
use shared::store::Store;
use shared::telemetry::metrics;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::gate::{Gate, Passage};

/// After this long at the gate the messages in hand go back to the queue: the broker takes back
/// what a consumer holds for too long, and would count that every time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database that has not finished a batch within this time has fallen silent. It would have cut
/// off a statement that runs for too long itself.
const SILENCE: Duration = Duration::from_secs(20);

/// Batches under way in the database at once. There are more lanes, so that while these wait for the
/// database, others read messages, acknowledge and take the next.
const IN_FLIGHT: usize = 4;

/// The messages in hand must go back: the worker stops, or the outage is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("giving back what is in hand")]
pub struct GiveBack;

/// A panic while a message was applied: an attempt of that message, not an outage.
#[derive(Debug, thiserror::Error)]
#[error("applying panicked: {0}")]
pub struct Panicked(String);

impl Classify for Panicked {
    fn classify(&self) -> Class {
        Class::Retry
    }
}

/// No answer and no error: the line to the database, or the database, is frozen.
#[derive(Debug, thiserror::Error)]
#[error("the database has been silent for {} s", SILENCE.as_secs())]
pub struct Silent;

impl Classify for Silent {
    fn classify(&self) -> Class {
        Class::Wait
    }
}

/// Waits for the database, but not for ever.
pub async fn unless_silent<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    match timeout(SILENCE, work).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_) => Err(Silent.into()),
    }
}

/// Applies batches for every lane.
#[derive(Clone)]
pub struct Applier {
    store: Store,
    rules: Rules,
    gate: Gate,
    turns: Arc<Semaphore>,
}

impl Applier {
    /// Applies by the given rules.
    pub fn new(store: Store, rules: Rules, gate: Gate) -> Self {
        Self {
            store,
            rules,
            gate,
            turns: Arc::new(Semaphore::new(IN_FLIGHT)),
        }
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it applies by.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// The gate before it.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Applies all items, in as few transactions as their faults allow. One result per item, in
    /// their order.
    pub async fn apply(&self, items: &[Item]) -> Result<Vec<Result<Outcome, Failure>>, GiveBack> {
        let mut results = Vec::with_capacity(items.len());
        // Depth first, so that results come in order: the next part is at the end of the stack.
        let mut parts = vec![items];
        while let Some(part) = parts.pop() {
            match self.apply_or_wait(part).await? {
                Ok(outcomes) => results.extend(outcomes.into_iter().map(Ok)),
                Err(failure) if part.len() <= 1 => results.push(Err(failure)),
                Err(_) => {
                    metrics::batch_split();
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            }
        }
        Ok(results)
    }

    /// One transaction; whatever is nobody's fault is waited out.
    async fn apply_or_wait(
        &self,
        part: &[Item],
    ) -> Result<Result<Vec<Outcome>, Failure>, GiveBack> {
        if part.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        loop {
            let since = Instant::now();
            let failure = match self.apply_once(part).await {
                Ok(outcomes) => {
                    metrics::batch(part.len(), since.elapsed());
                    return Ok(Ok(outcomes));
                }
                Err(failure) => failure,
            };
            match failure.class() {
                Class::Wait => self.wait(&failure).await?,
                Class::Retry | Class::Dead(_) => return Ok(Err(failure)),
            }
        }
    }

    async fn apply_once(&self, part: &[Item]) -> Result<Vec<Outcome>, Failure> {
        // Never closed, so that there always is a turn.
        let _turn = self.turns.acquire().await;
        let work = unless_silent(apply(&self.store, self.rules, part));
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(Panicked(panic_text(panic.as_ref())).into()),
        }
    }

    /// Waits until the database answers again.
    pub async fn wait(&self, failure: &Failure) -> Result<(), GiveBack> {
        self.gate.close(&failure.chain());
        match self.gate.pass(PATIENCE).await {
            Passage::Open => Ok(()),
            Passage::StillClosed | Passage::Stopping => Err(GiveBack),
        }
    }
}

/// Does some work of the store, and waits out whatever is nobody's fault.
pub async fn until_answered<T, E, F>(
    applier: &Applier,
    work: impl Fn() -> F,
) -> Result<Result<T, Failure>, GiveBack>
where
    F: Future<Output = Result<T, E>>,
    Failure: From<E>,
{
    loop {
        match unless_silent(work()).await {
            Err(failure) if failure.class() == Class::Wait => applier.wait(&failure).await?,
            answer => return Ok(answer),
        }
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default()
}
