//! Writing the catalog, one entry or many: all of it or nothing, and never below what orders hold
//! or own.

use std::collections::HashMap;

use crate::domain::catalog::{Slot, Variant};
use crate::store::catalog::{SlotView, VariantView};
use crate::store::{Store, StoreError, StoreErrorKind};

/// How often it starts anew after a deadlock, or when an entry was made by somebody else meanwhile.
const RETRIES: u32 = 5;

/// Entries to write; each id and SKU once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Slots.
    pub slots: Vec<Slot>,
    /// Variants.
    pub variants: Vec<Variant>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Created,
    /// It was there and says something else now.
    Changed,
    /// It was there like this.
    Unchanged,
    /// It would be less than what orders hold or own; then nothing at all was written.
    BelowTaken {
        /// How many they hold and own.
        taken: i64,
    },
}

/// What became of each entry, in the order of [`Entries`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Slots.
    pub slots: Vec<Fate>,
    /// Variants.
    pub variants: Vec<Fate>,
}

/// Whether to write, or only to say what would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write.
    Write,
    /// Change nothing.
    DryRun,
}

impl Report {
    /// Whether nothing was written because of at least one entry.
    pub fn is_refused(&self) -> bool {
        self.all()
            .any(|fate| matches!(fate, Fate::BelowTaken { .. }))
    }

    /// How many entries have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.all().filter(|other| **other == fate).count()
    }

    fn all(&self) -> impl Iterator<Item = &Fate> {
        self.slots.iter().chain(&self.variants)
    }
}

/// Writes entries in one transaction, unless one of them is below what is taken.
///
/// # Errors
/// When the database fails.
pub async fn put(store: &Store, entries: &Entries, mode: Mode) -> Result<Report, StoreError> {
    let mut retries = 0;
    loop {
        match put_once(store, entries, mode).await {
            Err(error) if starts_anew(&error) && retries < RETRIES => retries += 1,
            ended => return ended,
        }
    }
}

/// A constraint refuses what was checked only when somebody else made the entry, and sold of it,
/// between the look and the write.
fn starts_anew(error: &StoreError) -> bool {
    let oversold = |name: &str| name.ends_with("_not_oversold");
    let made_meanwhile = matches!(
        error.kind(),
        StoreErrorKind::Refused { constraint: Some(name) } if oversold(name)
    );
    error.is_contention() || made_meanwhile
}

async fn put_once(store: &Store, entries: &Entries, mode: Mode) -> Result<Report, StoreError> {
    let mut txn = store.begin().await?;
    let ids: Vec<&str> = entries.slots.iter().map(|slot| slot.id.as_str()).collect();
    let slots = store.catalog_lock_slots_in_txn(&mut txn, &ids).await?;
    let slots: HashMap<_, _> = slots.into_iter().map(|old| (old.id.clone(), old)).collect();
    let skus: Vec<&str> = entries
        .variants
        .iter()
        .map(|new| new.sku.as_str())
        .collect();
    let variants = store.catalog_lock_variants_in_txn(&mut txn, &skus).await?;
    let variants: HashMap<_, _> = variants
        .into_iter()
        .map(|old| (old.sku.clone(), old))
        .collect();
    let report = Report {
        slots: fates(&entries.slots, |new| slot_fate(slots.get(&new.id), new)),
        variants: fates(&entries.variants, |new| {
            variant_fate(variants.get(&new.sku), new)
        }),
    };
    if mode == Mode::DryRun || report.is_refused() {
        return Ok(report);
    }
    let slots = to_write(&entries.slots, &report.slots);
    store.catalog_put_slots_in_txn(&mut txn, &slots).await?;
    let variants = to_write(&entries.variants, &report.variants);
    store
        .catalog_put_variants_in_txn(&mut txn, &variants)
        .await?;
    store.commit(txn).await?;
    Ok(report)
}

fn fates<T>(entries: &[T], fate: impl Fn(&T) -> Fate) -> Vec<Fate> {
    entries.iter().map(fate).collect()
}

fn to_write<'a, T>(entries: &'a [T], fates: &[Fate]) -> Vec<&'a T> {
    let both = entries.iter().zip(fates);
    both.filter(|(_, fate)| **fate != Fate::Unchanged)
        .map(|(entry, _)| entry)
        .collect()
}

fn slot_fate(old: Option<&SlotView>, new: &Slot) -> Fate {
    let Some(old) = old else {
        return Fate::Created;
    };
    let taken = old.reserved + old.sold;
    if new.capacity < taken {
        return Fate::BelowTaken { taken };
    }
    // The database keeps microseconds.
    let micros = |at: time::OffsetDateTime| at.unix_timestamp_nanos() / 1_000;
    let same = old.name == new.name
        && micros(old.starts_at) == micros(new.starts_at)
        && (old.capacity, old.price) == (new.capacity, new.price);
    changed(!same)
}

/// What was sold is out of the stock already, so only what is held counts.
fn variant_fate(old: Option<&VariantView>, new: &Variant) -> Fate {
    let Some(old) = old else {
        return Fate::Created;
    };
    if new.stock < old.reserved {
        return Fate::BelowTaken {
            taken: old.reserved,
        };
    }
    changed(old.name != new.name || (old.stock, old.price) != (new.stock, new.price))
}

const fn changed(is_changed: bool) -> Fate {
    match is_changed {
        true => Fate::Changed,
        false => Fate::Unchanged,
    }
}
