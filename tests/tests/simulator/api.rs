//! The gateway's API: authentication, validation, idempotency, Snap, the traps of GET status.

use lunas_tests::sim::{SimClient, charge_body};
use serde_json::{Value, json};

use super::Rig;

#[tokio::test]
async fn requests_are_refused_as_documented() {
    let rig = Rig::start().await;
    let stranger = SimClient::new(&rig.sim.base_url(), "wrong").unwrap();
    let refused = stranger.get("/v2/any/status").await.unwrap();
    assert_eq!(
        (refused.status, &refused.body["status_code"]),
        (401, &json!("401"))
    );
    let refused = stranger.post("/snap/v1/transactions", json!({})).await;
    let refused = refused.unwrap();
    assert_eq!(refused.status, 401);
    assert!(refused.body["error_messages"][0].is_string());
    let gopay = json!({"payment_type": "gopay"});
    let mut items = charge_body("D-1", 5_000, gopay.clone());
    items["item_details"] = json!([{"price": 2_000, "quantity": 2, "id": "a", "name": "a"}]);
    let mut fraction = charge_body("D-2", 0, gopay.clone());
    fraction["transaction_details"]["gross_amount"] = json!(5000.5);
    let slash = charge_body("D/3", 5_000, gopay.clone());
    let long = charge_body(&"D".repeat(51), 5_000, gopay);
    for body in [items, fraction, slash, long] {
        let reply = rig.client.post("/v2/charge", body).await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["status_code"]),
            (400, &json!("400"))
        );
        assert!(reply.body["validation_messages"][0].is_string());
    }
    let unknown = rig.client.get("/v2/a/b/status").await.unwrap();
    assert_eq!(
        (unknown.status, &unknown.body["status"]),
        (404, &json!(404))
    );
}

#[tokio::test]
async fn an_idempotency_key_repeats_the_answer_and_says_202_meanwhile() {
    let rig = Rig::start().await;
    let slow = json!({"times": 1, "api": {"call": "charge", "delay_ms": 1_000}});
    rig.client.arm(slow).await.unwrap();
    let key = ("Idempotency-Key", "k-1-charge");
    let charge = |order: &str| {
        let body = charge_body(order, 5_000, json!({"payment_type": "gopay"}));
        rig.client.post_with("/v2/charge", body, key)
    };
    let (first, second) = tokio::join!(charge("K-1"), charge("K-1"));
    let mut codes = [first, second].map(|reply| reply.unwrap().status);
    codes.sort_unstable();
    assert_eq!(codes, [200, 202]);
    let again = charge("K-other").await.unwrap().body;
    assert_eq!(
        (&again["order_id"], &again["status_code"]),
        (&json!("K-1"), &json!("201"))
    );
    let long = "k".repeat(47);
    let body = charge_body("K-1", 5_000, json!({"payment_type": "gopay"}));
    let ignored = rig
        .client
        .post_with("/v2/charge", body, ("Idempotency-Key", &long));
    assert_eq!(ignored.await.unwrap().body["status_code"], "406");
}

#[tokio::test]
async fn a_snap_page_is_no_transaction_until_a_method_is_picked() {
    let rig = Rig::start().await;
    let request = json!({
        "transaction_details": {"order_id": "W-1", "gross_amount": 70_000},
        "custom_field1": "web",
    });
    let create = || rig.client.post("/snap/v1/transactions", request.clone());
    let old = create().await.unwrap();
    assert_eq!(old.status, 201);
    assert_eq!(status(&rig, "W-1").await["status_code"], "404");
    let new = create().await.unwrap().body;
    let pick = |page: &Value| format!("/sim/snap/{}/pick", page["token"].as_str().unwrap());
    let bca = json!({"payment_type": "bank_transfer", "bank": "bca"});
    let replaced = rig
        .client
        .post(&pick(&old.body), bca.clone())
        .await
        .unwrap();
    assert_eq!(replaced.status, 409);
    let picked = rig.client.post(&pick(&new), bca).await.unwrap().body;
    assert_eq!(picked["va_numbers"][0]["bank"], "bca");
    let taken = create().await.unwrap();
    assert_eq!(taken.status, 400);
    assert!(taken.body["error_messages"].is_array());
    assert_eq!(status(&rig, "W-1").await["transaction_status"], "pending");
    rig.client.step("W-1", "deny", json!({})).await.unwrap();
    let gopay = json!({"payment_type": "gopay"});
    let retry = rig.client.post(&pick(&new), gopay).await.unwrap();
    assert_eq!(retry.body["transaction_status"], "pending");
    rig.settled_log("W-1").await;
    assert_eq!(rig.receiver.statuses("W-1"), ["pending", "deny", "pending"]);
    assert_eq!(rig.receiver.bodies("W-1")[0]["custom_field1"], "web");
}

