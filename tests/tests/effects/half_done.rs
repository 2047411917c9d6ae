//! The code of the effects is made to die at every step in turn: nothing is half done, and the
//! next attempt completes it.

use lunas_tests::harness::{
    BOUND, Fleet, Kind, Ledger, OrderRow, Stage, insert_slot, insert_variant, order_status,
    wait_for,
};

use crate::stand::{PRICE, SKU, SLOT, gopay};

#[tokio::test]
async fn a_worker_that_dies_before_the_tickets_leaves_nothing_half_done() {
    dies_at("apply.effects.tickets").await;
}

#[tokio::test]
async fn a_worker_that_dies_before_the_places_leaves_nothing_half_done() {
    dies_at("apply.effects.slots").await;
}

#[tokio::test]
async fn a_worker_that_dies_before_the_goods_leaves_nothing_half_done() {
    dies_at("apply.effects.variants").await;
}

#[tokio::test]
async fn a_worker_that_dies_before_its_commit_leaves_nothing_half_done() {
    dies_at("apply.before_commit").await;
}

#[tokio::test]
async fn a_worker_that_dies_after_its_commit_does_nothing_twice() {
    dies_at("apply.after_commit").await;
}

/// The panic at the same places is an attempt, not an outage: the same process completes it.
#[tokio::test]
async fn a_panic_in_the_effects_is_an_attempt_and_the_next_one_completes_it() {
    for step in ["tickets", "slots", "variants"] {
        let (stage, mut fleet) = started(&format!("apply.effects.{step}=panic@1")).await;
        let ledger = pay(&stage, &mut fleet).await;
        fleet.finish().await;
        ledger.assert_settled(stage.pool()).await;
    }
}

async fn dies_at(point: &str) {
    let (stage, mut fleet) = started(&format!("{point}=abort@1")).await;
    let url = fleet.webhook_url();
    let mut ledger = Ledger::new();
    let sent = gopay("LNS-A").settlement();
    ledger.note(&sent, Some(sent.post(&url).await.unwrap()));
    wait_for("the worker to die", BOUND, async || {
        !fleet.worker(0).is_running()
    })
    .await;
    if point != "apply.after_commit" {
        assert_eq!(order_status(stage.pool(), "LNS-A").await, "PENDING");
    }
    fleet.start(Kind::Worker, &[]).await;
    until_paid(&stage).await;
    ledger.wait_until_recorded(stage.pool(), BOUND).await;
    fleet.finish().await;
    ledger.assert_settled(stage.pool()).await;
}

async fn started(fault: &str) -> (Stage, Fleet) {
    let stage = Stage::new().await;
    insert_slot(stage.pool(), SLOT, 2).await;
    insert_variant(stage.pool(), SKU, 1).await;
    let order = OrderRow::pending("LNS-A", PRICE).tickets(SLOT, 2);
    order.products(SKU, 1).insert(stage.pool()).await;
    let fleet = Fleet::builder(&stage).ingest(1).faulty_worker(fault);
    let fleet = fleet.start().await;
    (stage, fleet)
}

async fn pay(stage: &Stage, fleet: &mut Fleet) -> Ledger {
    let mut ledger = Ledger::new();
    let sent = gopay("LNS-A").settlement();
    let answer = sent.post(&fleet.webhook_url()).await.unwrap();
    ledger.note(&sent, Some(answer));
    until_paid(stage).await;
    ledger
}

/// Paid, with everything that belongs to it: the audit at the end adds up the rest.
async fn until_paid(stage: &Stage) {
    wait_for("the order to be paid", BOUND, async || {
        order_status(stage.pool(), "LNS-A").await == "PAID"
    })
    .await;
    let tickets: i64 = sqlx::query_scalar("SELECT count(*) FROM tickets WHERE voided_at IS NULL")
        .fetch_one(stage.pool())
        .await
        .unwrap();
    assert_eq!(tickets, 2);
}
