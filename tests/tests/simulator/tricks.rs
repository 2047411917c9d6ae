//! Misbehaviour on demand: order, copies, losses and odd bodies.

use lunas_tests::sim::{Verdict, signature_key};
use serde_json::json;

use super::{BOUND, Rig};

#[tokio::test]
async fn a_held_pending_arrives_after_the_settlement() {
    let rig = Rig::start().await;
    let hold = json!({"order_id": "O-1", "on": ["pending"], "hold": true});
    rig.client.arm(hold).await.unwrap();
    pay(&rig, "O-1").await;
    rig.settled_log("O-1").await;
    assert_eq!(rig.sim.traffic().held, 1);
    let release = rig.client.post("/sim/release", json!({"order_id": "O-1"}));
    assert_eq!(release.await.unwrap().body["released"], 1);
    rig.settled_log("O-1").await;
    assert_eq!(rig.receiver.statuses("O-1"), ["settlement", "pending"]);
}

#[tokio::test]
async fn held_notifications_are_released_in_reverse() {
    let rig = Rig::start().await;
    rig.client.arm(json!({"hold": true})).await.unwrap();
    pay(&rig, "O-2").await;
    rig.client
        .step("O-2", "refund", json!({"confirm": "now"}))
        .await
        .unwrap();
    let release = rig.client.post("/sim/release", json!({"reverse": true}));
    assert_eq!(release.await.unwrap().body["released"], 4);
    rig.settled_log("O-2").await;
    let statuses = rig.receiver.statuses("O-2");
    assert_eq!(statuses, ["refund", "refund", "settlement", "pending"]);
}

#[tokio::test]
async fn copies_carry_the_same_bytes_and_a_dropped_one_is_never_sent() {
    let rig = Rig::start().await;
    for trick in [
        json!({"on": ["settlement"], "duplicate": {"copies": 19, "concurrent": true}}),
        json!({"on": ["pending"], "drop": true}),
    ] {
        rig.client.arm(trick).await.unwrap();
    }
    pay(&rig, "O-3").await;
    let log = rig.settled_log("O-3").await;
    assert_eq!(log[0].verdict, Verdict::Dropped);
    let bodies = rig.receiver.bodies("O-3");
    assert_eq!(bodies.len(), 20);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let again = json!({"transaction_status": "settlement", "times": 3});
    rig.client.step("O-3", "resend", again).await.unwrap();
    rig.settled_log("O-3").await;
    let bodies = rig.receiver.bodies("O-3");
    assert_eq!(bodies.len(), 23);
    assert_eq!(bodies[22], bodies[0]);
}

#[tokio::test]
async fn a_delayed_notification_lets_its_successor_pass() {
    let rig = Rig::start().await;
    let late = json!({"on": ["pending"], "delay_ms": 1_000});
    rig.client.arm(late).await.unwrap();
    pay(&rig, "O-4").await;
    assert!(rig.sim.wait(BOUND, |traffic| traffic.delivered == 2).await);
    assert_eq!(rig.receiver.statuses("O-4"), ["settlement", "pending"]);
}

#[tokio::test]
async fn fields_are_left_out_and_added_without_breaking_the_signature() {
    let rig = Rig::start().await;
    let trick = json!({
        "on": ["settlement"],
        "omit": ["fraud_status", "currency", "merchant_id"],
        "add": {"new_field": {"deep": [1, null]}, "metadata": {"extra": 1}},
    });
    rig.client.arm(trick).await.unwrap();
    let charge = json!({"payment_type": "gopay", "metadata": {"order_id": "X"}});
    rig.client.charge("O-5", 48_500, charge).await.unwrap();
    rig.client.step("O-5", "pay", json!({})).await.unwrap();
    rig.settled_log("O-5").await;
    let body = rig.receiver.bodies("O-5").pop().unwrap();
    assert!(body["fraud_status"].is_null() && body["currency"].is_null());
    assert_eq!(body["metadata"], json!({"order_id": "X", "extra": 1}));
    assert_eq!(body["new_field"]["deep"][0], 1);
    let key = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";
    let signature = signature_key("O-5", "200", "48500.00", key);
    assert_eq!(body["signature_key"], signature);
}

#[tokio::test]
async fn a_fee_raises_the_amount_and_explains_itself() {
    let rig = Rig::start().await;
    rig.client
        .arm(json!({"order_id": "O-6", "fee": 1_065}))
        .await
        .unwrap();
    rig.client
        .charge("O-6", 150_000, json!({"payment_type": "gopay"}))
        .await
        .unwrap();
    rig.client.step("O-6", "pay", json!({})).await.unwrap();
    rig.settled_log("O-6").await;
    for body in rig.receiver.bodies("O-6") {
        assert_eq!(body["gross_amount"], "151065.00");
        let info = &body["metadata"]["extra_info"]["gross_amount_info"];
        assert_eq!(info["original_amount"], "150000");
        assert_eq!(info["customer_imposed_payment_fee"], "1065");
    }
}

#[tokio::test]
async fn odd_transaction_ids_and_lowered_captures_are_made_on_demand() {
    let rig = Rig::start().await;
    for trick in [
        json!({"order_id": "O-7", "times": 1, "transaction_id": "bi-snap"}),
        json!({"order_id": "O-7", "times": 1, "captured_amount": 9_000}),
    ] {
        rig.client.arm(trick).await.unwrap();
    }
    let card = json!({"token_id": "481111-x", "authentication": true});
    let method = json!({"payment_type": "credit_card", "credit_card": card});
    let made = rig.client.charge("O-7", 10_000, method).await.unwrap();
    assert!(made["transaction_id"].as_str().unwrap().ends_with("ID"));
    let paid = rig.client.step("O-7", "pay", json!({})).await.unwrap();
    assert_eq!(paid["gross_amount"], "9000.00");
}

#[tokio::test]
async fn a_misspelt_trick_is_refused_and_a_used_up_one_is_gone() {
    let rig = Rig::start().await;
    assert!(rig.client.arm(json!({"dropp": true})).await.is_err());
    let once = json!({"drop": true, "times": 1});
    rig.client.arm(once).await.unwrap();
    pay(&rig, "O-8").await;
    rig.settled_log("O-8").await;
    assert_eq!(rig.receiver.statuses("O-8"), ["settlement"]);
    let left = rig.client.get("/sim/tricks").await.unwrap();
    assert_eq!(left.body["tricks"], json!([]));
}

#[tokio::test]
async fn a_static_qris_payment_has_no_pending_and_an_order_id_of_its_own() {
    let rig = Rig::start().await;
    let reply = rig
        .client
        .post("/sim/static-qris", json!({"amount": 7_500}));
    let order = reply.await.unwrap().body["order_id"].clone();
    let order = order.as_str().unwrap();
    rig.settled_log(order).await;
    assert_eq!(rig.receiver.statuses(order), ["settlement"]);
}

async fn pay(rig: &Rig, order: &str) {
    let gopay = json!({"payment_type": "gopay"});
    rig.client.charge(order, 48_500, gopay).await.unwrap();
    rig.client.step(order, "pay", json!({})).await.unwrap();
}
