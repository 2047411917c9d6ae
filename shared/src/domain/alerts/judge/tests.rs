//! Thresholds are reached exactly, and findings carry what they are about.

use std::time::Duration;

use super::*;

fn limits() -> Limits {
    Limits {
        cooldown: Duration::from_secs(3600),
        per_rule: 2,
        mismatch_after: Duration::from_secs(120),
        effects_after: Duration::from_secs(300),
        orphans: 20,
        orphans_per_hour: 5,
        pending_sla: Duration::from_secs(1800),
        dead_letters: 1,
        signature_failures: 10,
        signature_window: Duration::from_secs(3600),
        repairs_per_day: 50,
        silent_after: Duration::from_secs(900),
        silent_payments: 5,
    }
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
}

fn case(id: i64) -> Case {
    Case {
        order_code: Some(format!("LNS-{id}")),
        session_id: Some(format!("S-{id}")),
        id,
        ..nobody(at(id))
    }
}

fn tally(count: i64, recent: i64) -> Option<Tally> {
    Some(Tally {
        count,
        recent,
        amount: 1000,
        oldest: case(1),
    })
}

#[test]
fn beyond_the_limit_cases_become_one_finding() {
    let few = each(Rule::OrderInReview, &limits(), vec![case(1), case(2)]);
    assert_eq!((few.findings.len(), few.complete_up_to), (2, None));
    let many = each(
        Rule::OrderInReview,
        &limits(),
        vec![case(1), case(2), case(3)],
    );
    let keys: Vec<&str> = many.findings.iter().map(|f| &*f.dedupe_key).collect();
    let expected = [
        "order_in_review:LNS-1",
        "order_in_review:LNS-2",
        "order_in_review:more",
    ];
    assert_eq!(keys, expected);
    assert_eq!(many.complete_up_to, Some(2));
}

#[test]
fn two_payments_of_an_order_are_two_findings() {
    let found = each(Rule::PaidNotApplied, &limits(), vec![case(1)]);
    assert_eq!(found.findings[0].dedupe_key, "paid_not_applied:S-1");
}

#[test]
fn each_threshold_holds_when_it_is_reached() {
    let limits = limits();
    let holds = |found: Found| !found.findings.is_empty();
    assert!(!holds(orphans(&limits, tally(19, 4))) && holds(orphans(&limits, tally(20, 0))));
    assert!(holds(orphans(&limits, tally(5, 5))));
    assert!(holds(dead_letters(&limits, tally(1, 0))));
    assert!(!holds(repairs(&limits, tally(49, 0))) && holds(repairs(&limits, tally(50, 0))));
    assert!(!holds(silence(&limits, tally(4, 0))) && holds(silence(&limits, tally(5, 0))));
    let failures = |count| signature_failures(&limits, count, at(0));
    assert!(!holds(failures(9)) && holds(failures(10)));
    for nothing in [
        orphans(&limits, None),
        dead_letters(&limits, None),
        repairs(&limits, None),
        silence(&limits, None),
        stuck(&limits, None, None),
    ] {
        assert!(!holds(nothing));
    }
}

#[test]
fn what_is_stuck_names_the_oldest_and_counts_money_once() {
    let mut orders = tally(2, 0).unwrap();
    orders.oldest = case(7);
    let found = stuck(&limits(), tally(3, 0), Some(orders));
    let finding = &found.findings[0];
    assert_eq!(finding.order_code.as_deref(), Some("LNS-1"));
    assert_eq!(finding.amount, Some(1000));
    assert!(finding.summary.contains("3 payments and 2 orders"));
}
