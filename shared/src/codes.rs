//! Codes that people read, type and show: drawn at random, so that nobody can guess one.

/// No letter or digit that looks like another: no 0 and O, no 1, I and L, no U beside V.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What a ticket admits by: 24 characters, 117 bits.
pub fn ticket() -> String {
    draw(24)
}

/// What a customer says at the counter: 8 characters, 39 bits; it opens nothing without the goods'
/// owner standing there, and is unique among all orders.
pub fn pickup() -> String {
    draw(8)
}

/// The shop's name of an order: 16 characters behind the prefix, 78 bits. It is also the id of its
/// first payment session, and never ends in something that reads as the number of a later one.
pub fn order(prefix: &str) -> String {
    format!("{prefix}-{}", draw(16))
}

/// So many characters, each equally likely.
pub fn draw(length: usize) -> String {
    (0..length)
        .map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::LinkHints;
    use crate::domain::linking::{Candidate, SessionOrigin, candidates, session_id};

    proptest! {
        #[test]
        fn an_order_code_is_a_session_id_of_its_own_and_of_no_other_order(
            prefix in "[A-Z0-9]{1,10}",
            attempt in 2_u32..10_000,
        ) {
            let code = order(&prefix);
            prop_assert!(code.len() <= 40);
            prop_assert!(code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            let named = |session: &str| {
                candidates(session, &LinkHints::default(), SessionOrigin::Webhook)
                    .into_iter()
                    .filter(|candidate| matches!(candidate, Candidate::Code(_)))
                    .collect::<Vec<_>>()
            };
            prop_assert_eq!(named(&code), [Candidate::Code(code.clone())]);
            let later = session_id(&code, attempt);
            prop_assert!(later.len() <= 50);
            prop_assert_eq!(named(&later), [Candidate::Code(later.clone()), Candidate::Code(code)]);
        }
    }

    #[test]
    fn codes_have_their_length_and_nothing_that_is_mistaken_for_another() {
        let drawn: HashSet<String> = (0..1_000).map(|_| ticket()).collect();
        assert_eq!(drawn.len(), 1_000);
        for code in drawn.iter().cloned().chain((0..100).map(|_| pickup())) {
            assert!(code.len() == 24 || code.len() == 8, "{code}");
            assert!(!code.contains(['0', 'O', '1', 'I', 'L', 'U']), "{code}");
        }
    }
}
