//! What a replay would do: unfinished replays that come first, then the letters chosen now.

use serde_json::json;
use shared::dead_letters::{Preview, preview};
use shared::store::Store;
use shared::store::dead_letters_read::DeadLetterFilter;
use shared::store::replays::{NewReplay, ReplayRow};
use uuid::Uuid;

use super::super::select::Selection;
use crate::outcome::Outcome;
use crate::print;

/// What a replay would do.
pub(super) struct Plan {
    /// Begun before, dropped by whoever drove them, with letters of this selection left.
    unfinished: Vec<ReplayRow>,
    /// The letters chosen now and what they would meet.
    pub(super) preview: Preview,
    /// Ids on the command line that cannot be replayed.
    pub(super) skipped: Vec<i64>,
}

impl Plan {
    /// Looks at the selection; changes nothing.
    pub(super) async fn make(store: &Store, selection: &Selection) -> anyhow::Result<Self> {
        let chosen = selection.choose(store).await?;
        let (unfinished, in_them) = unfinished(store, &selection.filter()?).await?;
        let skipped = chosen
            .skipped
            .into_iter()
            .filter(|id| !in_them.contains(id))
            .collect();
        let preview = preview(store, &chosen.ids).await?;
        Ok(Self {
            unfinished,
            preview,
            skipped,
        })
    }

    /// Letters that would be published.
    pub(super) fn letters(&self) -> usize {
        let left = |replay: &ReplayRow| replay.total - replay.done - replay.failed;
        let left: i32 = self.unfinished.iter().map(left).sum();
        self.preview.count + usize::try_from(left).unwrap_or(0)
    }

    pub(super) fn unfinished_ids(&self) -> Vec<Uuid> {
        self.unfinished.iter().map(|replay| replay.id).collect()
    }

    /// Says on standard error what the question is about.
    pub(super) fn explain(&self) {
        for replay in &self.unfinished {
            eprintln!(
                "Replay {} of {} ({}) was left at {} of {}; it goes on first",
                replay.id,
                print::shortened(&replay.actor, 60),
                print::shortened(&replay.why, 100),
                replay.done + replay.failed,
                replay.total
            );
        }
        let would = |answer| {
            self.preview
                .items
                .iter()
                .filter(|i| i.would_change == answer)
                .count()
        };
        eprintln!(
            "{} letters: {} would change something, {} would not, {} only trying can tell",
            self.preview.count,
            would(Some(true)),
            would(Some(false)),
            would(None)
        );
    }

    /// Prints the dry run.
    pub(super) fn print(&self, json: bool) -> anyhow::Result<Outcome> {
        let outcome = if self.skipped.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        };
        if json {
            print::json(&json!({
                "token": self.preview.token,
                "count": self.preview.count,
                "items": self.preview.items,
                "unfinished": self.unfinished,
                "skipped": self.skipped,
            }))?;
            return Ok(outcome);
        }
        let rows: Vec<_> = self
            .preview
            .items
            .iter()
            .map(|item| {
                vec![
                    item.id.to_string(),
                    print::shortened(item.order_code.as_deref().unwrap_or("-"), 30),
                    print::or_dash(item.order_status.as_deref()),
                    print::or_dash(item.payment_status.as_deref()),
                    match item.would_change {
                        Some(true) => "yes",
                        Some(false) => "no",
                        None => "?",
                    }
                    .to_owned(),
                ]
            })
            .collect();
        print::table(
            &["ID", "ORDER", "ORDER IS", "PAYMENT IS", "WOULD CHANGE"],
            &rows,
        )?;
        self.explain();
        print::line(&format!("Token: {}", self.preview.token))?;
        Ok(outcome)
    }

    /// Fixes the previewed set; `None` when no letter of it is dead.
    pub(super) async fn begin(
        &self,
        store: &Store,
        actor: &str,
        why: &str,
        rate: i32,
    ) -> anyhow::Result<Option<Uuid>> {
        let ids: Vec<_> = self.preview.items.iter().map(|item| item.id).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let replay = NewReplay {
            id: Uuid::now_v7(),
            actor,
            why,
            rate,
        };
        let created = store.replays_create(&replay, &ids).await?;
        Ok(created.map(|replay| replay.id))
    }
}

/// Replays that stopped or lost their driver and have letters of the selection left, and those
/// letters. One that somebody paused waits for its own word to go on.
async fn unfinished(
    store: &Store,
    filter: &DeadLetterFilter,
) -> anyhow::Result<(Vec<ReplayRow>, Vec<i64>)> {
    let (mut replays, mut letters) = (Vec::new(), Vec::new());
    for replay in store.replays_unfinished().await? {
        if replay.status == "paused" {
            continue;
        }
        let mut left = filter.clone();
        left.status = Some("replaying".to_owned());
        left.pending_in = Some(replay.id);
        let left = store.dead_letters_ids(&left).await?;
        if left.is_empty() {
            continue;
        }
        letters.extend(left);
        // Whoever holds it now will finish it.
        if let Some(lock) = store.replays_lock(replay.id).await? {
            lock.release().await;
            replays.push(replay);
        }
    }
    Ok((replays, letters))
}
