//! `reconcile_effects`: whether every order has what its status demands and nothing else, and
//! whether the counters are the sums of the orders.
//!
//! Counters come first, because repairing an order moves them from where they should be; and again
//! at the end, for those that could not be set while an order kept what it should have given back.

use std::time::Instant;

use serde_json::json;
use shared::apply::{Item, OrderAsk};
use shared::domain::Source;
use shared::store::job_runs::{PageEnd, RunRow, Totals};
use shared::store::logs::NewLog;
use shared::store::reconcile_effects::CounterOff;
use shared::store::{Store, StoreError};

use super::{Interrupted, Page, Runs, SLICE, order_item};

/// Orders that one statement looks at.
const ORDERS: i64 = 2_000;
/// Counters whose keys one statement reads.
const KEYS: i64 = 200;

/// What a page looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Slots,
    Variants,
    Orders,
    SlotsAgain,
    VariantsAgain,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Slots,
        Self::Variants,
        Self::Orders,
        Self::SlotsAgain,
        Self::VariantsAgain,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Variants => "variants",
            Self::Orders => "orders",
            Self::SlotsAgain => "slots-again",
            Self::VariantsAgain => "variants-again",
        }
    }

    fn next(self) -> Option<Self> {
        let here = Self::ALL.into_iter().skip_while(|stage| *stage != self);
        here.into_iter().nth(1)
    }
}

/// A place in a run: stage and the last key that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    stage: Stage,
    after: String,
}

impl Place {
    const fn start_of(stage: Stage) -> Self {
        Self {
            stage,
            after: String::new(),
        }
    }

    fn read(cursor: Option<&str>) -> Self {
        let place = cursor.and_then(|text| {
            let (stage, after) = text.split_once(' ')?;
            let stage = Stage::ALL.into_iter().find(|s| s.as_str() == stage)?;
            let after = after.to_owned();
            Some(Self { stage, after })
        });
        place.unwrap_or(Self::start_of(Stage::Slots))
    }

    fn to_text(&self) -> String {
        format!("{} {}", self.stage.as_str(), self.after)
    }
}

impl Runs {
    pub(super) async fn effects(&self, run: &RunRow) -> Result<Page, Interrupted> {
        let end = Instant::now() + SLICE;
        let mut place = Place::read(run.cursor.as_deref());
        let mut found = Totals::default();
        loop {
            let last = match place.stage {
                Stage::Slots | Stage::SlotsAgain | Stage::Variants | Stage::VariantsAgain => {
                    self.counters(&place, &mut found).await?
                }
                Stage::Orders => self.orders(&place.after, &mut found).await?,
            };
            place = match (last, place.stage.next()) {
                (Some(after), _) => Place { after, ..place },
                (None, Some(stage)) => Place::start_of(stage),
                (None, None) => {
                    let end = PageEnd::Done;
                    return Ok(Page { found, end });
                }
            };
            if Instant::now() >= end {
                let end = PageEnd::Next(place.to_text());
                return Ok(Page { found, end });
            }
        }
    }

    /// Looks at orders after an id; answers the last one, or `None` at the end.
    async fn orders(&self, after: &str, found: &mut Totals) -> Result<Option<String>, Interrupted> {
        let store = self.applier.store();
        let after: i64 = after.parse().unwrap_or(0);
        let Some(upto) = self.read(|| store.effects_page_end(after, ORDERS)).await? else {
            return Ok(None);
        };
        let suspects = self.read(|| store.effects_suspects(after, upto)).await?;
        let recheck = |code: &String| order_item(code, OrderAsk::Recheck);
        let items: Vec<Item> = suspects.iter().map(|s| recheck(&s.order_code)).collect();
        if !items.is_empty() {
            self.apply(&items).await?;
            let left = self.read(|| store.effects_suspects(after, upto)).await?;
            let still = |id: i64| left.iter().any(|order| order.id == id);
            for order in &suspects {
                found.rupiah_at_risk += order.gross_amount;
                match still(order.id) {
                    true => found.given_up += 1,
                    false => found.repaired += 1,
                }
            }
        }
        // Ids have few gaps; a page is counted as what lies between its ends.
        found.checked += (upto - after).min(ORDERS);
        Ok(Some(upto.to_string()))
    }

    /// Looks at counters after a key; answers the last one, or `None` at the end.
    async fn counters(
        &self,
        place: &Place,
        found: &mut Totals,
    ) -> Result<Option<String>, Interrupted> {
        let store = self.applier.store();
        let slots = matches!(place.stage, Stage::Slots | Stage::SlotsAgain);
        let last_chance = matches!(place.stage, Stage::SlotsAgain | Stage::VariantsAgain);
        let keys = match slots {
            true => {
                self.read(|| store.effects_slot_keys(&place.after, KEYS))
                    .await?
            }
            false => {
                self.read(|| store.effects_variant_keys(&place.after, KEYS))
                    .await?
            }
        };
        for key in &keys {
            match self.read(|| mend_counter(store, slots, key)).await? {
                Counter::Right => {}
                Counter::Mended => found.repaired += 1,
                // More is sold than there is: only a human can decide who does without.
                Counter::Impossible if last_chance => found.given_up += 1,
                Counter::Impossible => {}
            }
        }
        if !last_chance {
            found.checked += i64::try_from(keys.len()).unwrap_or(0);
        }
        Ok(keys.last().cloned())
    }
}

/// What became of a counter.
enum Counter {
    Right,
    Mended,
    Impossible,
}

async fn mend_counter(store: &Store, slot: bool, key: &str) -> Result<Counter, StoreError> {
    let mut txn = store.begin().await?;
    let off = match slot {
        true => store.effects_slot_off_in_txn(&mut txn, key).await?,
        false => store.effects_variant_off_in_txn(&mut txn, key).await?,
    };
    let Some(off) = off else {
        return Ok(Counter::Right);
    };
    let set = match slot {
        true => store.effects_slot_set_in_txn(&mut txn, &off).await,
        false => store.effects_variant_set_in_txn(&mut txn, &off).await,
    };
    match set {
        Err(error) if error.is_refused() => {
            tracing::error!(counter.key = key, "more is held and owned than there is");
            return Ok(Counter::Impossible);
        }
        set => set?,
    }
    store
        .logs_insert_in_txn(&mut txn, &[counter_log(slot, &off)])
        .await?;
    store.commit(txn).await?;
    Ok(Counter::Mended)
}

fn counter_log(slot: bool, off: &CounterOff) -> NewLog {
    NewLog {
        order_code: None,
        session_id: None,
        sync_type: Source::Reconcile.as_str(),
        event_type: "reconcile_fix_counter",
        from_status: None,
        to_status: None,
        actor: None,
        detail: Some(json!({
            "kind": match slot { true => "slot", false => "variant" },
            "key": off.key,
            "before": {"reserved": off.reserved, "sold": off.sold},
            "after": {"reserved": off.held, "sold": off.owned},
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back() {
        for stage in Stage::ALL {
            let place = Place {
                stage,
                after: "slot with spaces 7".to_owned(),
            };
            assert_eq!(Place::read(Some(&place.to_text())), place);
        }
        assert_eq!(Place::read(None), Place::start_of(Stage::Slots));
        assert_eq!(Place::read(Some("nonsense")), Place::start_of(Stage::Slots));
    }

    #[test]
    fn stages_follow_each_other_to_the_end() {
        assert_eq!(Stage::Slots.next(), Some(Stage::Variants));
        assert_eq!(Stage::VariantsAgain.next(), None);
    }
}
