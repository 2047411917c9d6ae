//! Signatures, retries, redirects and the order of notifications.

use std::time::Duration;

use lunas_tests::sim::{Verdict, signature_key};
use serde_json::json;

use super::Rig;

const KEY: &str = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa";

/// The vectors of the fact sheet: order id, code, amount, key, signature.
const VECTORS: [[&str; 5]; 3] = [
    [
        "INV-20260314-000871",
        "200",
        "150000.00",
        KEY,
        "e0b42aa01199ee44e72dfc9c044ead509fb921a100a97d1fede74185428abf8e\
         b7c849ede4069607e69ce9e799985e7c56c10154a7c433c68a68db1ba77f53e2",
    ],
    [
        "ORDER~77.A_b-9",
        "202",
        "1.00",
        "Mid-server-Zk81NwqPoR3cJtEy5XvGhB6u",
        "84f8b2b30f332288f00203c1999d2489c5e69564b50a9e68d83d154f6ae17773\
         ec153129acd14805e16509ab9a7054814601d17101d35aebe559f4c2da94a3f6",
    ],
    [
        "payment_notif_test_G812900451_5b1f3c0e-8c1d-4f0a-9a57-2f6f1f0b7c11",
        "200",
        "105000.00",
        "SB-Mid-server-AAAAAAAAAAAAAAAAAAAAAAAA",
        "169ccbd1393e4f39091960709462a668f3e7960463687854a192179783d6b35a\
         20a4b2525ca78fecd85a300578937025550d4bcaa21b8ad2de0dcbf30a216f44",
    ],
];

#[test]
fn the_signature_formula_matches_the_published_vectors() {
    for [order, code, amount, key, signature] in VECTORS {
        assert_eq!(signature_key(order, code, amount, key), signature);
    }
    let [order, code, _, key, signature] = VECTORS[0];
    assert_ne!(signature_key(order, code, "150000", key), signature);
    assert_ne!(signature_key(order, "201", "150000.00", key), signature);
}

