//! What makes two deliveries the same event: Midtrans sends no event id (`midtrans.md` 1.1).

use std::fmt;

use sha2::{Digest, Sha256};

use super::notification::{Notification, Refund};

/// SHA-256 over what distinguishes one event of a transaction from the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey(pub [u8; 32]);

impl EventKey {
    /// The key that a row holds; `None` unless it has 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, as rows hold them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of a notification.
    ///
    /// Statuses count without regard to case and refunds without regard to order; every other
    /// text counts as it is spelled, because that is what was signed.
    pub fn of(notification: &Notification) -> Self {
        Self::hash(
            b"notification",
            notification.order_id.as_deref(),
            notification,
        )
    }

    /// The key of a status answer to a question about a session: never that of a notification,
    /// so that an answer does not swallow the notification that says the same.
    pub fn of_status_answer(session_id: &str, answer: &Notification) -> Self {
        Self::hash(b"status answer", Some(session_id), answer)
    }

    /// The key of an event that is told by other fields: `kind` keeps their values apart from those
    /// of other kinds.
    pub(super) fn of_parts(kind: &[u8], parts: &[Option<&str>]) -> Self {
        let mut hash = Fields(Sha256::new());
        hash.present(kind);
        hash.length(parts.len());
        for part in parts {
            hash.text(*part);
        }
        Self(hash.0.finalize().into())
    }

    fn hash(kind: &[u8], order_id: Option<&str>, n: &Notification) -> Self {
        let lower = |text: &Option<String>| text.as_deref().map(str::to_ascii_lowercase);
        let mut hash = Fields(Sha256::new());
        hash.present(kind);
        hash.text(order_id);
        hash.text(n.transaction_id.as_deref());
        hash.text(lower(&n.transaction_status).as_deref());
        hash.text(lower(&n.fraud_status).as_deref());
        hash.text(n.status_code.as_deref());
        hash.text(n.gross_amount.as_deref());
        hash.text(n.refund_amount.as_deref());
        let refunds = refund_keys(n);
        hash.length(refunds.len());
        for (key, bank_confirmed_at) in refunds {
            hash.text(key);
            hash.text(bank_confirmed_at);
        }
        Self(hash.0.finalize().into())
    }
}

/// The refunds' keys with their confirmation, in one canonical order. A body without the list may
/// still carry the newest key at its top level.
fn refund_keys(n: &Notification) -> Vec<(Option<&str>, Option<&str>)> {
    let mut keys: Vec<_> = n
        .refunds
        .iter()
        .map(|r| (refund_key(r), r.bank_confirmed_at.as_deref()))
        .collect();
    if let (true, Some(key)) = (keys.is_empty(), n.refund_key.as_deref()) {
        keys.push((Some(key), None));
    }
    keys.sort_unstable();
    keys
}

/// A refund that was requested without a key is known by the ids Midtrans gave it.
fn refund_key(refund: &Refund) -> Option<&str> {
    refund
        .refund_key
        .as_deref()
        .or(refund.refund_chargeback_uuid.as_deref())
        .or(refund.refund_chargeback_id.as_deref())
}

/// Every field is written with its length, so that no two lists of fields read alike.
struct Fields(Sha256);

impl Fields {
    fn text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.present(text.as_bytes()),
            None => self.0.update([0]),
        }
    }

    fn present(&mut self, bytes: &[u8]) {
        self.0.update([1]);
        self.length(bytes.len());
        self.0.update(bytes);
    }

    fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_be_bytes());
    }
}

impl fmt::Display for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refund((key, confirmed): (String, Option<String>)) -> Refund {
        Refund {
            refund_key: Some(key),
            bank_confirmed_at: confirmed,
            ..Refund::default()
        }
    }

    fn refunds() -> impl Strategy<Value = Vec<Refund>> {
        let one = ("[a-c]{1,2}", proptest::option::of("[0-9]{1,2}")).prop_map(refund);
        proptest::collection::vec(one, 0..4)
    }

    prop_compose! {
        fn notification()(
            texts in proptest::collection::vec(proptest::option::of("[a-z0-9]{0,3}"), 7),
            refunds in refunds(),
        ) -> Notification {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().flatten();
            Notification {
                order_id: next(),
                transaction_id: next(),
                transaction_status: next(),
                fraud_status: next(),
                status_code: next(),
                gross_amount: next(),
                refund_amount: next(),
                refunds,
                ..Notification::default()
            }
        }
    }

    /// What the key is made of, as a comparable value.
    fn identity(n: &Notification) -> impl PartialEq + use<> {
        let keys: Vec<_> = refund_keys(n)
            .into_iter()
            .map(|(key, at)| (key.map(str::to_owned), at.map(str::to_owned)))
            .collect();
        let n = n.clone();
        (
            (
                n.order_id,
                n.transaction_id,
                n.transaction_status,
                n.fraud_status,
            ),
            (n.status_code, n.gross_amount, n.refund_amount, keys),
        )
    }

    proptest! {
        #[test]
        fn the_order_of_refunds_and_the_case_of_statuses_do_not_count(
            n in notification(),
            rotate in 0_usize..4,
        ) {
            let mut other = n.clone();
            let count = other.refunds.len();
            other.refunds.rotate_left(if count == 0 { 0 } else { rotate % count });
            other.transaction_status = n.transaction_status.as_ref().map(|s| s.to_uppercase());
            other.fraud_status = n.fraud_status.as_ref().map(|s| s.to_uppercase());
            other.status_message = Some("any".to_owned());
            prop_assert_eq!(EventKey::of(&n), EventKey::of(&other));
        }

        #[test]
        fn keys_are_equal_exactly_when_their_fields_are(a in notification(), b in notification()) {
            prop_assert_eq!(identity(&a) == identity(&b), EventKey::of(&a) == EventKey::of(&b));
        }

        #[test]
        fn any_changed_field_changes_the_key(n in notification(), field in 0_usize..9) {
            let mut other = n.clone();
            let change = |text: &mut Option<String>| {
                *text = Some(text.take().map_or_else(String::new, |t| t + "x"));
            };
            match field {
                0 => change(&mut other.order_id),
                1 => change(&mut other.transaction_id),
                2 => change(&mut other.transaction_status),
                3 => change(&mut other.fraud_status),
                4 => change(&mut other.status_code),
                5 => change(&mut other.gross_amount),
                6 => change(&mut other.refund_amount),
                7 => other.refunds.push(refund(("new".to_owned(), None))),
                _ => match other.refunds.first_mut() {
                    Some(refund) => change(&mut refund.bank_confirmed_at),
                    None => other.refunds.push(Refund::default()),
                },
            }
            prop_assert_ne!(EventKey::of(&n), EventKey::of(&other));
        }

        #[test]
        fn a_status_answer_never_has_the_key_of_a_notification(n in notification()) {
            let session = n.order_id.clone().unwrap_or_default();
            prop_assert_ne!(EventKey::of(&n), EventKey::of_status_answer(&session, &n));
        }
    }

    #[test]
    fn text_does_not_move_from_one_field_to_the_next() {
        let split = |a: &str, b: &str| Notification {
            order_id: Some(a.to_owned()),
            transaction_id: Some(b.to_owned()),
            ..Notification::default()
        };
        assert_ne!(
            EventKey::of(&split("ab", "c")),
            EventKey::of(&split("a", "bc"))
        );
        assert_ne!(EventKey::of(&split("", "x")), EventKey::of(&split("x", "")));
    }
}
