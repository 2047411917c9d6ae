//! `lunas sync`, which needs no api.

use lunas_tests::harness::Shop;
use lunas_tests::sim::Call;
use serde_json::json;

use crate::support::{log, lunas, open_slot, order, paid_in_silence, tickets};

async fn shop() -> Shop {
    let shop = Shop::open().await;
    open_slot(&shop).await;
    shop
}

#[tokio::test]
async fn one_order_is_asked_about_without_a_question() {
    let shop = shop().await;
    let midtrans = shop.sim.base_url();
    order(&shop, "LNS-1").await;
    paid_in_silence(&shop, "LNS-1").await;
    let first = lunas(shop.stage(), &midtrans, &["sync", "LNS-1", "--json"]).await;
    let paid = json!({"order_code": "LNS-1", "updated": true, "status": "PAID", "error": null});
    assert_eq!(first.json(0), json!([paid]));
    assert_eq!(tickets(&shop, "LNS-1").await, json!(2));
    let again = lunas(shop.stage(), &midtrans, &["sync", "LNS-1", "--json"]).await;
    assert_eq!(again.json(0)[0]["updated"], json!(false));
    let rows = log(&shop, "LNS-1").await;
    let asked = json!(["sync_payment", "siti", "PENDING", "PAID"]);
    assert!(rows.as_array().unwrap().contains(&asked), "{rows}");
    shop.close().await;
}

#[tokio::test]
async fn everything_open_since_then_is_asked_about_after_a_question() {
    let shop = shop().await;
    let midtrans = shop.sim.base_url();
    for code in ["LNS-1", "LNS-2", "LNS-3", "LNS-4"] {
        order(&shop, code).await;
    }
    for code in ["LNS-1", "LNS-3", "LNS-4"] {
        paid_in_silence(&shop, code).await;
    }
    let old = "UPDATE orders SET created_at = now() - interval '3 hours'
               WHERE order_code = 'LNS-4'";
    sqlx::query(old).execute(shop.stage().pool()).await.unwrap();

    let since = ["sync", "--pending-since", "2h"];
    let unasked = lunas(shop.stage(), &midtrans, &since).await;
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    let planned = [&since[..], &["--dry-run", "--json"]].concat();
    let planned = lunas(shop.stage(), &midtrans, &planned).await.json(0);
    let codes = |lines: &serde_json::Value| -> Vec<String> {
        let lines = lines.as_array().unwrap().iter();
        let code = |line: &serde_json::Value| line["order_code"].as_str().unwrap().to_owned();
        lines.map(code).collect()
    };
    assert_eq!(codes(&planned), ["LNS-1", "LNS-2", "LNS-3"]);
    let asks = json!([{"session_id": "LNS-1", "id": "LNS-1"}]);
    assert_eq!(planned[0]["asks"], asks);
    assert_eq!(shop.sim.calls(Call::Status, "LNS-1"), 0);

    let run = [&since[..], &["--yes", "--json"]].concat();
    let run = lunas(shop.stage(), &midtrans, &run).await.json(0);
    assert_eq!(codes(&run), ["LNS-1", "LNS-2", "LNS-3"]);
    let found = [&run[0], &run[1], &run[2]].map(|line| (&line["status"], &line["updated"]));
    let (paid, open) = (json!("PAID"), json!("PENDING"));
    assert_eq!(
        found,
        [
            (&paid, &json!(true)),
            (&open, &json!(false)),
            (&paid, &json!(true))
        ]
    );
    assert_eq!(shop.order_row("LNS-4").await["status"], "PENDING");

    let all = ["sync", "--pending-since", "2020-01-01T00:00:00Z", "--yes"];
    let all = lunas(shop.stage(), &midtrans, &all).await;
    assert_eq!(all.code, Some(0), "{all:?}");
    assert!(
        all.out.contains("2 asked about, 1 updated, 0 failed"),
        "{all:?}"
    );
    assert_eq!(shop.order_row("LNS-4").await["status"], "PAID");
    shop.close().await;
}

#[tokio::test]
async fn what_failed_is_told_and_the_rest_is_done() {
    let shop = shop().await;
    let midtrans = shop.sim.base_url();
    for code in ["LNS-1", "LNS-2"] {
        order(&shop, code).await;
        paid_in_silence(&shop, code).await;
    }
    let refused = json!({"order_id": "LNS-1", "api": {"answer": "forbidden_page"}});
    shop.trick(refused).await;
    let run = [
        "sync", "LNS-1", "LNS-2", "LNS-3", "LNS-2", "--yes", "--json",
    ];
    let run = lunas(shop.stage(), &midtrans, &run).await.json(1);
    assert_eq!(run.as_array().unwrap().len(), 3, "{run}");
    assert_eq!(run[0]["status"], "PENDING");
    assert!(run[0]["error"].is_string(), "{run}");
    assert_eq!(run[1]["status"], "PAID");
    assert_eq!(run[1]["error"], json!(null));
    assert!(
        run[2]["error"].as_str().unwrap().contains("no such order"),
        "{run}"
    );
    shop.close().await;
}

#[tokio::test]
async fn a_gateway_that_is_away_ends_with_one_and_wrong_use_with_two() {
    let shop = shop().await;
    order(&shop, "LNS-1").await;
    let nobody = "http://127.0.0.1:9";
    let away = lunas(shop.stage(), nobody, &["sync", "LNS-1"]).await;
    assert_eq!(away.code, Some(1), "{away:?}");
    assert!(away.out.contains("1 failed"), "{away:?}");
    for arguments in [
        &["sync"][..],
        &["sync", "--pending-since", "soon"],
        &["sync", "LNS-1", "--pending-since", "2h"],
        &["sync", "LNS-1", "--actor", " "],
    ] {
        let ended = lunas(shop.stage(), nobody, arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    let text = format!("{}{}", away.out, away.err);
    assert!(!text.contains("SB-Mid-server"), "{text}");
    shop.close().await;
}
