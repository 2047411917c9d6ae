//! `lunas recover`: what a backup does not know is found out.

use std::process::Stdio;

use lunas_tests::harness::{SERVER_KEY, Shop, program};
use serde_json::{Value, json};

use crate::support::{PRICE, charged, gopay, open, order, silence, unfulfilled};

/// Runs `lunas recover`; its exit code and what it printed.
async fn recover(shop: &Shop, arguments: &[&str]) -> (i32, Value) {
    let output = tokio::process::Command::new(program("lunas"))
        .args(["recover", "--since", "1h", "--json"])
        .args(arguments)
        .env("DATABASE_URL", shop.stage().database().url())
        .env("MIDTRANS_SERVER_KEY", SERVER_KEY)
        .env("MIDTRANS_API_URL", shop.sim.base_url())
        .env("MIDTRANS_RPS", "500")
        .env("USER", "budi")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let printed = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), printed)
}

#[tokio::test]
async fn after_a_restore_every_session_is_accounted_for() {
    let shop = open("alerts=off").await;
    silence(&shop).await;
    // Charged and paid after the backup: the restored database knows only what was begun.
    for n in 0..20 {
        let code = format!("LNS-{n:02}");
        charged(&shop, &code).await;
        shop.step(&code, "pay", json!({})).await;
    }
    // Begun here and never at Midtrans; expired there; without an order here.
    order("LNS-NEVER").insert(shop.stage().pool()).await;
    charged(&shop, "LNS-OVER").await;
    shop.step("LNS-OVER", "expire", json!({})).await;
    shop.charge("STAND-ALONE", PRICE, gopay()).await;
    shop.step("STAND-ALONE", "pay", json!({})).await;
    sqlx::query(
        "INSERT INTO payments (session_id, origin, gross_amount) VALUES ('STAND-ALONE', 'checkout', $1)",
    )
    .bind(PRICE)
    .execute(shop.stage().pool())
    .await
    .unwrap();

    let (code, planned) = recover(&shop, &["--dry-run"]).await;
    assert_eq!(
        (code, planned["sessions"].as_array().map(Vec::len)),
        (0, Some(23))
    );
    assert_eq!(recover(&shop, &[]).await.0, 2, "nobody has said yes");

    let (code, report) = recover(&shop, &["--yes"]).await;
    assert_eq!(code, 0, "{report}");
    let wanted =
        json!({"sessions": 23, "changed": 22, "not_started": 1, "same": 0, "unanswered": 0});
    assert_eq!(report["totals"], wanted, "{report}");
    let paid: Vec<Value> = unfulfilled(shop.stage().pool()).await;
    let left: Vec<&Value> = paid.iter().map(|row| &row["order"]).collect();
    assert_eq!(left, ["LNS-NEVER", "LNS-OVER"]);
    assert_eq!(
        shop.payment_row("STAND-ALONE").await["status"],
        "settlement"
    );

    // Once more, everything is as it was.
    let (code, again) = recover(&shop, &["--yes"]).await;
    assert_eq!(
        (code, &again["totals"]["changed"]),
        (0, &json!(0)),
        "{again}"
    );
    shop.close().await;
}

#[tokio::test]
async fn what_midtrans_does_not_answer_is_reported_and_found_the_next_time() {
    let shop = open("alerts=off").await;
    silence(&shop).await;
    for code in ["LNS-1", "LNS-2"] {
        charged(&shop, code).await;
        shop.step(code, "pay", json!({})).await;
    }
    let trick = json!({"order_id": "LNS-1", "api": {"answer": "forbidden_page"}});
    let trick = shop.midtrans.arm(trick).await.unwrap();
    let (code, report) = recover(&shop, &["--yes"]).await;
    assert_eq!(
        (code, &report["totals"]["unanswered"]),
        (1, &json!(1)),
        "{report}"
    );
    shop.midtrans
        .delete(&format!("/sim/tricks/{trick}"))
        .await
        .unwrap();
    let (code, report) = recover(&shop, &["--yes"]).await;
    assert_eq!(
        (code, &report["totals"]["changed"]),
        (0, &json!(1)),
        "{report}"
    );
    assert_eq!(unfulfilled(shop.stage().pool()).await, Vec::<Value>::new());
    shop.close().await;
}
