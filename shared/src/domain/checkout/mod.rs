//! Checkout: how a customer may pay, and what a request to pay comes to.
//!
//! [`PayMethod`] is what the shop asks for; [`payable`] says whether an order may be paid, and
//! [`plan`] what to do about the payments it already has. Making and ending payments at Midtrans
//! is done elsewhere.

mod method;
mod plan;

pub use method::{Bank, MethodError, PayMethod, Shop};
pub use plan::{Life, MIN_LEFT, NotPayable, OpenSession, OrderToPay, Plan, Target, payable, plan};

use sha2::{Digest as _, Sha256};

/// Midtrans ignores a longer key without a word (`midtrans.md` 4.6).
const LONGEST_KEY: usize = 46;

/// The `Idempotency-Key` of one operation on one session: the same for each try of it, another
/// for each other operation, because keys are global at Midtrans.
pub fn idempotency_key(session_id: &str, operation: &str) -> String {
    let plain = format!("{session_id}-{operation}");
    if plain.len() <= LONGEST_KEY {
        return plain;
    }
    let mut key = hex::encode(Sha256::digest(plain));
    key.truncate(LONGEST_KEY);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_session_is_readable_in_its_key() {
        assert_eq!(idempotency_key("LNS-1-2", "charge"), "LNS-1-2-charge");
    }

    proptest! {
        #[test]
        fn keys_are_short_enough_and_differ_by_session_and_operation(
            a in "[A-Z0-9-]{1,50}", b in "[A-Z0-9-]{1,50}",
        ) {
            let key = idempotency_key(&a, "charge");
            prop_assert!(key.len() <= LONGEST_KEY);
            prop_assert_ne!(&key, &idempotency_key(&a, "cancel"));
            prop_assert_eq!(key == idempotency_key(&b, "charge"), a == b);
        }
    }
}
