//! Tests of the promise of design 4.1: every legal set of observations, in any order and with any
//! repetition, ends in the same transactions and the same order.
//!
//! The gateway is modelled as the one who knows: every question is answered with what the
//! transaction is at the moment it is asked, and answers may be overtaken by notifications.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::decide::ConfirmPolicy;
use super::fixtures::observation;
use super::observation::Authority;
use super::projection::OrderStatus;
use super::transition::{Rail, TransactionState};
use TransactionState::{
    Authorize, Cancel, Capture, Challenge, Deny, Expire, PartialRefund, Pending, Refund, Reversed,
    Settlement,
};
use world::{History, World};

/// Every event once, in the order in which it happened.
fn events(histories: &[History]) -> Vec<(usize, usize)> {
    let of = |(transaction, history): (usize, &History)| {
        (0..history.moments.len()).map(move |step| (transaction, step))
    };
    histories.iter().enumerate().flat_map(of).collect()
}

/// Some events get lost, never the last of a transaction; some come again; all in any order.
fn shuffled(histories: &[History], rng: &mut StdRng) -> Vec<(usize, usize)> {
    let mut arrivals = events(histories);
    arrivals.retain(|(transaction, step)| {
        step + 1 == histories[*transaction].moments.len() || rng.random_bool(0.9)
    });
    for _ in 0..arrivals.len() {
        let again = arrivals[rng.random_range(0..arrivals.len())];
        arrivals.push(again);
    }
    arrivals.shuffle(rng);
    arrivals
}

fn history() -> impl Strategy<Value = History> {
    let rail = proptest::sample::select(Rail::ALL.to_vec());
    let choices = proptest::collection::vec(any::<u8>(), 1..8);
    (rail, choices).prop_map(|(rail, choices)| History::walk(rail, &choices))
}

fn assert_converges(
    histories: &[History],
    arrivals: &[(usize, usize)],
    policy: ConfirmPolicy,
    seed: u64,
) {
    let in_order = World::new(histories, policy, seed).run(&events(histories));
    let truth: Vec<_> = histories.iter().map(History::last).collect();
    assert_eq!(in_order.moments, truth, "in order");
    let end = World::new(histories, policy, seed).run(arrivals);
    assert_eq!(end, in_order, "{policy:?}: {arrivals:?} of {histories:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_legal_history_ends_alike_in_any_arrival(
        histories in proptest::collection::vec(history(), 1..=4),
        seed: u64,
    ) {
        for policy in [ConfirmPolicy::Risky, ConfirmPolicy::Always] {
            for round in 0..6 {
                let seed = seed.wrapping_add(round);
                let arrivals = shuffled(&histories, &mut StdRng::seed_from_u64(seed));
                assert_converges(&histories, &arrivals, policy, seed);
            }
        }
    }

    #[test]
    fn trusted_notifications_in_order_end_in_the_truth(history in history(), seed: u64) {
        // Without questions there is nobody to ask for an amount that a notification leaves out.
        let histories = [history];
        let mut world = World::new(&histories, ConfirmPolicy::Never, seed);
        for (transaction, step) in events(&histories) {
            let seen = world.see(transaction, step, Authority::Notified);
            world.take(transaction, &seen, false);
        }
        prop_assert_eq!(world.questions, 0);
        let known = world.known[0].unwrap();
        prop_assert_eq!(known.state, histories[0].last().state);
        prop_assert_eq!(known.refunded, histories[0].last().refunded);
    }
}

/// Every order of these things.
fn permutations<T: Copy>(items: &[T]) -> Vec<Vec<T>> {
    let [first, rest @ ..] = items else {
        return vec![Vec::new()];
    };
    let shorter = permutations(rest);
    let insert = |shorter: &Vec<T>, at| {
        let mut longer = shorter.clone();
        longer.insert(at, *first);
        longer
    };
    shorter
        .iter()
        .flat_map(|s| (0..=s.len()).map(move |at| insert(s, at)))
        .collect()
}

/// Five steps of one or two transactions of an order, and how the order ends.
fn stories() -> Vec<(Vec<History>, OrderStatus)> {
    let card = |states: &[_]| History::of(Rail::Card, states);
    let other = |states: &[_]| History::of(Rail::Other, states);
    let permata = History::of(Rail::PermataVa, &[Pending, Settlement, Reversed]);
    let indomaret = History::of(Rail::Indomaret, &[Pending, Settlement, Reversed]);
    let challenged = card(&[Pending, Challenge, Capture, Settlement, Refund]);
    let in_parts = other(&[Pending, Settlement, PartialRefund, PartialRefund, Refund]);
    let part = other(&[Pending, Settlement, PartialRefund]);
    let voided = card(&[Authorize, Capture, Cancel]);
    vec![
        (vec![challenged], OrderStatus::Refunded),
        (vec![in_parts], OrderStatus::Refunded),
        (
            vec![permata, other(&[Pending, Settlement])],
            OrderStatus::Paid,
        ),
        (
            vec![card(&[Pending, Deny]), part],
            OrderStatus::PartiallyRefunded,
        ),
        (
            vec![voided, card(&[Pending, Expire])],
            OrderStatus::Cancelled,
        ),
        (
            vec![indomaret, card(&[Pending, Expire])],
            OrderStatus::Failed,
        ),
    ]
}

#[test]
fn every_permutation_of_five_steps_ends_alike() {
    for (histories, expected) in stories() {
        let arrivals = permutations(&events(&histories));
        assert_eq!(arrivals.len(), 120);
        for (seed, arrival) in (0_u64..).zip(&arrivals) {
            for policy in [ConfirmPolicy::Risky, ConfirmPolicy::Always] {
                assert_converges(&histories, arrival, policy, seed);
                let end = World::new(&histories, policy, seed).run(arrival);
                assert_eq!(end.status, expected, "{arrival:?}");
            }
        }
    }
}

/// The signature does not cover the status: whoever has one genuine body of a transaction can send
/// it with any other. What the gateway does not confirm must not stick.
#[test]
fn forged_statuses_do_not_take_a_paid_order_down() {
    for rail in Rail::ALL {
        let histories = [History::of(rail, &[Pending, Settlement])];
        for forged in TransactionState::ALL {
            let mut world = World::new(&histories, ConfirmPolicy::Risky, 7);
            world.notify(0, 0);
            world.notify(0, 1);
            let mut body = world.see(0, 1, Authority::Notified);
            let words = observation(forged, rail);
            (body.status, body.fraud) = (words.status, words.fraud);
            world.take(0, &body, false);
            let end = world.run(&[]);
            assert_eq!(end.status, OrderStatus::Paid, "{forged:?} on {rail:?}");
        }
    }
}

#[test]
fn the_walks_reach_every_state_and_are_legal() {
    let mut reached = BTreeMap::new();
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..5_000 {
        let rail = Rail::ALL[rng.random_range(0..Rail::ALL.len())];
        let choices: [u8; 8] = rng.random();
        for moment in History::walk(rail, &choices).moments {
            *reached.entry(moment.state).or_insert(0) += 1;
        }
    }
    // A session that Midtrans has not seen sends nothing.
    assert_eq!(
        reached.len(),
        TransactionState::ALL.len() - 1,
        "{reached:?}"
    );
}
