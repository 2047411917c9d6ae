//! Strict walking over JSON that nobody reads: what verification, decoding and storing agree to
//! call JSON.
//!
//! `serde_json` skips ignored values without looking into them: no depth limit, no check of
//! escapes or numbers. A body accepted like that could fail later, in the decoder or in the
//! database, after Midtrans was told 200. [`Skipped`] reads everything, bounded by the parser's
//! limit of 128 levels, and allocates nothing.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value that was read completely and thrown away.
pub(super) struct Skipped;

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SkipVisitor)
    }
}

/// The same for an object and nothing else. A derived reader of a struct would take an array too,
/// field by field.
pub(super) struct SkippedObject;

impl<'de> Deserialize<'de> for SkippedObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for a map, the parser refuses every other value before it reads it; the visitor
        // could take any.
        deserializer.deserialize_map(SkipVisitor).map(|_| Self)
    }
}

struct SkipVisitor;

impl<'de> Visitor<'de> for SkipVisitor {
    type Value = Skipped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Skipped, E> {
        Ok(Skipped)
    }

    /// PostgreSQL stores no NUL character, neither in `text` nor in `jsonb`.
    fn visit_str<E: Error>(self, text: &str) -> Result<Skipped, E> {
        if text.as_bytes().contains(&0) {
            return Err(E::custom("a NUL character"));
        }
        Ok(Skipped)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Skipped, A::Error> {
        while items.next_element::<Skipped>()?.is_some() {}
        Ok(Skipped)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Skipped, A::Error> {
        while entries.next_entry::<Skipped, Skipped>()?.is_some() {}
        Ok(Skipped)
    }
}
