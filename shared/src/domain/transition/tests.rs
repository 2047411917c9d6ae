//! The table, cell by cell, as a picture, and the properties that convergence rests on.

use super::super::status::{FraudStatus, TransactionStatus};
use super::*;

/// One character per pair: `+` advance, `.` same, `-` stale, `?` confirm.
fn picture(rail: Rail) -> String {
    let symbol = |from, to| match edge(Some(from), to, rail) {
        Edge::Advance => '+',
        Edge::Same => '.',
        Edge::Stale => '-',
        Edge::Confirm => '?',
    };
    let row = |from| {
        TransactionState::ALL
            .map(|to| symbol(from, to))
            .iter()
            .collect::<String>()
    };
    TransactionState::ALL
        .map(|from| format!("{:<18}{}\n", format!("{from:?}"), row(from)))
        .concat()
}

const CARD_TABLE: &str = "\
Created           .++++++????????
Pending           -.+++++?+++????
Authorize         --.?+?+?++?????
Challenge         --?.+?+?+??????
Capture           ----.+??+??????
Settlement        -----.?????++++
Deny              ----??.????????
Reversed          ???????.???????
Cancel            -----???.??????
Expire            ---??????.?????
Failure           --????????.????
PartialRefund     ------?????.+??
Refund            -----??????-.??
PartialChargeback ------???????.+
Chargeback        -----????????-.
";

const REVERSING_TABLE: &str = "\
Created           .+???+++???????
Pending           -.???++++++????
Authorize         ??.????????????
Challenge         ???.???????????
Capture           ????.??????????
Settlement        --???.?+???????
Deny              --????.????????
Reversed          --???-?.???????
Cancel            --??????.??????
Expire            --???????.?????
Failure           --????????.????
PartialRefund     ???????????.???
Refund            ????????????.??
PartialChargeback ?????????????.?
Chargeback        ??????????????.
";

const OTHER_TABLE: &str = "\
Created           .++?+++????????
Pending           -.+??++?+++????
Authorize         --.?+?+?++?????
Challenge         ???.???????????
Capture           ---?.+??+??????
Settlement        ---?-.?????++??
Deny              ---???.????????
Reversed          ???????.???????
Cancel            ---?-???.??????
Expire            ---??????.?????
Failure           --????????.????
PartialRefund     ---?--?????.+??
Refund            ---?-??????-.??
PartialChargeback ?????????????.?
Chargeback        ??????????????.
";

/// Columns stand in the order of the rows.
#[test]
fn every_pair_on_every_rail_is_what_the_picture_shows() {
    for rail in Rail::ALL {
        let expected = match rail {
            Rail::Card => CARD_TABLE,
            Rail::PermataVa | Rail::MandiriBill | Rail::Indomaret => REVERSING_TABLE,
            Rail::Other => OTHER_TABLE,
        };
        assert_eq!(picture(rail), expected, "{rail:?}");
    }
}

#[test]
fn a_transaction_nobody_knew_is_like_a_created_one() {
    for rail in Rail::ALL {
        for to in TransactionState::ALL {
            let known = edge(Some(Created), to, rail);
            assert_eq!(edge(None, to, rail), known, "{to:?} on {rail:?}");
        }
    }
}

/// What convergence rests on: forward is never called stale, backward is never trusted, and no
/// walk along the graph comes back to where it was.
#[test]
fn along_the_graph_forward_is_never_stale_and_backward_never_trusted() {
    for rail in Rail::ALL {
        for from in TransactionState::ALL {
            assert!(!leads_to(from, from, rail), "{from:?} on {rail:?}");
            for to in TransactionState::ALL
                .into_iter()
                .filter(|to| leads_to(from, *to, rail))
            {
                let (forward, back) = (edge(Some(from), to, rail), edge(Some(to), from, rail));
                assert!(
                    matches!(forward, Edge::Advance | Edge::Confirm),
                    "{from:?} {to:?}"
                );
                assert!(
                    matches!(back, Edge::Stale | Edge::Confirm),
                    "{to:?} {from:?}"
                );
            }
        }
    }
}

#[test]
fn what_is_neither_listed_nor_behind_is_confirmed() {
    for rail in Rail::ALL {
        for from in TransactionState::ALL {
            for to in TransactionState::ALL {
                let listed = LISTED
                    .iter()
                    .any(|(a, b, on)| (*a, *b) == (from, to) && on.contains(&rail));
                if from != to && !listed && !leads_to(to, from, rail) {
                    assert_eq!(edge(Some(from), to, rail), Edge::Confirm);
                }
            }
        }
    }
    for (from, to) in SURPRISING {
        for rail in Rail::ALL {
            assert_eq!(edge(Some(*from), *to, rail), Edge::Confirm);
        }
    }
}

#[test]
fn fraud_and_rail_decide_what_a_status_means() {
    let fraud = FraudStatus::parse;
    let state = |status: &str, verdict: Option<&str>, rail| {
        let verdict = verdict.map(fraud);
        TransactionState::of(&TransactionStatus::parse(status), verdict.as_ref(), rail)
    };
    for (status, verdict, rail, expected) in [
        ("capture", Some("accept"), Rail::Card, Some(Capture)),
        ("capture", None, Rail::Card, Some(Capture)),
        ("capture", Some("challenge"), Rail::Card, Some(Challenge)),
        ("capture", Some("denied"), Rail::Card, Some(Deny)),
        ("SETTLEMENT", None, Rail::Indomaret, Some(Settlement)),
        ("settlement", Some("challenge"), Rail::Card, Some(Challenge)),
        ("settlement", Some("odd"), Rail::Other, Some(Challenge)),
        ("settlement", Some("deny"), Rail::Other, Some(Deny)),
        ("settlement", Some("deny"), Rail::PermataVa, Some(Reversed)),
        ("deny", Some("accept"), Rail::Card, Some(Deny)),
        ("deny", None, Rail::MandiriBill, Some(Reversed)),
        ("deny", None, Rail::Indomaret, Some(Reversed)),
        ("deny", None, Rail::Other, Some(Deny)),
        ("expired", None, Rail::Other, None),
    ] {
        assert_eq!(
            state(status, verdict, rail),
            expected,
            "{status} {verdict:?} {rail:?}"
        );
    }
}

#[test]
fn rails_are_read_from_method_and_channel() {
    for (method, channel, rail) in [
        (Some("credit_card"), Some("bni"), Rail::Card),
        (Some("bank_transfer"), Some("permata"), Rail::PermataVa),
        (Some("bank_transfer"), Some("bca"), Rail::Other),
        (Some("echannel"), Some("mandiri"), Rail::MandiriBill),
        (Some("cstore"), Some("Indomaret"), Rail::Indomaret),
        (Some("cstore"), Some("alfamart"), Rail::Other),
        (Some("qris"), Some("indomaret"), Rail::Other),
        (None, None, Rail::Other),
    ] {
        assert_eq!(Rail::of(method, channel), rail, "{method:?} {channel:?}");
    }
}

#[test]
fn words_of_states_are_midtrans_words() {
    for state in TransactionState::ALL {
        let read =
            TransactionState::of(&TransactionStatus::parse(state.as_str()), None, Rail::Card);
        let expected = match state {
            Challenge => Capture,
            Reversed => Deny,
            other => other,
        };
        assert_eq!(read, Some(expected));
        assert!(!(state.is_paid() && state.is_alive()));
    }
}
