//! What a customer wants: checked, lines of the same ware put together, and with a fingerprint
//! that tells a repeated request from another one.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::catalog::{COUNT_MAX, is_id};
use super::rupiah::Rupiah;

/// The most lines of an order.
pub const LINES_MAX: usize = 100;
/// The longest user id and idempotency key, in characters.
pub const TEXT_MAX: usize = 200;

/// Something that can be ordered. Tickets come before products, each by its key: the order in
/// which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ware {
    /// Admission to a slot.
    Ticket(String),
    /// A piece of a variant.
    Product(String),
}

impl Ware {
    /// The word of `order_items.kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ticket(_) => "ticket",
            Self::Product(_) => "product",
        }
    }

    /// The slot's id or the variant's SKU.
    pub fn key(&self) -> &str {
        match self {
            Self::Ticket(key) | Self::Product(key) => key,
        }
    }
}

/// So many of one ware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub ware: Ware,
    /// How many.
    pub quantity: i64,
}

/// A request for an order that can be looked at further: who, what, and under which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    user_id: String,
    key: String,
    lines: Vec<Line>,
}

/// Why a request cannot be an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CartFault {
    /// The customer's id.
    #[error("user_id must be 1 to 200 characters on one line")]
    UserId,
    /// The idempotency key.
    #[error("the idempotency key must be 1 to 200 characters on one line")]
    Key,
    /// Nothing is wanted.
    #[error("items must not be empty")]
    NoLines,
    /// More than [`LINES_MAX`].
    #[error("items may be 100 at most")]
    TooManyLines,
    /// The id of the slot or the SKU of a line.
    #[error("the id of an item must be 1 to 64 letters, digits, '.', '_' and '-'")]
    WareKey {
        /// Which line, from 0.
        line: usize,
    },
    /// How many of one ware, in one line or in all lines that name it.
    #[error("the quantity of a ware must be from 1 to 10000000")]
    Quantity {
        /// Which line, from 0.
        line: usize,
    },
}

/// Why an order has no total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TotalFault {
    /// More than [`Rupiah::MAX`].
    #[error("the order's total is more than can be paid")]
    TooLarge,
    /// Nothing could ever be paid, so the order would never be fulfilled.
    #[error("the order's total is zero, and nothing can be paid")]
    Zero,
}

impl Cart {
    /// Checks a request. Lines that name the same ware become one.
    ///
    /// # Errors
    /// The first [`CartFault`].
    pub fn new(user_id: &str, key: &str, lines: Vec<Line>) -> Result<Self, CartFault> {
        if !is_text(user_id) {
            return Err(CartFault::UserId);
        }
        if !is_text(key) {
            return Err(CartFault::Key);
        }
        match lines.len() {
            0 => return Err(CartFault::NoLines),
            1..=LINES_MAX => {}
            _ => return Err(CartFault::TooManyLines),
        }
        let mut merged: BTreeMap<Ware, i64> = BTreeMap::new();
        for (at, line) in lines.into_iter().enumerate() {
            if !is_id(line.ware.key()) {
                return Err(CartFault::WareKey { line: at });
            }
            let sum = merged.entry(line.ware).or_default();
            *sum = sum.saturating_add(line.quantity.max(0));
            if line.quantity < 1 || *sum > COUNT_MAX {
                return Err(CartFault::Quantity { line: at });
            }
        }
        let lines = merged.into_iter();
        Ok(Self {
            user_id: user_id.to_owned(),
            key: key.to_owned(),
            lines: lines
                .map(|(ware, quantity)| Line { ware, quantity })
                .collect(),
        })
    }

    /// The customer.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Under which the customer may repeat the request.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wanted, each ware once, in the order in which rows are locked.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The same for two requests exactly when they want the same for the same customer: neither
    /// the order of the lines nor the spelling of the JSON counts.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            // The length first: no two lists of texts run into the same bytes.
            hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(&self.user_id);
        for line in &self.lines {
            add(line.ware.kind());
            add(line.ware.key());
            add(&line.quantity.to_string());
        }
        hash.finalize().into()
    }

    /// What the order costs at these prices, one for each line.
    ///
    /// # Errors
    /// When the sum cannot be paid.
    pub fn total(&self, prices: &[i64]) -> Result<Rupiah, TotalFault> {
        let mut sum: i64 = 0;
        for (line, price) in self.lines.iter().zip(prices) {
            let cost = line.quantity.checked_mul(*price);
            sum = cost
                .and_then(|cost| sum.checked_add(cost))
                .filter(|sum| *sum <= Rupiah::MAX.get())
                .ok_or(TotalFault::TooLarge)?;
        }
        match sum {
            0 => Err(TotalFault::Zero),
            sum => Ok(Rupiah::new(sum)),
        }
    }
}

