//! `retention`: removes what is older than it must be kept, page by page.

use shared::retention;
use shared::store::job_runs::{PageEnd, RunRow, Totals};

use super::{Interrupted, Page, Runs};
use crate::batch::until_answered;

impl Runs {
    /// What is removed counts as repaired; months that had to be kept, as given up.
    pub(super) async fn retention(&self, run: &RunRow) -> Result<Page, Interrupted> {
        let store = self.applier.store();
        let cursor = run.cursor.as_deref();
        let work = || retention::page(store, cursor, &self.options.keep, false);
        let page = until_answered(&self.applier, work).await??;
        for kept in &page.kept_back {
            tracing::warn!(?kept, "retention keeps what is older than it should be");
        }
        let removed = page.removed.iter().filter_map(|removed| removed.rows);
        Ok(Page {
            found: Totals {
                repaired: removed.sum(),
                given_up: i64::try_from(page.kept_back.len()).unwrap_or(i64::MAX),
                ..Totals::default()
            },
            end: page.next.map_or(PageEnd::Done, PageEnd::Next),
        })
    }
}
