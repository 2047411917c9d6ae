//! Which calls of the gateway's API came, in the order of their coming.

use std::sync::{Mutex, PoisonError};

use super::trick::Call;

/// Every call with the ids it named.
#[derive(Default)]
pub(crate) struct Calls(Mutex<Vec<(Call, Vec<String>)>>);

impl Calls {
    pub(crate) fn note(&self, call: Call, ids: Vec<String>) {
        self.lock().push((call, ids));
    }

    /// How often it came for an order or a transaction.
    pub(crate) fn count(&self, call: Call, id: &str) -> usize {
        let named = |ids: &[String]| ids.iter().any(|known| known == id);
        let calls = self.lock();
        calls
            .iter()
            .filter(|(which, ids)| *which == call && named(ids))
            .count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Call, Vec<String>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
