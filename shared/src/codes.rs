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

/// So many characters, each equally likely.
pub fn draw(length: usize) -> String {
    (0..length)
        .map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

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
