//! Policy, authority and amounts. That every order of arrival ends alike is tested in
//! `domain/convergence.rs`.

use time::Duration;

use super::super::fixtures::observation;
use super::super::status::TransactionStatus;
use super::TransactionState::{
    Cancel, Capture, Deny, Expire, PartialRefund, Pending, Refund, Reversed, Settlement,
};
use super::*;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn known(state: TransactionState, rail: Rail) -> Known {
    let gross_amount = Rupiah::new(150_000);
    Known {
        state,
        rail,
        gross_amount,
        refunded: Rupiah::ZERO,
        as_of: Some(START),
    }
}

fn seen(state: TransactionState, rail: Rail) -> Observation {
    let mut seen = observation(state, rail);
    seen.received_at = START + Duration::minutes(1);
    seen
}

/// What a notification does, as one word.
fn word(
    from: Option<TransactionState>,
    to: TransactionState,
    rail: Rail,
    policy: ConfirmPolicy,
) -> &'static str {
    let current = from.map(|state| known(state, rail));
    match decide(current.as_ref(), &seen(to, rail), policy, false) {
        Decision::Apply(next) => {
            assert_eq!(next.state, to);
            "apply"
        }
        Decision::Same => "same",
        Decision::Stale(reason) => reason.as_str(),
        Decision::Confirm => "confirm",
    }
}

/// From, to, rail; then what a notification does under `risky`, `always` and `never`.
const POLICIES: &str = "\
-           Pending            Other         apply    apply    apply
-           Settlement         Other         apply    confirm  apply
-           Capture            Card          apply    confirm  apply
-           Challenge          Card          apply    apply    apply
-           Refund             Other         confirm  confirm  unlisted
-           Expire             Other         confirm  confirm  unlisted
Created     Pending            Card          apply    apply    apply
Pending     Settlement         Other         apply    confirm  apply
Pending     Expire             Other         apply    apply    apply
Pending     Cancel             Other         apply    apply    apply
Pending     Failure            Card          apply    apply    apply
Pending     Refund             Other         confirm  confirm  unlisted
Challenge   Capture            Card          apply    confirm  apply
Challenge   Deny               Card          apply    apply    apply
Authorize   Capture            Card          confirm  confirm  apply
Authorize   Settlement         Card          confirm  confirm  unlisted
Authorize   Cancel             Card          apply    apply    apply
Capture     Settlement         Card          apply    apply    apply
Capture     Cancel             Card          confirm  confirm  apply
Settlement  Refund             Other         confirm  confirm  apply
Settlement  PartialRefund      Other         confirm  confirm  apply
Settlement  Chargeback         Card          confirm  confirm  apply
Settlement  PartialChargeback  Card          confirm  confirm  apply
Settlement  Chargeback         Other         confirm  confirm  unlisted
Settlement  Deny               Other         confirm  confirm  unlisted
Settlement  Reversed           PermataVa     confirm  confirm  apply
Pending     Reversed           PermataVa     apply    apply    apply
-           Reversed           Indomaret     apply    apply    apply
Reversed    Settlement         MandiriBill   earlier  earlier  earlier
Settlement  Pending            Other         earlier  earlier  earlier
Settlement  Settlement         Other         same     same     same
Expire      Settlement         Other         confirm  confirm  unlisted
Cancel      Settlement         Card          confirm  confirm  unlisted
Refund      Settlement         Other         confirm  confirm  unlisted
Chargeback  Settlement         Card          confirm  confirm  unlisted
Refund      Capture            Card          earlier  earlier  earlier
";

fn state_named(name: &str) -> Option<TransactionState> {
    TransactionState::ALL
        .into_iter()
        .find(|state| format!("{state:?}") == name)
}

#[test]
fn each_policy_trusts_what_it_should() {
    for line in POLICIES.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [from, to, rail, expected @ ..] = fields.as_slice() else {
            panic!("{line}");
        };
        let rail = Rail::ALL
            .into_iter()
            .find(|r| format!("{r:?}") == *rail)
            .unwrap();
        let (from, to) = (state_named(from), state_named(to).unwrap());
        let policies = [
            ConfirmPolicy::Risky,
            ConfirmPolicy::Always,
            ConfirmPolicy::Never,
        ];
        assert_eq!(
            policies.map(|policy| word(from, to, rail, policy)),
            *expected,
            "{line}"
        );
    }
}

#[test]
fn without_being_asked_the_status_api_nothing_paid_goes_down_and_nothing_unlisted_happens() {
    for rail in Rail::ALL {
        for from in TransactionState::ALL {
            for to in TransactionState::ALL {
                let applied = word_of(from, to, rail) == Some("apply");
                let listed = edge(Some(from), to, rail) == Edge::Advance;
                let down = from.is_paid() && !to.is_paid();
                assert!(
                    !applied || (listed && !down),
                    "{from:?} to {to:?} on {rail:?}"
                );
            }
        }
    }
}

/// As [`word`] under the default policy; `None` where the rail has no such state.
fn word_of(from: TransactionState, to: TransactionState, rail: Rail) -> Option<&'static str> {
    let read = TransactionState::of(
        &TransactionStatus::parse(to.as_str()),
        seen(to, rail).fraud.as_ref(),
        rail,
    );
    (read == Some(to)).then(|| word(Some(from), to, rail, ConfirmPolicy::default()))
}

