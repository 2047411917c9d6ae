//! The tables of `plan` and `payable`, row by row.

use super::*;
use crate::domain::checkout::Bank;

const GOPAY: PayMethod = PayMethod::Gopay;
const BCA: PayMethod = PayMethod::BankTransfer(Bank::Bca);
const BNI: PayMethod = PayMethod::BankTransfer(Bank::Bni);

fn session(state: TransactionState, method: PayMethod) -> OpenSession {
    OpenSession {
        state,
        method: Some(method),
        answered: true,
        busy: false,
        over: false,
    }
}

fn unanswered(session: OpenSession) -> OpenSession {
    OpenSession {
        answered: false,
        ..session
    }
}

fn over(session: OpenSession) -> OpenSession {
    OpenSession {
        over: true,
        ..session
    }
}

fn go(target: Target, close: &[usize]) -> Plan {
    Plan::Go {
        target,
        close: close.to_vec(),
    }
}

#[test]
fn an_open_payment_of_the_same_method_is_used_again() {
    use TransactionState as State;
    for state in [
        State::Created,
        State::Pending,
        State::Authorize,
        State::Challenge,
    ] {
        let page = [session(state, PayMethod::Snap)];
        let found = plan(&page, PayMethod::Snap, Life::Open);
        assert_eq!(found, go(Target::Reuse(0), &[]), "{state:?}");
    }
}

#[test]
fn every_other_state_leaves_nothing_to_use_or_to_close() {
    for state in TransactionState::ALL {
        let open = matches!(
            state,
            TransactionState::Created
                | TransactionState::Pending
                | TransactionState::Authorize
                | TransactionState::Challenge
        );
        let found = plan(&[session(state, GOPAY)], GOPAY, Life::Open);
        let expected = if open { Target::Reuse(0) } else { Target::New };
        assert_eq!(found, go(expected, &[]), "{state:?}");
    }
}

#[test]
fn another_method_bank_or_time_closes_it_and_opens_a_new_one() {
    let pending = session(TransactionState::Pending, BCA);
    for wish in [GOPAY, BNI, PayMethod::Snap] {
        assert_eq!(plan(&[pending], wish, Life::Open), go(Target::New, &[0]));
    }
    let late = [over(pending)];
    assert_eq!(plan(&late, BCA, Life::Open), go(Target::New, &[0]));
    assert_eq!(plan(&[pending], BCA, Life::Renewed), go(Target::New, &[0]));
}

#[test]
fn at_the_end_of_the_order_what_the_customer_has_in_hand_stays_good() {
    let pending = session(TransactionState::Pending, BCA);
    let found = plan(&[pending], BCA, Life::Extended);
    assert_eq!(found, go(Target::Reuse(0), &[]));
    let made = [unanswered(pending)];
    assert_eq!(plan(&made, BCA, Life::Extended), go(Target::New, &[0]));
}

#[test]
fn a_page_stays_open_after_a_deny_inside_it_while_it_is_the_newest() {
    let denied = session(TransactionState::Deny, PayMethod::Snap);
    let page = [denied];
    assert_eq!(
        plan(&page, PayMethod::Snap, Life::Open),
        go(Target::Reuse(0), &[])
    );
    assert_eq!(plan(&page, GOPAY, Life::Open), go(Target::New, &[0]));
    let late = [over(denied)];
    assert_eq!(plan(&late, GOPAY, Life::Open), go(Target::New, &[]));
    let older = [session(TransactionState::Pending, GOPAY), denied];
    assert_eq!(plan(&older, GOPAY, Life::Open), go(Target::Reuse(0), &[]));
}

#[test]
fn a_session_without_an_answer_is_waited_for_adopted_or_closed() {
    for state in [TransactionState::Created, TransactionState::Pending] {
        let open = unanswered(session(state, GOPAY));
        assert_eq!(plan(&[open], GOPAY, Life::Open), go(Target::Adopt(0), &[]));
        assert_eq!(plan(&[open], BCA, Life::Open), go(Target::New, &[0]));
        let busy = [OpenSession { busy: true, ..open }];
        assert_eq!(plan(&busy, GOPAY, Life::Open), Plan::Wait(0));
        assert_eq!(plan(&busy, BCA, Life::Open), Plan::Wait(0));
    }
}

#[test]
fn an_older_one_beside_the_target_is_closed() {
    let made = unanswered(session(TransactionState::Created, GOPAY));
    let older = session(TransactionState::Pending, BCA);
    let both = [made, older];
    assert_eq!(plan(&both, GOPAY, Life::Open), go(Target::Adopt(0), &[1]));
    // Back to the first method before the second one was charged.
    assert_eq!(plan(&both, BCA, Life::Open), go(Target::Reuse(1), &[0]));
    assert_eq!(plan(&both, BNI, Life::Open), go(Target::New, &[0, 1]));
}

#[test]
fn a_session_that_nobody_asked_for_and_nobody_believes_is_not_open() {
    let stray = OpenSession {
        method: None,
        ..unanswered(session(TransactionState::Created, GOPAY))
    };
    assert_eq!(plan(&[stray], GOPAY, Life::Open), go(Target::New, &[]));
    let alive = OpenSession {
        state: TransactionState::Pending,
        ..stray
    };
    assert_eq!(plan(&[alive], GOPAY, Life::Open), go(Target::New, &[0]));
}

fn order(status: OrderStatus) -> OrderToPay {
    OrderToPay {
        status,
        was_paid: false,
        closed_by_operator: false,
        released: false,
        left: Duration::HOUR,
        event_past: false,
        is_free: false,
    }
}

#[test]
fn each_status_says_whether_it_may_be_paid() {
    use OrderStatus as Status;
    for status in Status::ALL {
        let expected = match status {
            Status::Pending => Ok(Life::Open),
            Status::Expired | Status::Failed | Status::Cancelled => Ok(Life::Renewed),
            Status::Paid | Status::PartiallyRefunded => Err(NotPayable::AlreadyPaid),
            Status::Review => Err(NotPayable::InReview),
            Status::Refunded | Status::Chargeback => Err(NotPayable::Ended),
        };
        assert_eq!(payable(&order(status)), expected, "{status}");
        if status.is_closed() {
            for ended in [
                OrderToPay {
                    was_paid: true,
                    ..order(status)
                },
                OrderToPay {
                    closed_by_operator: true,
                    ..order(status)
                },
            ] {
                assert_eq!(payable(&ended), Err(NotPayable::Ended), "{status}");
            }
        }
    }
}

#[test]
fn an_open_order_without_hold_or_time_is_renewed_and_a_past_event_is_refused() {
    let pending = order(OrderStatus::Pending);
    let cases = [
        (
            OrderToPay {
                released: true,
                ..pending
            },
            Ok(Life::Renewed),
        ),
        (
            OrderToPay {
                left: MIN_LEFT - Duration::SECOND,
                ..pending
            },
            Ok(Life::Extended),
        ),
        (
            OrderToPay {
                left: MIN_LEFT,
                ..pending
            },
            Ok(Life::Open),
        ),
        (
            OrderToPay {
                event_past: true,
                ..pending
            },
            Err(NotPayable::EventPast),
        ),
        (
            OrderToPay {
                is_free: true,
                ..pending
            },
            Err(NotPayable::NothingToPay),
        ),
    ];
    for (facts, expected) in cases {
        assert_eq!(payable(&facts), expected, "{facts:?}");
    }
}
