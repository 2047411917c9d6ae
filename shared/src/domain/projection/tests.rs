//! Every row of the table and every reason.

mod properties;
mod reasons;

use time::{Duration, OffsetDateTime};

use super::super::linking::SessionOrigin;
use super::super::rupiah::Rupiah;
use super::super::transition::Rail;
use super::TransactionState as State;
use super::*;

const ASKED: Rupiah = Rupiah::new(150_000);
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn transaction(
    transaction_id: &'static str,
    state: State,
    rail: Rail,
) -> TransactionFacts<'static> {
    TransactionFacts {
        transaction_id,
        state,
        rail,
        gross_amount: ASKED,
        original_amount: None,
    }
}

fn session(transactions: Vec<TransactionFacts<'static>>) -> SessionFacts<'static> {
    SessionFacts {
        session_id: "LNS-1",
        origin: SessionOrigin::Checkout,
        gross_amount: ASKED,
        unstarted: State::Created,
        transactions,
    }
}

fn order() -> OrderFacts<'static> {
    OrderFacts {
        status: OrderStatus::Pending,
        gross_amount: ASKED,
        expires_at: NOW + Duration::hours(24),
        now: NOW,
        hold: Hold::Held,
        picked_up: false,
        ticket_used: false,
        closing: false,
        resolution: None,
    }
}

/// The order's status and reasons for one session of these transactions.
fn judge(order: &OrderFacts<'_>, states: &[(State, Rail)]) -> (OrderStatus, Vec<ReviewReason>) {
    const IDS: [&str; 4] = ["t-1", "t-2", "t-3", "t-4"];
    let transactions = std::iter::zip(IDS, states).map(|(id, (s, r))| transaction(id, *s, *r));
    let projection = project_order(order, &[session(transactions.collect())]);
    (projection.status, projection.reasons)
}

/// The rows, best first, each with all its states in their order.
const ROWS: &[(&[(State, Rail)], OrderStatus)] = &[
    (
        &[
            (State::Settlement, Rail::Other),
            (State::Capture, Rail::Card),
        ],
        OrderStatus::Paid,
    ),
    (
        &[
            (State::PartialChargeback, Rail::Card),
            (State::PartialRefund, Rail::Other),
        ],
        OrderStatus::PartiallyRefunded,
    ),
    (&[(State::Chargeback, Rail::Card)], OrderStatus::Chargeback),
    (&[(State::Refund, Rail::Other)], OrderStatus::Refunded),
    (&[(State::Reversed, Rail::PermataVa)], OrderStatus::Failed),
    (
        &[
            (State::Challenge, Rail::Card),
            (State::Authorize, Rail::Card),
            (State::Pending, Rail::Other),
            (State::Created, Rail::Other),
        ],
        OrderStatus::Pending,
    ),
    (&[(State::Cancel, Rail::Card)], OrderStatus::Cancelled),
    (&[(State::Expire, Rail::Other)], OrderStatus::Expired),
    (&[(State::Failure, Rail::Card)], OrderStatus::Failed),
    (
        &[(State::Expire, Rail::Card), (State::Deny, Rail::Other)],
        OrderStatus::Pending,
    ),
];

#[test]
fn the_first_row_that_any_transaction_gives_decides() {
    let flat: Vec<_> = ROWS
        .iter()
        .flat_map(|(states, status)| states.iter().map(move |s| (*s, *status)))
        .collect();
    for (better, (first, status)) in flat.iter().enumerate() {
        for (second, _) in &flat[better..] {
            for pair in [[*first, *second], [*second, *first]] {
                assert_eq!(judge(&order(), &pair).0, *status, "{pair:?}");
                let transactions = vec![
                    transaction("t-1", pair[0].0, pair[0].1),
                    transaction("t-2", pair[1].0, pair[1].1),
                ];
                assert_eq!(
                    project_session(&session(transactions)).state,
                    first.0,
                    "{pair:?}"
                );
            }
        }
    }
}

#[test]
fn a_session_without_a_transaction_is_what_it_says() {
    let mut unstarted = session(Vec::new());
    let projection = project_session(&unstarted);
    assert_eq!(
        (projection.state, projection.transaction_id),
        (State::Created, None)
    );
    assert_eq!(
        project_order(&order(), &[unstarted.clone()]).status,
        OrderStatus::Pending
    );
    unstarted.unstarted = State::Cancel;
    assert_eq!(
        project_order(&order(), &[unstarted]).status,
        OrderStatus::Cancelled
    );
    assert_eq!(project_order(&order(), &[]).status, OrderStatus::Pending);
}

