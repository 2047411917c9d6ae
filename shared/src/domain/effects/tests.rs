//! Every status against everything that can be there.

use proptest::prelude::*;

use super::*;

fn ticket(quantity: i64, tickets: Vec<i64>) -> Line {
    Line {
        item_id: 1,
        goods: Goods::Ticket("SLOT".to_owned()),
        quantity,
        tickets,
    }
}

fn product(quantity: i64) -> Line {
    Line {
        item_id: 2,
        goods: Goods::Product("SKU".to_owned()),
        quantity,
        tickets: Vec::new(),
    }
}

fn holdings(lines: &[Line], holding: Holding) -> Holdings<'_> {
    Holdings {
        lines,
        capacity: holding,
        stock: holding,
        has_pickup_code: false,
        picked_up: false,
    }
}

#[test]
fn a_paid_order_gets_what_is_missing_and_only_that() {
    let lines = [ticket(3, vec![2]), product(1)];
    let planned = plan(
        OrderStatus::Paid,
        &holdings(&lines, Holding::Reserved),
        false,
    );
    assert_eq!(planned.issue, [(1, 1), (1, 3)]);
    let sold = Some(Move {
        from: Holding::Reserved,
        to: Holding::Owned,
    });
    assert_eq!((planned.capacity, planned.stock), (sold, sold));
    assert_eq!(planned.pickup, Some(PickupChange::Make));
    assert!(planned.void.is_empty());
}

#[test]
fn an_order_that_dies_unpaid_gives_back_once() {
    let lines = [ticket(3, vec![]), product(1)];
    let planned = plan(
        OrderStatus::Expired,
        &holdings(&lines, Holding::Reserved),
        false,
    );
    let back = Some(Move {
        from: Holding::Reserved,
        to: Holding::Free,
    });
    assert_eq!((planned.capacity, planned.stock), (back, back));
    let again = plan(
        OrderStatus::Expired,
        &holdings(&lines, Holding::Free),
        false,
    );
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn goods_that_were_handed_over_do_not_come_back() {
    let lines = [ticket(1, vec![1]), product(2)];
    let there = Holdings {
        picked_up: true,
        has_pickup_code: true,
        ..holdings(&lines, Holding::Owned)
    };
    let planned = plan(OrderStatus::Refunded, &there, false);
    assert_eq!(planned.void, [1]);
    assert_eq!(planned.capacity.map(|m| m.to), Some(Holding::Free));
    assert_eq!((planned.stock, planned.pickup), (None, None));
}

#[test]
fn a_review_hands_out_nothing_takes_nothing_and_holds_again_what_it_can() {
    let lines = [ticket(1, vec![1]), product(2)];
    for holding in [Holding::Reserved, Holding::Owned] {
        assert!(plan(OrderStatus::Review, &holdings(&lines, holding), false).is_empty());
    }
    let free = holdings(&lines, Holding::Free);
    assert!(plan(OrderStatus::Review, &free, false).is_empty());
    let held = plan(OrderStatus::Review, &free, true);
    assert_eq!(held.capacity.map(|m| m.to), Some(Holding::Reserved));
    assert_eq!(held.stock.map(|m| m.to), Some(Holding::Reserved));
    assert!(held.issue.is_empty() && held.void.is_empty());
}

#[test]
fn an_order_that_waits_again_after_it_was_fulfilled_keeps_its_hold_and_loses_its_tickets() {
    let lines = [ticket(2, vec![1, 2]), product(1)];
    let there = Holdings {
        has_pickup_code: true,
        ..holdings(&lines, Holding::Owned)
    };
    let planned = plan(OrderStatus::Pending, &there, false);
    assert_eq!(planned.void, [1]);
    assert_eq!(planned.capacity.map(|m| m.to), Some(Holding::Reserved));
    assert_eq!(planned.pickup, Some(PickupChange::Revoke));
}

#[test]
fn an_order_without_lines_needs_nothing() {
    for status in OrderStatus::ALL {
        for holding in [Holding::Reserved, Holding::Owned, Holding::Free] {
            assert!(plan(status, &holdings(&[], holding), true).is_empty());
        }
    }
}

fn any_holding() -> impl Strategy<Value = Holding> {
    prop_oneof![
        Just(Holding::Reserved),
        Just(Holding::Owned),
        Just(Holding::Free)
    ]
}

prop_compose! {
    fn any_line()(quantity in 1..5_i64, is_ticket in any::<bool>(), issued in any::<u8>()) -> Line {
        let tickets = (1..=quantity).filter(|seq| issued & (1 << seq) != 0).collect();
        if is_ticket { ticket(quantity, tickets) } else { product(quantity) }
    }
}

/// What is there after the plan was carried out.
fn carry_out(
    lines: &[Line],
    there: &Holdings<'_>,
    plan: &Plan,
) -> (Vec<Line>, Holding, Holding, bool) {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        if plan.void.contains(&line.item_id) {
            line.tickets.clear();
        }
        let issued = plan.issue.iter().filter(|(item, _)| *item == line.item_id);
        line.tickets.extend(issued.map(|(_, seq)| *seq));
        line.tickets.sort_unstable();
    }
    let code = match plan.pickup {
        Some(change) => change == PickupChange::Make,
        None => there.has_pickup_code,
    };
    (
        lines,
        plan.capacity.map_or(there.capacity, |m| m.to),
        plan.stock.map_or(there.stock, |m| m.to),
        code,
    )
}

proptest! {
    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(
        first in any_line(), second in any_line(),
        capacity in any_holding(), stock in any_holding(),
        has_pickup_code in any::<bool>(), picked_up in any::<bool>(),
        status in 0..OrderStatus::ALL.len(),
    ) {
        let status = OrderStatus::ALL[status];
        let lines = [Line { item_id: 10, ..first }, Line { item_id: 11, ..second }];
        let there = Holdings { lines: &lines, capacity, stock, has_pickup_code, picked_up };
        let planned = plan(status, &there, true);
        let (after, capacity, stock, has_pickup_code) = carry_out(&lines, &there, &planned);
        let there = Holdings { lines: &after, capacity, stock, has_pickup_code, picked_up };
        let again = plan(status, &there, true);
        prop_assert!(again.is_empty(), "{again:?}");
        let admitted: i64 = after.iter().map(|line| line.tickets.len() as i64).sum();
        if status.is_fulfilled() {
            let owed = after.iter().filter(|line| matches!(line.goods, Goods::Ticket(_)));
            prop_assert_eq!(admitted, owed.map(|line| line.quantity).sum::<i64>());
        } else if status != OrderStatus::Review {
            prop_assert_eq!(admitted, 0);
        }
    }

    #[test]
    fn counters_move_by_what_changed_hands(from in any_holding(), to in any_holding()) {
        let there = Move { from, to };
        let back = Move { from: to, to: from };
        prop_assert_eq!(there.reserved() + back.reserved(), 0);
        prop_assert_eq!(there.sold() + back.sold(), 0);
    }
}
