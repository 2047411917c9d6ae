//! Accounts and payouts: recorded once each, judged against what is known, forgeries refused.

use lunas_tests::harness::{Expect, Kind, Shop};
use serde_json::{Value, json};

use crate::{open, open_with, recorded, send, status, until_notices};

#[tokio::test]
async fn a_linked_account_is_recorded_once_and_stays_unlinked_once_it_is() {
    let mut shop = open().await;
    let id = "7d0c4b1e-2f63-4a95-b0d8-51ce9a37f204";
    let unlinked = json!({"account_status": "DISABLED", "status_code": "204"});
    for (fields, about) in [
        (json!({}), json!([["enabled", "applied", 1]])),
        (json!({}), json!([["enabled", "applied", 2]])),
        (
            unlinked,
            json!([["enabled", "applied", 2], ["disabled", "applied", 1]]),
        ),
    ] {
        assert_eq!(send(&mut shop, "pay_account", fields).await, 200);
        until_notices(&shop, id, about).await;
    }
    // Late: it was sent before the account was unlinked.
    let pending = json!({"account_status": "PENDING", "status_code": "201"});
    assert_eq!(send(&mut shop, "pay_account", pending).await, 200);
    let all = json!([
        ["enabled", "applied", 2],
        ["disabled", "applied", 1],
        ["pending", "stale", 1]
    ]);
    until_notices(&shop, id, all).await;
    let row = shop
        .row(
            "SELECT to_jsonb(n) FROM other_notifications n WHERE verdict = 'stale'
             AND external_id = $1",
            id,
        )
        .await;
    assert_eq!(row["is_verified"], true);
    assert_eq!(row["processing_error"], "a later state is known");
    assert_eq!(row["raw_body"]["signature_key"], Value::Null, "{row}");
    shop.close().await;
}

#[tokio::test]
async fn forged_and_malformed_notices_are_refused_and_leave_nothing() {
    let mut shop = open().await;
    for kind in ["pay_account", "payout"] {
        let forged = shop.notice(json!({"kind": kind, "forged": true})).await;
        assert_eq!(status(&forged), 401, "{forged}");
        assert_eq!(forged["answer"]["code"], "signature_mismatch");
        let malformed = shop.notice(json!({"kind": kind, "raw": "{\"a\":"})).await;
        assert_eq!(status(&malformed), 400, "{malformed}");
        let nothing = shop.notice(json!({"kind": kind, "raw": "{}"})).await;
        // An empty payout is signed like any other; what it lacks is the worker's to judge.
        let expected = if kind == "payout" { 200 } else { 400 };
        assert_eq!(status(&nothing), expected, "{nothing}");
    }
    // Signed for one account and sent for another.
    let stolen = json!({"kind": "pay_account", "fields": {"account_id": "another",
                        "signature_key": "2297118fb5c6a4073b0be002a63961e2fb0bd7b90ca636f141f6bef8253d4c50c1f1ee20118b2519be41256fddd0e1e51f6d775e17bc8361e9e466710a33e656"}});
    assert_eq!(status(&shop.notice(stolen).await), 401);
    shop.close_expecting(Expect::clean().dead_letters(1)).await;
}

#[tokio::test]
async fn payouts_come_in_any_order_and_a_completed_one_may_still_fail() {
    let mut shop = open().await;
    let step = |status: &str, second: u32| {
        let at = format!("2026-03-14T04:21:{second:02}Z");
        json!({"status": status, "updated_at": at})
    };
    for (fields, n) in [
        (step("completed", 9), 1),
        (step("processed", 5), 2),
        (step("failed", 30), 3),
        (step("completed", 31), 4),
    ] {
        assert_eq!(send(&mut shop, "payout", fields).await, 200);
        let query = "SELECT to_jsonb(count(*)) FROM other_notifications WHERE external_id = $1";
        let wanted = json!(n);
        lunas_tests::harness::wait_for(
            "the payout's next row",
            lunas_tests::harness::BOUND,
            async || {
                let seen = shop.row(query, "PO8K2M71").await;
                if seen == wanted {
                    Ok(())
                } else {
                    Err(seen.to_string())
                }
            },
        )
        .await;
    }
    assert_eq!(send(&mut shop, "payout", step("failed", 30)).await, 200);
    let wanted = json!([
        ["completed", "applied", 1],
        ["processed", "stale", 1],
        ["failed", "applied", 2],
        ["completed", "stale", 1]
    ]);
    until_notices(&shop, "PO8K2M71", wanted).await;
    let topup = json!({"reference_no": null, "amount": null, "updated_at": null,
                       "transaction_id": "t-1", "order_id": "o-1", "gross_amount": "5000.00",
                       "status": "topup", "transaction_time": "2026-03-14 10:00:00"});
    assert_eq!(send(&mut shop, "payout", topup).await, 200);
    until_notices(&shop, "t-1", json!([["topup", "applied", 1]])).await;
    shop.close().await;
}