#[test]
fn an_unopened_second_page_keeps_a_cancelled_order_open() {
    let cancelled = session(vec![transaction("t-1", State::Cancel, Rail::Other)]);
    let opened = SessionFacts {
        session_id: "LNS-1-2",
        ..session(Vec::new())
    };
    let projection = project_order(&order(), &[cancelled, opened]);
    assert_eq!(projection.status, OrderStatus::Pending);
    assert_eq!(projection.decided_by, Some(("LNS-1-2", None)));
}

#[test]
fn a_refusal_leaves_the_order_open_until_its_time() {
    for refusal in [
        (State::Deny, Rail::Card),
        (State::Expire, Rail::Card),
        (State::Deny, Rail::Other),
    ] {
        let open = order();
        assert_eq!(judge(&open, &[refusal]).0, OrderStatus::Pending);
        let late = OrderFacts {
            now: open.expires_at,
            ..open
        };
        assert_eq!(judge(&late, &[refusal]).0, OrderStatus::Expired);
    }
}

#[test]
fn an_alive_transaction_opens_a_closed_order_in_time_and_if_it_can_be_reserved() {
    let alive = [(State::Pending, Rail::Other)];
    let closed = OrderFacts {
        status: OrderStatus::Cancelled,
        hold: Hold::Released { available: true },
        ..order()
    };
    let projection = project_order(
        &closed,
        &[session(vec![transaction("t", State::Pending, Rail::Other)])],
    );
    assert_eq!(projection.status, OrderStatus::Pending);
    assert!(projection.reserve_again);
    let gone = OrderFacts {
        hold: Hold::Released { available: false },
        ..closed.clone()
    };
    assert_eq!(judge(&gone, &alive).0, OrderStatus::Expired);
    let late = OrderFacts {
        now: closed.expires_at,
        ..closed
    };
    assert_eq!(judge(&late, &alive).0, OrderStatus::Expired);
    let both = [(State::Cancel, Rail::Other), alive[0]];
    assert_eq!(
        judge(&late, &both).0,
        OrderStatus::Cancelled,
        "by what did end"
    );
}

#[test]
fn an_open_order_past_its_time_waits_until_it_is_closed() {
    let late = OrderFacts {
        now: NOW + Duration::days(2),
        ..order()
    };
    let alive = [(State::Pending, Rail::Other)];
    assert_eq!(
        judge(&late, &alive).0,
        OrderStatus::Pending,
        "Midtrans has not been asked yet"
    );
    let closing = OrderFacts {
        closing: true,
        ..late
    };
    assert_eq!(judge(&closing, &alive).0, OrderStatus::Expired);
    assert_eq!(project_order(&closing, &[]).status, OrderStatus::Expired);
    let paid = [(State::Settlement, Rail::Other)];
    assert_eq!(
        judge(&closing, &paid).0,
        OrderStatus::Paid,
        "never closes what is paid"
    );
}

#[test]
fn an_operators_word_holds_until_the_set_of_paid_transactions_changes() {
    let resolved = |action, paid: &'static [&'static str]| OrderFacts {
        status: OrderStatus::Review,
        gross_amount: Rupiah::new(1),
        resolution: Some(Resolution { action, paid }),
        ..order()
    };
    let wrong = |state| {
        let mut wrong = session(vec![transaction("t-1", state, Rail::Other)]);
        wrong.origin = SessionOrigin::Webhook;
        wrong
    };
    let status = |order: &OrderFacts<'_>, state| {
        let projection = project_order(order, &[wrong(state)]);
        (projection.status, projection.reasons)
    };
    let fulfil = resolved(ResolutionAction::Fulfil, &["t-1"]);
    assert_eq!(
        status(&fulfil, State::Settlement),
        (OrderStatus::Paid, vec![])
    );
    assert_eq!(
        status(&fulfil, State::PartialRefund),
        (OrderStatus::PartiallyRefunded, vec![])
    );
    assert_eq!(
        status(&fulfil, State::Refund),
        (OrderStatus::Refunded, vec![])
    );
    let close = resolved(ResolutionAction::Close, &["t-1", "t-1"]);
    assert_eq!(
        status(&close, State::Settlement),
        (OrderStatus::Cancelled, vec![])
    );
    let other = resolved(ResolutionAction::Close, &["t-0"]);
    let mismatch = vec![ReviewReason::AmountMismatch];
    assert_eq!(
        status(&other, State::Settlement),
        (OrderStatus::Review, mismatch)
    );
}

#[test]
fn words_are_read_back() {
    for status in OrderStatus::ALL {
        assert_eq!(OrderStatus::parse(status.as_str()), Some(status));
    }
    let mut words = ReviewReason::ALL.map(ReviewReason::as_str);
    for (reason, word) in std::iter::zip(ReviewReason::ALL, words) {
        assert_eq!(ReviewReason::parse(word), Some(reason));
    }
    words.sort_unstable();
    assert_eq!(
        words,
        ReviewReason::ALL.map(ReviewReason::as_str),
        "sorted like their words"
    );
}
