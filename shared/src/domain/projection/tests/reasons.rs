//! Every review reason.

use super::*;

/// Reasons of a paid session with this origin and these amounts paid.
fn amounts(
    origin: SessionOrigin,
    session_amount: i64,
    paid: &[(i64, Option<i64>)],
) -> (OrderStatus, Vec<ReviewReason>) {
    const IDS: [&str; 3] = ["t-1", "t-2", "t-3"];
    let transactions = std::iter::zip(IDS, paid).map(|(id, (gross, original))| TransactionFacts {
        gross_amount: Rupiah::new(*gross),
        original_amount: original.map(Rupiah::new),
        ..transaction(id, State::Settlement, Rail::Other)
    });
    let session = SessionFacts {
        origin,
        gross_amount: Rupiah::new(session_amount),
        ..session(transactions.collect())
    };
    let projection = project_order(&order(), &[session]);
    (projection.status, projection.reasons)
}

#[test]
fn a_wrong_amount_is_reviewed_and_a_second_payment_is_shown() {
    use ReviewReason::{AmountMismatch, DuplicatePayment};
    let checkout = |paid: &[(i64, Option<i64>)]| amounts(SessionOrigin::Checkout, 150_000, paid);
    assert_eq!(checkout(&[(150_000, None)]), (OrderStatus::Paid, vec![]));
    assert_eq!(
        checkout(&[(140_000, None)]),
        (OrderStatus::Review, vec![AmountMismatch])
    );
    assert_eq!(
        checkout(&[(151_065, Some(150_000))]),
        (OrderStatus::Paid, vec![])
    );
    assert_eq!(
        checkout(&[(151_065, Some(149_000))]),
        (OrderStatus::Review, vec![AmountMismatch])
    );
    let right_and_wrong = checkout(&[(1, None), (150_000, None)]);
    assert_eq!(right_and_wrong, (OrderStatus::Paid, vec![DuplicatePayment]));
    let twice = checkout(&[(150_000, None), (150_000, None)]);
    assert_eq!(twice, (OrderStatus::Paid, vec![DuplicatePayment]));
    let wrong_twice = checkout(&[(1, None), (2, None)]);
    assert_eq!(
        wrong_twice,
        (OrderStatus::Review, vec![AmountMismatch, DuplicatePayment])
    );
}

#[test]
fn a_session_from_a_notification_is_measured_by_the_order() {
    let webhook = |paid| amounts(SessionOrigin::Webhook, 99, &[(paid, None)]).0;
    assert_eq!(webhook(150_000), OrderStatus::Paid);
    assert_eq!(webhook(99), OrderStatus::Review);
    let checkout = amounts(SessionOrigin::Checkout, 99, &[(99, None)]).0;
    assert_eq!(checkout, OrderStatus::Paid);
}

#[test]
fn a_partial_refund_counts_as_paid() {
    let (status, reasons) = judge(
        &order(),
        &[
            (State::PartialRefund, Rail::Other),
            (State::Settlement, Rail::Other),
        ],
    );
    assert_eq!(
        (status, reasons),
        (OrderStatus::Paid, vec![ReviewReason::DuplicatePayment])
    );
    let gone = OrderFacts {
        hold: Hold::Released { available: false },
        ..order()
    };
    let (status, reasons) = judge(&gone, &[(State::PartialRefund, Rail::Other)]);
    assert_eq!(
        (status, reasons),
        (OrderStatus::Review, vec![ReviewReason::PaidAfterRelease])
    );
}

#[test]
fn paid_after_release_is_fulfilled_if_it_can_be_reserved_again() {
    let paid = session(vec![transaction("t-1", State::Settlement, Rail::Other)]);
    let closed = |available| OrderFacts {
        status: OrderStatus::Expired,
        hold: Hold::Released { available },
        ..order()
    };
    let sessions = [paid];
    let again = project_order(&closed(true), &sessions);
    assert_eq!(
        (again.status, again.reserve_again),
        (OrderStatus::Paid, true)
    );
    assert!(again.reasons.is_empty());
    let gone = project_order(&closed(false), &sessions);
    assert_eq!(
        (gone.status, gone.reserve_again),
        (OrderStatus::Review, false)
    );
    assert_eq!(gone.reasons, [ReviewReason::PaidAfterRelease]);
}

#[test]
fn a_reversal_fails_the_order_unless_something_else_is_paid() {
    let reversed = (State::Reversed, Rail::Indomaret);
    let alone = judge(&order(), &[reversed]);
    assert_eq!(alone, (OrderStatus::Failed, vec![ReviewReason::Reversed]));
    let paid = judge(&order(), &[reversed, (State::Settlement, Rail::Other)]);
    assert_eq!(paid, (OrderStatus::Paid, vec![]));
}

#[test]
fn what_was_handed_over_is_shown_once_the_order_is_closed() {
    use ReviewReason::{RefundedAfterPickup, RefundedAfterUse, Reversed};
    let used = OrderFacts {
        picked_up: true,
        ticket_used: true,
        ..order()
    };
    assert_eq!(judge(&used, &[(State::Settlement, Rail::Other)]).1, []);
    let refunded = judge(&used, &[(State::Refund, Rail::Other)]).1;
    assert_eq!(refunded, [RefundedAfterPickup, RefundedAfterUse]);
    let reversed = judge(&used, &[(State::Reversed, Rail::PermataVa)]).1;
    assert_eq!(reversed, [RefundedAfterPickup, RefundedAfterUse, Reversed]);
}
