//! `reconcile_links`: payments without an order and orders without a session, page by page.

use shared::apply::backfill::{self, Cursor, Mending};
use shared::domain::Source;
use shared::store::job_runs::{PageEnd, RunRow, Totals};

use super::{Interrupted, Page, Runs};
use crate::batch::until_answered;

/// Rows that one page looks at.
const PAGE: i64 = 500;

impl Runs {
    pub(super) async fn links(&self, run: &RunRow) -> Result<Page, Interrupted> {
        let cursor = run.cursor.as_deref().and_then(|text| text.parse().ok());
        let from = cursor.unwrap_or(Cursor::START);
        let mending = Mending {
            policy: self.applier.rules().policy,
            source: Source::Reconcile,
            actor: None,
        };
        let store = self.applier.store();
        let work = || backfill::page(store, from, PAGE, Some(mending));
        let page = until_answered(&self.applier, work).await??;
        let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        Ok(Page {
            found: Totals {
                checked: count(page.looked_at),
                repaired: count(page.items.len()),
                ..Totals::default()
            },
            end: match page.next {
                Some(next) => PageEnd::Next(next.to_text()),
                None => PageEnd::Done,
            },
        })
    }
}