/// A name that somebody else gave: any characters of one line.
fn is_text(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.chars().count())
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ticket(key: &str, quantity: i64) -> Line {
        Line {
            ware: Ware::Ticket(key.to_owned()),
            quantity,
        }
    }

    fn product(key: &str, quantity: i64) -> Line {
        Line {
            ware: Ware::Product(key.to_owned()),
            quantity,
        }
    }

    fn cart(lines: Vec<Line>) -> Result<Cart, CartFault> {
        Cart::new("user-1", "key-1", lines)
    }

    #[test]
    fn lines_of_one_ware_become_one_and_stand_in_the_order_of_locks() {
        let cart = cart(vec![
            product("a", 1),
            ticket("b", 2),
            ticket("a", 1),
            product("a", 4),
        ]);
        let wanted = [ticket("a", 1), ticket("b", 2), product("a", 5)];
        assert_eq!(cart.unwrap().lines(), wanted);
    }

    #[test]
    fn each_way_of_being_no_order_has_its_name() {
        let cases = [
            (vec![], CartFault::NoLines),
            (vec![ticket("a", 1); 101], CartFault::TooManyLines),
            (
                vec![ticket("a", 1), ticket("b", 0)],
                CartFault::Quantity { line: 1 },
            ),
            (vec![ticket("a", -3)], CartFault::Quantity { line: 0 }),
            (vec![ticket("a", i64::MIN)], CartFault::Quantity { line: 0 }),
            (
                vec![ticket("a", COUNT_MAX + 1)],
                CartFault::Quantity { line: 0 },
            ),
            (
                vec![ticket("a", COUNT_MAX), ticket("a", 1)],
                CartFault::Quantity { line: 1 },
            ),
            (
                vec![ticket("a", i64::MAX), ticket("a", i64::MAX)],
                CartFault::Quantity { line: 0 },
            ),
            (vec![ticket("a b", 1)], CartFault::WareKey { line: 0 }),
        ];
        for (lines, fault) in cases {
            assert_eq!(cart(lines), Err(fault));
        }
        assert!(cart(vec![ticket("a", 1); 100]).is_ok());
        for text in ["", " ", "a\nb", "a\0", &"x".repeat(201)] {
            let lines = vec![ticket("a", 1)];
            assert_eq!(Cart::new(text, "k", lines.clone()), Err(CartFault::UserId));
            assert_eq!(Cart::new("u", text, lines), Err(CartFault::Key));
        }
    }

    #[test]
    fn a_total_is_exact_or_refused() {
        let cart = cart(vec![ticket("a", 2), product("b", COUNT_MAX)]).unwrap();
        assert_eq!(cart.total(&[150_000, 7]), Ok(Rupiah::new(70_300_000)));
        assert_eq!(cart.total(&[0, 0]), Err(TotalFault::Zero));
        assert_eq!(cart.total(&[0, 999_999_999_999]), Err(TotalFault::TooLarge));
        assert_eq!(cart.total(&[0, i64::MAX]), Err(TotalFault::TooLarge));
    }

    #[test]
    fn another_wish_has_another_fingerprint() {
        let one = |user: &str, lines| Cart::new(user, "k", lines).unwrap().fingerprint();
        let first = one("u", vec![ticket("ab", 1)]);
        for (user, lines) in [
            ("v", vec![ticket("ab", 1)]),
            ("u", vec![product("ab", 1)]),
            ("u", vec![ticket("a", 1)]),
            ("u", vec![ticket("ab", 11)]),
            ("u", vec![ticket("ab", 1), ticket("b", 1)]),
        ] {
            assert_ne!(one(user, lines), first);
        }
    }

    proptest! {
        #[test]
        fn the_order_of_lines_does_not_count(
            mut lines in prop::collection::vec(("[ab]{1,2}", 1_i64..9, any::<bool>()), 1..20),
            seed in any::<u64>(),
        ) {
            let of = |lines: &[(String, i64, bool)]| {
                let lines = lines.iter().map(|(key, n, is_ticket)| match is_ticket {
                    true => ticket(key, *n),
                    false => product(key, *n),
                });
                cart(lines.collect()).unwrap().fingerprint()
            };
            let before = of(&lines);
            let turn = usize::try_from(seed % 20).unwrap() % lines.len();
            lines.rotate_left(turn);
            prop_assert_eq!(of(&lines), before);
        }
    }
}
