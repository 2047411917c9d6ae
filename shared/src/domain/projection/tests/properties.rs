//! Independence of order and repetition, and that no money is overlooked.

use proptest::prelude::*;

use super::*;

fn any_sessions() -> impl Strategy<Value = Vec<SessionFacts<'static>>> {
    const IDS: [&str; 6] = ["t-1", "t-2", "t-3", "t-4", "t-5", "t-6"];
    let state = proptest::sample::select(State::ALL.to_vec());
    let rail = proptest::sample::select(Rail::ALL.to_vec());
    let amount = proptest::sample::select(vec![150_000_i64, 140_000]);
    let transactions = proptest::collection::vec((state, rail, amount, 0_usize..3), 0..6);
    transactions.prop_map(|drawn| {
        let mut sessions = ["LNS-1", "LNS-1-2", "LNS-1-3"].map(|session_id| SessionFacts {
            session_id,
            ..session(Vec::new())
        });
        for (id, (state, rail, amount, at)) in std::iter::zip(IDS, drawn) {
            let gross_amount = Rupiah::new(amount);
            let drawn = TransactionFacts {
                gross_amount,
                ..transaction(id, state, rail)
            };
            sessions[at].transactions.push(drawn);
        }
        sessions.to_vec()
    })
}

prop_compose! {
    fn any_order()(
        status in proptest::sample::select(OrderStatus::ALL.to_vec()),
        hold in proptest::sample::select(vec![
            Hold::Held, Hold::Released { available: true }, Hold::Released { available: false },
        ]),
        hours in 0_i64..48,
        closing: bool, picked_up: bool, ticket_used: bool,
    ) -> OrderFacts<'static> {
        let now = NOW + Duration::hours(hours);
        OrderFacts { status, hold, now, closing, picked_up, ticket_used, ..order() }
    }
}

proptest! {
    #[test]
    fn neither_the_order_of_the_input_nor_repetition_counts(
        order in any_order(),
        sessions in any_sessions(),
        rotate in 0_usize..3,
    ) {
        let first = project_order(&order, &sessions);
        let mut turned = sessions.clone();
        turned.rotate_left(rotate);
        turned.iter_mut().for_each(|session| session.transactions.reverse());
        prop_assert_eq!(&project_order(&order, &turned), &first);

        let hold = if first.reserve_again { Hold::Held } else { order.hold };
        let next = OrderFacts { status: first.status, hold, ..order };
        let second = project_order(&next, &sessions);
        prop_assert_eq!((second.status, second.reasons), (first.status, first.reasons));
    }

    #[test]
    fn money_is_never_overlooked(order in any_order(), sessions in any_sessions()) {
        let projection = project_order(&order, &sessions);
        let money = matches!(
            projection.status,
            OrderStatus::Paid | OrderStatus::Review | OrderStatus::PartiallyRefunded
        );
        prop_assert_eq!(money, !projection.paid.is_empty());
        let session_paid = sessions.iter().any(|session| project_session(session).paid);
        prop_assert_eq!(session_paid, money);
    }
}
