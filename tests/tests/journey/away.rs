//! A gateway that is away blames nobody: what waits for its word waits on.

use lunas_tests::harness::Shop;
use serde_json::json;

use crate::money_back::paid_by_gopay;

#[tokio::test]
async fn while_the_gateway_is_away_nothing_is_refused_and_everything_is_confirmed_after() {
    let shop = Shop::open_with(|fleet| fleet.workers(1).env("CONFIRM_RETRIES", "0")).await;
    let answers = [
        ("LNS-1", "unavailable"),
        ("LNS-2", "down"),
        ("LNS-3", "too_many_requests"),
        ("LNS-4", "forbidden_page"),
        ("LNS-5", "server_error"),
    ];
    for (code, answer) in answers {
        paid_by_gopay(&shop, code, 48_500).await;
        let trick = json!({"order_id": code, "api": {"answer": answer}});
        shop.trick(trick).await;
    }
    for (code, _) in answers {
        shop.step(code, "refund", json!({"confirm": "never"})).await;
    }
    for (code, _) in answers {
        shop.until_verdicts(code, &[("applied", 1), ("applied", 1), ("unconfirmed", 1)])
            .await;
        shop.until_order(code, json!({"status": "PAID"})).await;
    }
    let removed = shop.midtrans.delete("/sim/tricks").await.unwrap();
    assert_eq!(removed.status, 200);
    for (code, _) in answers {
        shop.until_order(code, json!({"status": "REFUNDED"})).await;
        shop.until_verdicts(code, &[("applied", 1); 3]).await;
    }
    shop.close().await;
}