#[tokio::test]
async fn a_notification_carries_the_documented_headers_and_a_valid_signature() {
    let rig = Rig::start().await;
    let charge = json!({"payment_type": "gopay", "custom_field1": "web"});
    rig.client.charge("A-1", 48_500, charge).await.unwrap();
    rig.client.step("A-1", "pay", json!({})).await.unwrap();
    rig.settled_log("A-1").await;
    assert_eq!(rig.receiver.statuses("A-1"), ["pending", "settlement"]);
    for body in rig.receiver.bodies("A-1") {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let signature = signature_key("A-1", &text("status_code"), "48500.00", KEY);
        assert_eq!(text("signature_key"), signature);
        assert_eq!(text("gross_amount"), "48500.00");
        assert_eq!(text("custom_field1"), "web");
        assert_eq!(text("transaction_time").len(), "2026-03-14 10:01:07".len());
    }
    let headers = rig.receiver.first_headers();
    assert_eq!(headers["user-agent"], "Veritrans");
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn every_answer_gets_its_number_of_retries_at_its_intervals() {
    let rig = Rig::start().await;
    let table = [
        (200, 0, Verdict::Delivered),
        (500, 1, Verdict::GivenUp),
        (503, 4, Verdict::GivenUp),
        (400, 2, Verdict::GivenUp),
        (404, 2, Verdict::GivenUp),
        (401, 5, Verdict::GivenUp),
        (429, 5, Verdict::GivenUp),
        (502, 5, Verdict::GivenUp),
    ];
    for (code, _, _) in table {
        notify(&rig, &format!("C-{code}"), &format!("/status/{code}")).await;
    }
    for (code, retries, last) in table {
        let order = format!("C-{code}");
        let log = rig.settled_log(&order).await;
        assert_eq!(log.len(), retries + 1, "answer {code}");
        assert_eq!(rig.receiver.bodies(&order).len(), retries + 1);
        assert_eq!(log[retries].verdict, last, "answer {code}");
        let nominal: Vec<u64> = log.iter().filter_map(|line| line.retry_nominal_s).collect();
        assert_eq!(nominal, [120, 600, 1_800, 5_400, 12_600][..retries]);
        for line in log {
            assert_eq!(line.http_status, Some(code));
            let (real, nominal) = (line.retry_in_ms, line.retry_nominal_s);
            assert!(real.unwrap_or(0) * 100_000 <= nominal.unwrap_or(0) * 1_000);
        }
    }
}

#[tokio::test]
async fn permanent_redirects_lose_the_notification_and_307_is_followed_five_times() {
    let rig = Rig::start().await;
    for code in [301, 302, 303] {
        let order = format!("R-{code}");
        notify(&rig, &order, &format!("/moved/{code}")).await;
        let log = rig.settled_log(&order).await;
        assert_eq!((log.len(), log[0].verdict), (1, Verdict::Lost));
        assert!(rig.receiver.bodies(&order).is_empty());
    }
    notify(&rig, "R-308", "/moved/308").await;
    notify(&rig, "R-5", "/hops/5").await;
    notify(&rig, "R-6", "/hops/6").await;
    for (order, hops) in [("R-308", 1), ("R-5", 5)] {
        let log = rig.settled_log(order).await;
        assert_eq!((log.len(), log[0].hops), (1, hops));
        assert_eq!(rig.receiver.bodies(order).len(), 1);
    }
    let log = rig.settled_log("R-6").await;
    assert_eq!((log.len(), log[5].error), (6, Some("redirects")));
}

#[tokio::test]
async fn silence_and_refused_connections_get_five_retries() {
    let rig = Rig::with(|options| options.delivery_timeout = Duration::from_millis(100)).await;
    notify(&rig, "S-1", "/hang").await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/gone", free.local_addr().unwrap());
    drop(free);
    notify_url(&rig, "S-2", &closed).await;
    for (order, error) in [("S-1", "timeout"), ("S-2", "connection")] {
        let log = rig.settled_log(order).await;
        assert_eq!((log.len(), log[5].error), (6, Some(error)));
        assert_eq!(log[5].verdict, Verdict::GivenUp);
    }
}

#[tokio::test]
async fn appended_urls_are_served_besides_the_configured_one_and_overriding_ones_instead() {
    let rig = Rig::start().await;
    let body = lunas_tests::sim::charge_body("U-1", 1_000, json!({"payment_type": "gopay"}));
    let other = rig.receiver.url("/status/503");
    let header = ("X-Append-Notification", other.as_str());
    rig.client
        .post_with("/v2/charge", body, header)
        .await
        .unwrap();
    let log = rig.settled_log("U-1").await;
    let of = |url: &str| log.iter().filter(|line| line.url.ends_with(url)).count();
    assert_eq!((of("/status/200"), of("/status/503")), (1, 5));
    notify(&rig, "U-2", "/status/204").await;
    let log = rig.settled_log("U-2").await;
    assert_eq!((log.len(), log[0].http_status), (1, Some(204)));
}

#[tokio::test]
async fn the_dashboard_test_is_66_characters_signed_and_tried_once() {
    let rig = Rig::start().await;
    let reply = rig.client.post("/sim/test-notification", json!({})).await;
    let reply = reply.unwrap().body;
    let order = reply["order_id"].as_str().unwrap();
    assert_eq!((order.len(), &reply["ok"]), (66, &json!(true)));
    let body = &rig.receiver.bodies(order)[0];
    assert_eq!(
        body["signature_key"],
        signature_key(order, "200", "105000.00", KEY)
    );
    rig.sim.set_notify_url(&rig.receiver.url("/status/204"));
    let reply = rig.client.post("/sim/test-notification", json!({})).await;
    assert_eq!(reply.unwrap().body["ok"], false);
}

/// A card denied at once sends exactly one notification, here to `path` only.
async fn notify(rig: &Rig, order: &str, path: &str) {
    notify_url(rig, order, &rig.receiver.url(path)).await;
}

async fn notify_url(rig: &Rig, order: &str, url: &str) {
    let card = json!({"payment_type": "credit_card", "credit_card": {"token_id": "491111-1113-x"}});
    let body = lunas_tests::sim::charge_body(order, 99_000, card);
    let header = ("X-Override-Notification", url);
    let reply = rig.client.post_with("/v2/charge", body, header).await;
    assert_eq!(reply.unwrap().body["status_code"], "202");
}
