//! What Midtrans hears at the BI-SNAP endpoints.

use lunas_tests::harness::Expect;
use serde_json::{Value, json};

use crate::{open, open_with, recorded, status};

#[tokio::test]
async fn each_product_is_answered_in_its_own_envelope() {
    let mut shop = open_with(|fleet| fleet.workers(0)).await;
    let done = "Request has been processed successfully";
    for (kind, code, message) in [
        ("bi_snap_debit", "2005600", done),
        ("bi_snap_qr", "2005200", done),
        ("bi_snap_va", "2002500", "Successful"),
        ("bi_snap_account", "2008800", done),
    ] {
        for whole_path in [false, true] {
            let sent = shop
                .notice(json!({"kind": kind, "whole_path": whole_path}))
                .await;
            assert_eq!(status(&sent), 200, "{sent}");
            assert_eq!(sent["answer"]["responseCode"], code);
            assert_eq!(sent["answer"]["responseMessage"], message);
            let stamp = sent["timestamp"].as_str().unwrap();
            assert!(stamp.ends_with("+07:00") && stamp.len() == 25, "{stamp}");
            if kind == "bi_snap_va" {
                let echo = json!({
                    "partnerServiceId": "   70045", "customerNo": "00000000451877000877",
                    "virtualAccountNo": "   7004500000000451877000877",
                    "trxId": "INV-20260314-000877"});
                assert_eq!(sent["answer"]["virtualAccountData"], echo);
            }
        }
    }
    let queued = shop.stage().broker().take_all("lunas.webhooks").await;
    assert_eq!(queued.len(), 8);
    shop.close().await;
}

#[tokio::test]
async fn refusals_have_the_code_of_their_cause() {
    let mut shop = open().await;
    for (kind, service) in [
        ("bi_snap_debit", "56"),
        ("bi_snap_qr", "52"),
        ("bi_snap_va", "25"),
        ("bi_snap_account", "88"),
    ] {
        let code = |sent: &Value| sent["answer"]["responseCode"].as_str().unwrap().to_owned();
        let forged = shop.notice(json!({"kind": kind, "forged": true})).await;
        assert_eq!(
            (status(&forged), code(&forged)),
            (401, format!("401{service}00"))
        );
        let empty = shop.notice(json!({"kind": kind, "raw": "{}"})).await;
        assert_eq!(
            (status(&empty), code(&empty)),
            (400, format!("400{service}02"))
        );
        let no_json = shop.notice(json!({"kind": kind, "raw": "hello"})).await;
        assert_eq!(
            (status(&no_json), code(&no_json)),
            (400, format!("400{service}00"))
        );
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
        let large = shop.notice(json!({"kind": kind, "raw": large})).await;
        assert_eq!(
            (status(&large), code(&large)),
            (413, format!("413{service}00"))
        );
    }
    let url = shop.fleet.webhook_url();
    let url = url.replace("/midtrans", "/bi-snap/v1.0/debit/notify");
    let read = reqwest::get(&url).await.unwrap();
    assert_eq!(read.status().as_u16(), 405);
    let unsigned = reqwest::Client::new()
        .post(&url)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status().as_u16(), 400);
    let body: Value = serde_json::from_slice(&unsigned.bytes().await.unwrap()).unwrap();
    assert_eq!(body["responseCode"], "4005602");
    assert_eq!(recorded(&shop).await, 0);
    shop.close_expecting(Expect::clean()).await;
}