#[tokio::test]
async fn a_hundred_deliveries_at_once_make_one_row() {
    let shop = open_with(|fleet| fleet.workers(2)).await;
    let sends = (0..100).map(|_| {
        let order = json!({"kind": "payout"});
        shop.midtrans.post("/sim/notices", order)
    });
    for sent in futures::future::join_all(sends).await {
        assert_eq!(status(&sent.unwrap().body), 200);
    }
    until_notices(&shop, "PO8K2M71", json!([["completed", "applied", 100]])).await;
    ledger_adds_up(shop, 100.0).await;
}

/// What ingest accepted is what the workers settled.
async fn ledger_adds_up(mut shop: Shop, accepted: f64) {
    let taken = shop.fleet.ingest(0);
    let taken = taken.metric("lunas_ingest_accepted_total", &[]).await;
    assert!((taken - accepted).abs() < f64::EPSILON, "{taken}");
    let mut settled = 0.0;
    for index in 0..2 {
        for verdict in ["applied", "duplicate"] {
            let label = format!("verdict=\"{verdict}\"");
            let worker = shop.fleet.worker(index);
            settled += worker
                .metric("lunas_notifications_settled_total", &[&label])
                .await;
        }
    }
    assert!((settled - accepted).abs() < f64::EPSILON, "{settled}");
    shop.close().await;
}

#[tokio::test]
async fn without_its_key_an_endpoint_says_that_it_is_not_configured() {
    let mut shop = Shop::open().await;
    let payout = shop.notice(json!({"kind": "payout"})).await;
    assert_eq!(status(&payout), 404);
    assert_eq!(payout["answer"]["code"], "not_configured");
    let debit = shop.notice(json!({"kind": "bi_snap_debit"})).await;
    assert_eq!(status(&debit), 404);
    assert_eq!(debit["answer"]["responseCode"], "4045600");
    assert_eq!(recorded(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn an_access_token_rests_neither_in_the_queue_nor_in_a_table() {
    let token = "canary-access-token-of-a-customer";
    let mut shop = open_with(|fleet| fleet.workers(0)).await;
    assert_eq!(send(&mut shop, "bi_snap_account", json!({})).await, 200);
    let queued = shop.stage().broker().take_all("lunas.webhooks").await;
    let body = String::from_utf8(queued[0].body.to_vec()).unwrap();
    assert!(!body.contains(token) && body.contains("sha256:"), "{body}");

    shop.fleet.start(Kind::Worker, &[]).await;
    assert_eq!(send(&mut shop, "bi_snap_account", json!({})).await, 200);
    let digest = serde_json::from_str::<Value>(&body).unwrap()["additionalInfo"]["accessToken"]
        .as_str()
        .unwrap()
        .to_owned();
    until_notices(&shop, &digest, json!([["enabled", "applied", 1]])).await;
    let leaked: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM other_notifications n WHERE to_jsonb(n)::text LIKE '%canary%'",
    )
    .fetch_one(shop.stage().pool())
    .await
    .unwrap();
    assert_eq!(leaked, 0);
    // The account is unlinked; what was sent before comes late.
    let info = |status: &str, why: &str| {
        json!({"additionalInfo": {"accessToken": token, "merchantId": "G812900451",
               "paymentType": "gopay", "accountStatus": status, "statusMessage": why}})
    };
    let unlinked = info("DISABLED", "Account unlinked");
    assert_eq!(send(&mut shop, "bi_snap_account", unlinked).await, 200);
    let two = json!([["enabled", "applied", 1], ["disabled", "applied", 1]]);
    until_notices(&shop, &digest, two).await;
    let late = info("ENABLED", "User changed phone number");
    assert_eq!(send(&mut shop, "bi_snap_account", late).await, 200);
    let three = json!([
        ["enabled", "applied", 1],
        ["disabled", "applied", 1],
        ["enabled", "stale", 1]
    ]);
    until_notices(&shop, &digest, three).await;
    shop.close().await;
}
