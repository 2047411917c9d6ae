//! Whole rupiah, and the one door from the wire's decimal text to them.
//!
//! Knows nothing of other currencies: those are refused where a notification is decoded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in whole rupiah.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Rupiah(i64);

/// Why a text is not an amount of whole rupiah.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RupiahError {
    /// Not digits with at most one point between them.
    #[error("not an amount")]
    NotAnAmount,
    /// The part behind the point is not zero; amounts are never rounded.
    #[error("a fraction of a rupiah")]
    Fraction,
    /// The amount is below zero.
    #[error("a negative amount")]
    Negative,
    /// More than [`Rupiah::MAX`].
    #[error("more rupiah than can be booked")]
    TooLarge,
}

impl Rupiah {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest amount the wire may carry: a thousand billions, so that sums of many rows
    /// still fit into 64 bits.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// An amount that is already a whole number of rupiah.
    pub const fn new(rupiah: i64) -> Self {
        Self(rupiah)
    }

    /// The whole number of rupiah.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads the wire's spelling, `"150000.00"`; also without or with more decimals, as long as
    /// they are all zero (`midtrans.md` 1.2 and 1.10).
    ///
    /// # Errors
    /// One [`RupiahError`] for each way the text can fail to be whole rupiah.
    pub fn parse_wire(text: &str) -> Result<Self, RupiahError> {
        let (digits, negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        if !all_digits(whole) || fraction.is_some_and(|f| !all_digits(f)) {
            return Err(RupiahError::NotAnAmount);
        }
        if fraction.is_some_and(|f| f.bytes().any(|b| b != b'0')) {
            return Err(RupiahError::Fraction);
        }
        let significant = whole.trim_start_matches('0');
        if negative && !significant.is_empty() {
            return Err(RupiahError::Negative);
        }
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        match significant.parse::<i64>() {
            Ok(rupiah) if rupiah <= Self::MAX.0 => Ok(Self(rupiah)),
            Ok(_) | Err(_) => Err(RupiahError::TooLarge),
        }
    }

    /// The wire's spelling, with two decimals.
    pub fn wire(self) -> String {
        format!("{}.00", self.0)
    }

    /// The sum, or `None` where 64 bits do not hold it.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Rupiah {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_of_not_being_rupiah_has_its_name() {
        use RupiahError::{Fraction, Negative, NotAnAmount, TooLarge};
        let cases = [
            ("", NotAnAmount),
            (".", NotAnAmount),
            (".00", NotAnAmount),
            ("150000.", NotAnAmount),
            ("1.2.3", NotAnAmount),
            ("+1", NotAnAmount),
            (" 1", NotAnAmount),
            ("1e5", NotAnAmount),
            ("150,000.00", NotAnAmount),
            ("١٢", NotAnAmount),
            ("--1", NotAnAmount),
            ("0.01", Fraction),
            ("150000.50", Fraction),
            ("-0.5", Fraction),
            ("-1", Negative),
            ("-150000.00", Negative),
            ("1000000000000000.00", TooLarge),
            ("99999999999999999999999999", TooLarge),
        ];
        for (text, expected) in cases {
            assert_eq!(Rupiah::parse_wire(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn zero_decimals_of_any_number_are_accepted() {
        for text in ["150000", "150000.0", "150000.00", "0150000.000"] {
            assert_eq!(
                Rupiah::parse_wire(text),
                Ok(Rupiah::new(150_000)),
                "{text:?}"
            );
        }
        assert_eq!(Rupiah::parse_wire("-0.00"), Ok(Rupiah::ZERO));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(amount in 0..=Rupiah::MAX.get()) {
            let rupiah = Rupiah::new(amount);
            prop_assert_eq!(Rupiah::parse_wire(&rupiah.wire()), Ok(rupiah));
            prop_assert_eq!(Rupiah::parse_wire(&rupiah.to_string()), Ok(rupiah));
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in ".*") {
            if let Ok(rupiah) = Rupiah::parse_wire(&text) {
                prop_assert!(rupiah >= Rupiah::ZERO && rupiah <= Rupiah::MAX);
            }
        }
    }
}
