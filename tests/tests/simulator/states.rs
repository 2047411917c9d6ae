//! What a transaction may become, and what is sent on the way.

use serde_json::{Value, json};

use super::Rig;

#[tokio::test]
async fn a_refund_notifies_twice_with_one_signature() {
    let rig = Rig::start().await;
    pay(&rig, "F-1", json!({"payment_type": "gopay"})).await;
    let refund = json!({"refund_key": "rf-1", "amount": 12_000, "reason": "out of stock"});
    let reply = rig.client.post("/v2/F-1/refund", refund.clone()).await;
    assert_eq!(reply.unwrap().body["transaction_status"], "partial_refund");
    rig.settled_log("F-1").await;
    let pair = rig.receiver.bodies("F-1").split_off(2);
    assert_eq!(pair.len(), 2);
    assert_eq!(pair[0]["signature_key"], pair[1]["signature_key"]);
    assert_eq!(pair[0]["refund_amount"], "12000.00");
    assert!(pair[0]["refunds"][0]["bank_confirmed_at"].is_null());
    assert!(pair[1]["refunds"][0]["bank_confirmed_at"].is_string());
    assert_eq!(code(&rig, "/v2/F-1/refund", refund).await, "406");
    let rest = json!({"amount": 36_500, "confirm": "now"});
    let done = rig.client.step("F-1", "refund", rest).await.unwrap();
    assert_eq!(done["transaction_status"], "refund");
    assert_eq!(done["refund_amount"], "48500.00");
}

#[tokio::test]
async fn virtual_accounts_are_not_refundable_and_shopeepay_only_wholly() {
    let rig = Rig::start().await;
    let bca = json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": "bca"}});
    pay(&rig, "F-2", bca).await;
    assert_eq!(
        code(&rig, "/v2/F-2/refund", json!({"amount": 1})).await,
        "412"
    );
    pay(&rig, "F-3", json!({"payment_type": "shopeepay"})).await;
    assert_eq!(
        code(&rig, "/v2/F-3/refund", json!({"amount": 1})).await,
        "414"
    );
    assert_eq!(code(&rig, "/v2/F-3/refund", json!({})).await, "200");
}

#[tokio::test]
async fn only_permata_mandiri_and_indomaret_are_reversed() {
    let rig = Rig::start().await;
    let methods = [
        (
            json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": "permata"}}),
            true,
        ),
        (json!({"payment_type": "echannel"}), true),
        (
            json!({"payment_type": "cstore", "cstore": {"store": "indomaret"}}),
            true,
        ),
        (
            json!({"payment_type": "cstore", "cstore": {"store": "alfamart"}}),
            false,
        ),
        (json!({"payment_type": "gopay"}), false),
    ];
    for (number, (method, reversible)) in methods.into_iter().enumerate() {
        let order = format!("V-{number}");
        pay(&rig, &order, method).await;
        let reversed = rig.client.step(&order, "reverse", json!({})).await;
        assert_eq!(reversed.is_ok(), reversible, "{order}");
        rig.settled_log(&order).await;
        let mut expected = vec!["pending", "settlement"];
        expected.extend(reversible.then_some("deny"));
        assert_eq!(rig.receiver.statuses(&order), expected);
    }
}

#[tokio::test]
async fn a_card_token_decides_how_the_charge_ends() {
    let rig = Rig::start().await;
    let table = [
        ("481111-1114-a", "capture", "accept", "200"),
        ("451111-1117-a", "capture", "challenge", "201"),
        ("491111-1113-a", "deny", "accept", "202"),
        ("461111-1116-a", "deny", "deny", "202"),
    ];
    for (token, status, fraud, status_code) in table {
        let card = json!({"token_id": token});
        let method = json!({"payment_type": "credit_card", "credit_card": card});
        let body = rig.client.charge(token, 150_000, method).await.unwrap();
        assert_eq!(body["transaction_status"], status);
        assert_eq!(body["fraud_status"], fraud);
        rig.settled_log(token).await;
        assert_eq!(rig.receiver.bodies(token)[0]["status_code"], status_code);
        let card = json!({"token_id": token, "authentication": true});
        let method = json!({"payment_type": "credit_card", "credit_card": card});
        let order = format!("3ds-{token}");
        let body = rig.client.charge(&order, 150_000, method).await.unwrap();
        assert_eq!(body["transaction_status"], "pending");
        assert!(body["redirect_url"].is_string());
        let body = rig.client.step(&order, "pay", json!({})).await.unwrap();
        assert_eq!(body["transaction_status"], status);
    }
}

