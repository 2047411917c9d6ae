//! Which order may a session belong to? The candidates in the order in which they are tried
//! (design 4.2); looking them up is the store's.

use super::observation::LinkHints;

/// Where a payment session comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionOrigin {
    /// Our own checkout made it.
    Checkout,
    /// A notification or an import brought it.
    Webhook,
}

impl SessionOrigin {
    /// The word of `payments.origin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Webhook => "webhook",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Checkout, Self::Webhook]
            .into_iter()
            .find(|origin| origin.as_str() == word)
    }
}

/// One way to find the order; the first that finds one wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// The order that `payments.order_id` names.
    PaymentOrder,
    /// The order whose code or id this is.
    CodeOrId(String),
    /// The order whose `session_id` is the session.
    OrderSession,
    /// The order whose code this is.
    Code(String),
}

/// The candidates for a session. The merchant's fields are not signed, so they never link a
/// payment that checkout made: without an order it was meant to stay alone.
pub fn candidates(session_id: &str, hints: &LinkHints, origin: SessionOrigin) -> Vec<Candidate> {
    let mut found = vec![Candidate::PaymentOrder];
    if origin == SessionOrigin::Webhook {
        let named = [&hints.metadata_order_id, &hints.custom_field1];
        let named = named.into_iter().flatten().filter(|text| !text.is_empty());
        found.extend(named.cloned().map(Candidate::CodeOrId));
    }
    found.push(Candidate::OrderSession);
    found.push(Candidate::Code(session_id.to_owned()));
    if let Some((code, _)) = split_attempt(session_id) {
        found.push(Candidate::Code(code.to_owned()));
    }
    found
}

/// What says that a session belongs to an order, for people: the first candidate that names it.
pub fn reason(
    session_id: &str,
    hints: &LinkHints,
    order_id: i64,
    order_code: &str,
    order_session: Option<&str>,
) -> &'static str {
    let found = candidates(session_id, hints, SessionOrigin::Webhook)
        .into_iter()
        .find_map(|candidate| match candidate {
            Candidate::PaymentOrder => None,
            Candidate::CodeOrId(text) => {
                let named = text == order_code || text.parse() == Ok(order_id);
                named.then_some("the merchant's own field names the order")
            }
            Candidate::OrderSession => {
                (order_session == Some(session_id)).then_some("the order names the session")
            }
            Candidate::Code(code) => {
                (code == order_code).then_some("the session's id is made of the order's code")
            }
        });
    found.unwrap_or("the look-up found it")
}

/// The id of the n-th session of an order, counted from 1.
pub fn session_id(order_code: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => order_code.to_owned(),
        n => format!("{order_code}-{n}"),
    }
}

/// Which session of an order this one is, counted from 1; `None` when its id is not of the order.
pub fn attempt_of(order_code: &str, session_id: &str) -> Option<u32> {
    if session_id == order_code {
        return Some(1);
    }
    let (code, attempt) = split_attempt(session_id)?;
    (code == order_code).then_some(attempt)
}

/// Takes `-<n>` off the end. Only a number that [`session_id`] could have written is one: not
/// below 2, without leading zeros, of at most four digits, so that a date or a running number
/// inside a code is seldom mistaken for it.
fn split_attempt(session_id: &str) -> Option<(&str, u32)> {
    let (code, number) = session_id.rsplit_once('-')?;
    let digits =
        !number.is_empty() && number.len() <= 4 && number.bytes().all(|b| b.is_ascii_digit());
    if code.is_empty() || !digits || number.starts_with('0') {
        return None;
    }
    let attempt: u32 = number.parse().ok()?;
    (attempt >= 2).then_some((code, attempt))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hints() -> LinkHints {
        LinkHints {
            metadata_order_id: Some("LNS-A".to_owned()),
            custom_field1: Some("web".to_owned()),
        }
    }

    #[test]
    fn a_session_from_a_notification_tries_everything_in_order() {
        let found = candidates("LNS-B-2", &hints(), SessionOrigin::Webhook);
        assert_eq!(
            found,
            [
                Candidate::PaymentOrder,
                Candidate::CodeOrId("LNS-A".to_owned()),
                Candidate::CodeOrId("web".to_owned()),
                Candidate::OrderSession,
                Candidate::Code("LNS-B-2".to_owned()),
                Candidate::Code("LNS-B".to_owned()),
            ]
        );
    }

    #[test]
    fn the_reason_is_the_first_candidate_that_names_the_order() {
        let of = |hints: &LinkHints, code, session| reason("LNS-B-2", hints, 7, code, session);
        let none = LinkHints::default();
        assert!(of(&hints(), "LNS-A", None).contains("merchant"));
        assert!(of(&none, "X", Some("LNS-B-2")).contains("order names"));
        assert!(of(&none, "LNS-B", Some("other")).contains("made of"));
        let by_id = LinkHints {
            metadata_order_id: Some("7".to_owned()),
            custom_field1: None,
        };
        assert!(of(&by_id, "X", None).contains("merchant"));
    }

    #[test]
    fn a_session_of_checkout_is_never_linked_by_unsigned_fields() {
        let found = candidates("LNS-B", &hints(), SessionOrigin::Checkout);
        assert!(
            !found.iter().any(|c| matches!(c, Candidate::CodeOrId(_))),
            "{found:?}"
        );
    }

    #[test]
    fn numbers_that_no_attempt_has_stay_part_of_the_code() {
        for id in [
            "LNS-1",
            "LNS-0",
            "LNS-02",
            "INV-20260314-000871",
            "LNS-20260314",
            "LNS-",
            "-2",
            "2",
        ] {
            assert_eq!(split_attempt(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn every_attempt_leads_back_to_its_order(code in "[A-Z]{3}-[A-Z0-9]{1,8}", n in 1_u32..9999) {
            let session = session_id(&code, n);
            let found = candidates(&session, &LinkHints::default(), SessionOrigin::Webhook);
            prop_assert_eq!(attempt_of(&code, &session), Some(n));
            prop_assert!(found.contains(&Candidate::Code(code)));
        }
    }
}
