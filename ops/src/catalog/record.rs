//! A slot or a variant as a file gives it, and everything that is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use serde_json::Value;
use shared::catalog::Entries;
use shared::domain::catalog::{Fault, Slot, Variant, parse_moment};

/// The fields of a slot, its id first.
pub(super) const SLOT_FIELDS: [&str; 5] = ["id", "name", "starts_at", "capacity", "price"];
/// The fields of a variant, its SKU first.
pub(super) const VARIANT_FIELDS: [&str; 4] = ["sku", "name", "stock", "price"];

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Mistake {
    /// Where: `line 7` or `slots[2]`; empty for the file as a whole.
    pub(super) place: String,
    /// Which field, if it is one.
    pub(super) field: Option<String>,
    /// What is wrong.
    pub(super) why: String,
}

impl Mistake {
    pub(super) fn new(place: &str, why: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            field: None,
            why: why.into(),
        }
    }

    pub(super) fn of(place: &str, field: &str, why: impl Into<String>) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(place, why)
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field} ")?;
        }
        f.write_str(&self.why)
    }
}

/// What a file without mistakes says, and where it says it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) entries: Entries,
    pub(super) slot_places: Vec<String>,
    pub(super) variant_places: Vec<String>,
}

/// Takes records in one by one and remembers every mistake.
#[derive(Debug, Default)]
pub(super) struct Collector {
    contents: Contents,
    mistakes: Vec<Mistake>,
    /// Where each id and SKU stands.
    seen: HashMap<(&'static str, String), String>,
}

/// One entry of a file: where it is, and its fields.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) place: String,
    pub(super) fields: BTreeMap<String, Value>,
    /// Whether numbers are written as texts.
    pub(super) is_text: bool,
}

impl Collector {
    pub(super) fn mistake(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    pub(super) fn slot(&mut self, record: &Record) {
        let before = self.mistakes.len();
        self.only(record, &SLOT_FIELDS);
        let slot = Slot {
            id: self.text(record, "id"),
            name: self.text(record, "name"),
            starts_at: self.moment(record, "starts_at"),
            capacity: self.number(record, "capacity"),
            price: self.number(record, "price"),
        };
        self.faults(record, before, &slot.faults());
        self.once(record, "id", &slot.id);
        self.contents.entries.slots.push(slot);
        self.contents.slot_places.push(record.place.clone());
    }

    pub(super) fn variant(&mut self, record: &Record) {
        let before = self.mistakes.len();
        self.only(record, &VARIANT_FIELDS);
        let variant = Variant {
            sku: self.text(record, "sku"),
            name: self.text(record, "name"),
            stock: self.number(record, "stock"),
            price: self.number(record, "price"),
        };
        self.faults(record, before, &variant.faults());
        self.once(record, "sku", &variant.sku);
        self.contents.entries.variants.push(variant);
        self.contents.variant_places.push(record.place.clone());
    }

    /// The contents, or every mistake.
    pub(super) fn finish(mut self) -> Result<Contents, Vec<Mistake>> {
        let entries = &self.contents.entries;
        if self.mistakes.is_empty() && entries.slots.is_empty() && entries.variants.is_empty() {
            self.mistake(Mistake::new(
                "",
                "the file names neither a slot nor a variant",
            ));
        }
        match self.mistakes.is_empty() {
            true => Ok(self.contents),
            false => Err(self.mistakes),
        }
    }

    fn only(&mut self, record: &Record, known: &[&str]) {
        let others = record
            .fields
            .keys()
            .filter(|name| !known.contains(&name.as_str()));
        let wrong = others.map(|name| Mistake::of(&record.place, name, "does not belong here"));
        self.mistakes.extend(wrong);
    }

    /// A field of a wrong type has been reported; its stand-in may be faulty too, and is not
    /// reported again.
    fn faults(&mut self, record: &Record, before: usize, faults: &[Fault]) {
        let told: Vec<String> = self.mistakes[before..]
            .iter()
            .filter_map(|mistake| mistake.field.clone())
            .collect();
        let new = faults
            .iter()
            .filter(|fault| !told.iter().any(|field| field == fault.field));
        let new = new.map(|fault| Mistake::of(&record.place, fault.field, fault.why));
        self.mistakes.extend(new);
    }

    fn once(&mut self, record: &Record, field: &'static str, key: &str) {
        if key.is_empty() {
            return;
        }
        let place = record.place.clone();
        if let Some(first) = self.seen.insert((field, key.to_owned()), place) {
            let why = format!("is the same as in {first}");
            self.mistakes.push(Mistake::of(&record.place, field, why));
        }
    }

    fn text(&mut self, record: &Record, field: &str) -> String {
        match record.fields.get(field) {
            Some(Value::String(text)) => text.clone(),
            None => self.wrong(record, field, "is missing"),
            Some(_) => self.wrong(record, field, "must be a text"),
        }
    }

    fn number(&mut self, record: &Record, field: &str) -> i64 {
        let number = match record.fields.get(field) {
            None => return self.wrong(record, field, "is missing"),
            Some(Value::String(text)) if record.is_text => whole(text),
            Some(value) => value.as_i64(),
        };
        number.unwrap_or_else(|| self.wrong(record, field, "must be a whole number in bounds"))
    }

    fn moment(&mut self, record: &Record, field: &'static str) -> time::OffsetDateTime {
        let text = self.text(record, field);
        let is_told = text.is_empty();
        parse_moment(field, &text).unwrap_or_else(|fault| {
            if !is_told || record.fields.contains_key(field) {
                self.wrong::<()>(record, field, fault.why);
            }
            time::OffsetDateTime::UNIX_EPOCH
        })
    }

    fn wrong<T: Default>(&mut self, record: &Record, field: &str, why: &str) -> T {
        self.mistakes.push(Mistake::of(&record.place, field, why));
        T::default()
    }
}

/// Digits only: a spreadsheet's `1.000` or `1e3` is not guessed at.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}