#[tokio::test]
async fn a_cancelled_snap_page_sends_nothing_and_cannot_be_used() {
    let rig = Rig::start().await;
    let request = json!({"transaction_details": {"order_id": "W-2", "gross_amount": 70_000}});
    let page = rig.client.post("/snap/v1/transactions", request).await;
    let token = page.unwrap().body["token"].as_str().unwrap().to_owned();
    let cancel = format!("/snap/v1/transactions/{token}/cancel");
    let cancelled = rig.client.post(&cancel, json!({})).await.unwrap();
    assert_eq!(cancelled.status, 200);
    assert_eq!(
        rig.client.post(&cancel, json!({})).await.unwrap().status,
        400
    );
    let pick = format!("/sim/snap/{token}/pick");
    assert_eq!(rig.client.post(&pick, json!({})).await.unwrap().status, 409);
    assert!(rig.settled_log("W-2").await.is_empty());
}

#[tokio::test]
async fn methods_on_bi_snap_rails_are_known_by_transaction_id_only() {
    let rig = Rig::start().await;
    let bsi = json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": "bsi"}});
    let made = rig.client.charge("X-1", 113_500, bsi).await.unwrap();
    let id = made["transaction_id"].as_str().unwrap();
    assert!(id.starts_with("A1") && id.ends_with("ID"));
    assert_eq!(status(&rig, "X-1").await["status_code"], "404");
    assert_eq!(status(&rig, id).await["order_id"], id);
    rig.settled_log("X-1").await;
    assert!(rig.receiver.bodies("X-1")[0]["expiry_time"].is_string());
}

#[tokio::test]
async fn get_status_plays_every_trap_on_demand() {
    let rig = Rig::start().await;
    let gopay = json!({"payment_type": "gopay"});
    let made = rig.client.charge("Y-1", 5_000, gopay).await.unwrap();
    let arm = |answer: &str| {
        let trick = json!({"order_id": "Y-1", "times": 1, "api": {"answer": answer}});
        rig.client.arm(trick)
    };
    let look = || rig.client.get("/v2/Y-1/status");
    for (answer, http) in [
        ("too_many_requests", 429),
        ("unavailable", 503),
        ("server_error", 500),
    ] {
        arm(answer).await.unwrap();
        let reply = look().await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["status_code"]),
            (http, &json!(http.to_string()))
        );
    }
    arm("not_found").await.unwrap();
    let reply = look().await.unwrap();
    assert_eq!(
        (reply.status, &reply.body["status_code"]),
        (200, &json!("404"))
    );
    arm("expired").await.unwrap();
    assert_eq!(look().await.unwrap().body["status_code"], "407");
    arm("upper_case").await.unwrap();
    assert_eq!(look().await.unwrap().body["transaction_status"], "PENDING");
    arm("transaction_id_as_order_id").await.unwrap();
    let reply = look().await.unwrap();
    assert_eq!(reply.body["order_id"], made["transaction_id"]);
    arm("forbidden_page").await.unwrap();
    let reply = look().await.unwrap();
    assert_eq!((reply.status, reply.body), (403, Value::Null));
    arm("down").await.unwrap();
    assert!(look().await.is_err(), "a cut connection is no answer");
    assert_eq!(look().await.unwrap().body["transaction_status"], "pending");
}

#[tokio::test]
async fn a_charge_may_take_effect_although_its_answer_is_lost() {
    let rig = Rig::start().await;
    let trick = json!({"times": 1, "api": {"call": "charge", "answer": "down", "processed": true}});
    rig.client.arm(trick).await.unwrap();
    let gopay = json!({"payment_type": "gopay"});
    assert!(rig.client.charge("Z-1", 5_000, gopay).await.is_err());
    assert_eq!(status(&rig, "Z-1").await["transaction_status"], "pending");
}

async fn status(rig: &Rig, id: &str) -> Value {
    let reply = rig.client.get(&format!("/v2/{id}/status")).await;
    reply.unwrap().body
}