#[tokio::test]
async fn captured_cards_settle_in_one_burst_and_undecided_challenges_are_dropped() {
    let rig = Rig::start().await;
    for (order, token) in [
        ("B-1", "481111-x"),
        ("B-2", "481111-x"),
        ("B-3", "451111-x"),
    ] {
        let method = json!({"payment_type": "credit_card", "credit_card": {"token_id": token}});
        rig.client.charge(order, 10_000, method).await.unwrap();
    }
    let reply = rig.client.post("/sim/settle-cards", json!({})).await;
    assert_eq!(reply.unwrap().body["settled"], 3);
    rig.settled_log("B-1").await;
    assert_eq!(rig.receiver.statuses("B-1"), ["capture", "settlement"]);
    assert_eq!(rig.receiver.statuses("B-3"), ["capture", "cancel"]);
    let part = json!({"amount": 4_000});
    let body = rig.client.step("B-1", "chargeback", part).await.unwrap();
    assert_eq!(body["transaction_status"], "partial_chargeback");
    let body = rig.client.step("B-1", "chargeback", json!({})).await;
    assert_eq!(body.unwrap()["transaction_status"], "chargeback");
}

#[tokio::test]
async fn a_preauthorisation_is_captured_for_less_and_a_refusing_bank_leaves_it() {
    let rig = Rig::start().await;
    let card = json!({"token_id": "481111-x", "type": "authorize"});
    let method = json!({"payment_type": "credit_card", "credit_card": card});
    let body = rig.client.charge("H-1", 150_000, method).await.unwrap();
    assert_eq!(body["transaction_status"], "authorize");
    let refuse = json!({"times": 1, "api": {"call": "capture", "answer": "refused"}});
    rig.client.arm(refuse).await.unwrap();
    let request = json!({"transaction_id": body["transaction_id"], "gross_amount": 145_000});
    assert_eq!(code(&rig, "/v2/capture", request.clone()).await, "202");
    let status = rig.client.get("/v2/H-1/status").await.unwrap().body;
    assert_eq!(status["transaction_status"], "authorize");
    assert_eq!(code(&rig, "/v2/capture", request).await, "200");
    rig.settled_log("H-1").await;
    let last = rig.receiver.bodies("H-1").pop().unwrap();
    assert_eq!(last["gross_amount"], "145000.00");
}

#[tokio::test]
async fn an_order_id_is_free_again_after_cancel_expire_and_deny_only() {
    let rig = Rig::start().await;
    let gopay = json!({"payment_type": "gopay"});
    for step in ["cancel", "expire", "deny"] {
        let order = format!("N-{step}");
        let first = rig.client.charge(&order, 5_000, gopay.clone()).await;
        let taken = rig.client.charge(&order, 5_000, gopay.clone()).await;
        assert_eq!(taken.unwrap()["status_code"], "406");
        rig.client.step(&order, step, json!({})).await.unwrap();
        let second = rig.client.charge(&order, 5_000, gopay.clone()).await;
        let second = second.unwrap();
        assert_ne!(first.unwrap()["transaction_id"], second["transaction_id"]);
        let all = rig.client.get(&format!("/v2/{order}/status/b2b")).await;
        let all = all.unwrap().body;
        assert_eq!(all["transactions"].as_array().unwrap().len(), 2);
        let latest = rig.client.get(&format!("/v2/{order}/status")).await;
        assert_eq!(
            latest.unwrap().body["transaction_id"],
            second["transaction_id"]
        );
        rig.client.step(&order, "pay", json!({})).await.unwrap();
        let taken = rig.client.charge(&order, 5_000, gopay.clone()).await;
        assert_eq!(taken.unwrap()["status_code"], "406");
    }
}

#[tokio::test]
async fn time_runs_out_on_the_scaled_clock() {
    let rig = Rig::with(|options| options.expiry_scale = Some(10_000.0)).await;
    let gopay = json!({"payment_type": "gopay"});
    rig.client.charge("T-1", 5_000, gopay).await.unwrap();
    let ended = rig.sim.wait(super::BOUND, |traffic| traffic.delivered == 2);
    assert!(
        ended.await,
        "fifteen minutes at ten thousand times never ended"
    );
    assert_eq!(rig.receiver.statuses("T-1"), ["pending", "expire"]);
    assert_eq!(rig.receiver.bodies("T-1")[1]["status_code"], "202");
    let status = rig.client.get("/v2/T-1/status").await.unwrap();
    assert_eq!(
        (status.status, &status.body["status_code"]),
        (200, &json!("407"))
    );
}

async fn pay(rig: &Rig, order: &str, method: Value) {
    rig.client.charge(order, 48_500, method).await.unwrap();
    rig.client.step(order, "pay", json!({})).await.unwrap();
}

async fn code(rig: &Rig, path: &str, body: Value) -> String {
    let reply = rig.client.post(path, body).await.unwrap();
    reply.body["status_code"].as_str().unwrap().to_owned()
}
