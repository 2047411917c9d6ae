//! A short queue in front of every ware.
//!
//! When dozens of transactions wait for one row, each commit wakes all of them, and all but one
//! have come in vain; the row changes hands several times slower than it could. A few of this
//! process's transactions at a time keep a row busy; the others wait here, in the order of their
//! arrival, and hold no connection meanwhile.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::cart::Ware;

/// Wares share gates by chance; with so many, two that everybody wants seldom meet.
const GATES: usize = 256;
/// One that commits, one that comes next, and two on their way.
const AT_ONCE: usize = 4;

/// The gates of a process; clones are the same.
#[derive(Debug, Clone)]
pub struct Gates(Arc<[Semaphore]>);

impl Default for Gates {
    fn default() -> Self {
        let gates = std::iter::repeat_with(|| Semaphore::new(AT_ONCE)).take(GATES);
        Self(gates.collect())
    }
}

impl Gates {
    /// Waits for the turn of a transaction that reserves this ware.
    pub(super) async fn pass(&self, ware: &Ware) -> Option<SemaphorePermit<'_>> {
        let mut hash = DefaultHasher::new();
        ware.hash(&mut hash);
        let gate = usize::try_from(hash.finish() % GATES as u64).unwrap_or(0);
        // Gates are never closed.
        self.0.get(gate)?.acquire().await.ok()
    }
}
