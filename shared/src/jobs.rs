//! What travels under the routing key of a periodic job: the page of a run, named by its row.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A page of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMessage {
    /// The run, by its row in `job_runs`.
    pub run: i64,
    /// The page.
    pub page: i32,
}

impl RunMessage {
    /// The message as it travels.
    pub fn body(run: i64, page: i32) -> Bytes {
        // Two numbers: there is nothing that could be refused.
        serde_json::to_vec(&Self { run, page })
            .unwrap_or_default()
            .into()
    }
}