#[test]
fn an_answer_crosses_any_edge() {
    for rail in [Rail::Card, Rail::Other] {
        for from in TransactionState::ALL {
            for to in TransactionState::ALL
                .into_iter()
                .filter(|to| *to != Reversed)
            {
                let mut answer = seen(to, rail);
                answer.authority = Authority::Confirmed;
                let decision = decide(
                    Some(&known(from, rail)),
                    &answer,
                    ConfirmPolicy::Never,
                    false,
                );
                match decision {
                    Decision::Apply(next) => assert_eq!(next.state, to),
                    Decision::Same => assert_eq!(from, to),
                    other => panic!("{from:?} to {to:?}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn an_overtaken_answer_goes_forward_and_never_back() {
    let answer = |state| {
        let mut answer = seen(state, Rail::Card);
        answer.authority = Authority::Confirmed;
        answer
    };
    let later = |state| Known {
        as_of: Some(START + Duration::hours(1)),
        ..known(state, Rail::Card)
    };
    let after = |from, to| decide(Some(&later(from)), &answer(to), ConfirmPolicy::Risky, false);
    assert_eq!(
        after(Settlement, Pending),
        Decision::Stale(StaleReason::Overtaken)
    );
    assert_eq!(after(Settlement, Settlement), Decision::Same);
    assert!(matches!(after(Pending, Settlement), Decision::Apply(_)));
    assert!(matches!(after(Settlement, Refund), Decision::Apply(_)));
    assert!(
        matches!(after(Pending, Refund), Decision::Apply(_)),
        "two steps forward"
    );
    assert_eq!(after(Expire, Settlement), Decision::Confirm, "asked again");
    let unknown_age = Known {
        as_of: None,
        ..known(Settlement, Rail::Card)
    };
    let back = decide(
        Some(&unknown_age),
        &answer(Pending),
        ConfirmPolicy::Risky,
        false,
    );
    assert!(matches!(back, Decision::Apply(_)));
}

#[test]
fn partial_refunds_grow() {
    let before = Known {
        refunded: Rupiah::new(20_000),
        ..known(PartialRefund, Rail::Other)
    };
    let with = |amount: Option<i64>, authority| {
        let mut seen = seen(PartialRefund, Rail::Other);
        seen.refund_amount = amount.map(Rupiah::new);
        seen.authority = authority;
        seen
    };
    let notified = |amount, policy| {
        decide(
            Some(&before),
            &with(amount, Authority::Notified),
            policy,
            false,
        )
    };
    let (risky, never) = (ConfirmPolicy::Risky, ConfirmPolicy::Never);
    assert_eq!(notified(Some(20_000), risky), Decision::Same);
    assert_eq!(
        notified(Some(12_000), risky),
        Decision::Stale(StaleReason::Earlier)
    );
    assert_eq!(notified(Some(35_000), risky), Decision::Confirm);
    assert_eq!(
        notified(None, risky),
        Decision::Confirm,
        "the amount has to be asked for"
    );
    let Decision::Apply(next) = notified(Some(35_000), never) else {
        panic!("a listed edge is trusted");
    };
    assert_eq!(next.refunded, Rupiah::new(35_000));
    let answer = decide(
        Some(&before),
        &with(Some(12_000), Authority::Confirmed),
        risky,
        false,
    );
    assert!(matches!(answer, Decision::Apply(next) if next.refunded == Rupiah::new(12_000)));
}

#[test]
fn a_repeated_event_counts_only_when_it_says_paid_about_money_that_went() {
    for rail in [Rail::Card, Rail::Other] {
        for current in TransactionState::ALL {
            for observed in TransactionState::ALL
                .into_iter()
                .filter(|state| *state != Reversed)
            {
                let (known, seen) = (known(current, rail), seen(observed, rail));
                let decision = decide(Some(&known), &seen, ConfirmPolicy::Risky, true);
                // The observations of these tests do not say how much went back.
                let in_parts =
                    matches!(current, PartialRefund | TransactionState::PartialChargeback);
                let amount_unsaid = in_parts && current == observed;
                let expected = match needs_confirm_again(current, observed) || amount_unsaid {
                    true => Decision::Confirm,
                    false => Decision::Same,
                };
                assert_eq!(decision, expected, "{current:?} {observed:?} on {rail:?}");
                let trusting = decide(Some(&known), &seen, ConfirmPolicy::Never, true);
                assert!(matches!(trusting, Decision::Same | Decision::Stale(_)));
            }
        }
    }
    assert!(needs_confirm_again(Refund, Settlement) && needs_confirm_again(Cancel, Capture));
    assert!(!needs_confirm_again(Deny, Settlement) && !needs_confirm_again(Refund, Pending));
}

#[test]
fn a_status_that_is_not_known_changes_nothing_even_with_authority() {
    let mut odd = seen(Settlement, Rail::Other);
    odd.status = TransactionStatus::Unknown("teleported".to_owned());
    for authority in [Authority::Notified, Authority::Confirmed] {
        odd.authority = authority;
        let decision = decide(None, &odd, ConfirmPolicy::Risky, false);
        assert_eq!(decision, Decision::Stale(StaleReason::UnknownStatus));
    }
}

#[test]
fn a_body_without_a_method_does_not_unlearn_the_rail() {
    let mut deny = seen(Deny, Rail::Other);
    (deny.payment_type, deny.payment_channel) = (None, None);
    let before = known(Pending, Rail::PermataVa);
    let Decision::Apply(next) = decide(Some(&before), &deny, ConfirmPolicy::Risky, false) else {
        panic!("a reversal before its settlement is trusted");
    };
    assert_eq!((next.state, next.rail), (Reversed, Rail::PermataVa));
}

#[test]
fn policies_are_read_back() {
    for policy in [
        ConfirmPolicy::Risky,
        ConfirmPolicy::Always,
        ConfirmPolicy::Never,
    ] {
        assert_eq!(ConfirmPolicy::parse(policy.as_str()), Some(policy));
    }
    assert_eq!(ConfirmPolicy::parse("sometimes"), None);
}
