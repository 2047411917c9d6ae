//! Letters that died of the same thing have the same fingerprint: the reason, and the cause
//! without what differs from one message to the next.

use sha2::{Digest as _, Sha256};

/// Hexadecimal digits of the cause's hash: enough for the few causes a fleet has.
const DIGITS: usize = 12;
/// More of an error than this only repeats itself.
const CAUSE_LIMIT: usize = 500;

/// The reason's code, and a hash of routing key and normalised cause.
pub(super) fn of(reason: &str, routing_key: &str, cause: Option<&str>) -> String {
    let cause = normalised(cause.unwrap_or_default());
    let hash = Sha256::new()
        .chain_update(routing_key)
        .chain_update([0])
        .chain_update(cause)
        .finalize();
    format!("{reason}-{}", &hex::encode(hash)[..DIGITS])
}

/// The cause with `#` for every word that has a digit in it and `_` for every quoted text, in
/// lower case: ids, amounts, times and values of one message are gone.
fn normalised(cause: &str) -> String {
    let mut text = String::new();
    let mut rest = cause;
    while text.len() < CAUSE_LIMIT {
        let Some(first) = rest.chars().next() else {
            break;
        };
        if matches!(first, '"' | '`' | '\'')
            && let Some(length) = rest[1..].find(first)
        {
            text.push('_');
            rest = &rest[length + 2..];
            continue;
        }
        let word = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        if word == 0 {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(word);
        match word.bytes().any(|byte| byte.is_ascii_digit()) {
            true => text.push('#'),
            false => text.push_str(&word.to_lowercase()),
        }
        rest = after;
    }
    text
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::{normalised, of};

    #[test]
    fn what_differs_between_messages_does_not_count() {
        let a = "storing LNS-2026-7 failed: value \"x9\" at 2026-03-14T09:12:41 violates check";
        let b = "Storing LNS-2027-88 failed: value \"\" at 2026-03-15T00:00:00 violates check";
        assert_eq!(normalised(a), normalised(b));
        assert_eq!(of("r", "k", Some(a)), of("r", "k", Some(b)));
        assert_eq!(
            normalised(a),
            "storing # failed: value _ at #:#:# violates check"
        );
    }

    #[test]
    fn another_cause_reason_or_kind_of_message_is_another_fingerprint() {
        let one = of("retry", "webhook.midtrans", Some("the payment is locked"));
        assert_ne!(
            one,
            of("retry", "webhook.midtrans", Some("the order is locked"))
        );
        assert_ne!(
            one,
            of("retry", "job.alerts", Some("the payment is locked"))
        );
        assert_ne!(one, of("retry", "webhook.midtrans", None));
        assert!(one.starts_with("retry-"), "{one}");
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in ["", "'", "it's", "\"ñ\"", "ñ\"", "``", "a\u{fffd}1 '日本' x"] {
            let _ = normalised(text);
        }
        assert_eq!(normalised("it's ñandú's 1ñ"), "it_s #");
        assert!(normalised(&"word ".repeat(10_000)).len() < 600);
    }
}
