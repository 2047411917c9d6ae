//! What is for sale: slots of events and variants of products, and what they may look like.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The highest price of one piece, in rupiah.
pub const PRICE_MAX: i64 = 999_999_999_999;
/// The most seats of a slot, and pieces of a variant.
pub const COUNT_MAX: i64 = 10_000_000;
/// The longest id, in characters.
pub const ID_MAX: usize = 64;
/// The longest name, in characters.
pub const NAME_MAX: usize = 200;

/// An event's capacity, as an operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name towards programs.
    pub id: String,
    /// Its name towards people.
    pub name: String,
    /// When the event begins: from then on nothing is sold.
    pub starts_at: OffsetDateTime,
    /// How many may come.
    pub capacity: i64,
    /// Rupiah for one.
    pub price: i64,
}

/// A product's stock, as an operator describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name towards programs.
    pub sku: String,
    /// Its name towards people.
    pub name: String,
    /// How many are there, those included that open orders hold.
    pub stock: i64,
    /// Rupiah for one.
    pub price: i64,
}

/// A field that cannot be taken, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Fault {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong, as the end of a sentence that begins with the name.
    pub why: &'static str,
}

impl Slot {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Vec<Fault> {
        let checks = [
            check_id("id", &self.id),
            check_name(&self.name),
            check_start(self.starts_at),
            check_count("capacity", self.capacity),
            check_price(self.price),
        ];
        checks.into_iter().flatten().collect()
    }
}

impl Variant {
    /// Everything that is wrong with it.
    pub fn faults(&self) -> Vec<Fault> {
        let checks = [
            check_id("sku", &self.sku),
            check_name(&self.name),
            check_count("stock", self.stock),
            check_price(self.price),
        ];
        checks.into_iter().flatten().collect()
    }
}

/// Whether a text can be the id of a slot or the SKU of a variant.
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// Reads a moment as RFC 3339 writes it.
///
/// # Errors
/// When it is not one.
pub fn parse_moment(field: &'static str, text: &str) -> Result<OffsetDateTime, Fault> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Fault {
        field,
        why: "must be a time with its offset, as 2026-12-31T19:00:00+07:00",
    })
}

fn fault(field: &'static str, is_right: bool, why: &'static str) -> Option<Fault> {
    (!is_right).then_some(Fault { field, why })
}

fn check_id(field: &'static str, text: &str) -> Option<Fault> {
    fault(
        field,
        is_id(text),
        "must be 1 to 64 of the letters A to Z and a to z, digits, '.', '_' and '-'",
    )
}

fn check_name(text: &str) -> Option<Fault> {
    let length = text.chars().count();
    let is_right = (1..=NAME_MAX).contains(&length)
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control);
    fault("name", is_right, "must be 1 to 200 characters on one line")
}

/// Years in which no offset leads out of what clocks and columns can hold.
fn check_start(at: OffsetDateTime) -> Option<Fault> {
    let first = 946_684_800;
    let last = 253_370_764_799;
    fault(
        "starts_at",
        (first..=last).contains(&at.unix_timestamp()),
        "must be from the year 2000 to 9998",
    )
}

fn check_count(field: &'static str, count: i64) -> Option<Fault> {
    fault(
        field,
        (0..=COUNT_MAX).contains(&count),
        "must be a whole number from 0 to 10000000",
    )
}

fn check_price(price: i64) -> Option<Fault> {
    fault(
        "price",
        (0..=PRICE_MAX).contains(&price),
        "must be a whole number of rupiah from 0 to 999999999999",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot {
            id: "jakarta-2026.07_A".to_owned(),
            name: "Konser Jakarta".to_owned(),
            starts_at: parse_moment("starts_at", "2026-12-31T19:00:00+07:00").unwrap(),
            capacity: COUNT_MAX,
            price: PRICE_MAX,
        }
    }

    #[test]
    fn what_is_right_has_no_fault_up_to_the_bounds() {
        assert_eq!(slot().faults(), []);
        let free = Slot {
            capacity: 0,
            price: 0,
            ..slot()
        };
        assert_eq!(free.faults(), []);
    }

    #[test]
    fn every_fault_is_found_at_once_and_names_its_field() {
        let wrong = Slot {
            id: "a b".to_owned(),
            name: " ".to_owned(),
            starts_at: OffsetDateTime::UNIX_EPOCH,
            capacity: COUNT_MAX + 1,
            price: -1,
        };
        let fields: Vec<_> = wrong.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["id", "name", "starts_at", "capacity", "price"]);
        let wrong = Variant {
            sku: String::new(),
            name: "a\nb".to_owned(),
            stock: -1,
            price: PRICE_MAX + 1,
        };
        let fields: Vec<_> = wrong.faults().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["sku", "name", "stock", "price"]);
    }

    #[test]
    fn moments_at_the_edge_of_time_are_refused() {
        for text in [
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
        ] {
            let starts_at = parse_moment("starts_at", text).unwrap();
            assert_eq!(
                Slot {
                    starts_at,
                    ..slot()
                }
                .faults()
                .len(),
                1,
                "{text}"
            );
        }
        for text in [
            "",
            "2026-12-31",
            "2026-12-31T19:00:00",
            "31/12/2026",
            "soon",
        ] {
            assert!(parse_moment("starts_at", text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_plain_and_short() {
        for id in ["a", "A.b_c-9", &"x".repeat(64)] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "a/b", "a b", "é", "a\0", &"x".repeat(65)] {
            assert!(!is_id(id), "{id}");
        }
    }
}
