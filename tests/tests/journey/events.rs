//! What the fleet tells others: rows of `domain_events`, messages on `lunas.events`.

use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lunas_tests::harness::{BOUND, Shop, TakenMessage, wait_for};
use serde_json::{Value, json};

use crate::money_back::paid_by_gopay;

#[tokio::test]
async fn what_happened_to_an_order_is_told_once_and_in_order() {
    let shop = Shop::open_with(|fleet| fleet.workers(1).schedulers(1)).await;
    let mail = subscribe(&shop).await;
    paid_by_gopay(&shop, "LNS-1", 48_500).await;
    shop.step("LNS-1", "refund", json!({"amount": 500, "confirm": "now"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "PARTIALLY_REFUNDED"}))
        .await;
    shop.step("LNS-1", "refund", json!({"confirm": "now"}))
        .await;
    shop.until_order("LNS-1", json!({"status": "REFUNDED"}))
        .await;

    let rows: Vec<(i64, String, Option<String>, Value)> =
        sqlx::query_as("SELECT id, event_type, order_code, data FROM domain_events ORDER BY id")
            .fetch_all(shop.stage().pool())
            .await
            .unwrap();
    let types: Vec<&str> = rows.iter().map(|(_, kind, _, _)| kind.as_str()).collect();
    assert_eq!(
        types,
        [
            "order.paid",
            "payment.partially_refunded",
            "order.partially_refunded",
            "payment.refunded",
            "order.refunded",
        ]
    );
    for (_, _, order_code, data) in &rows {
        assert_eq!(order_code.as_deref(), Some("LNS-1"));
        assert_eq!(data["order_code"], "LNS-1");
        assert!(
            data["status"].is_string() && data["at"].is_string(),
            "{data}"
        );
    }

    let mut told: Vec<TakenMessage> = Vec::new();
    wait_for("every event to be told", BOUND, async || {
        told.extend(shop.stage().broker().take_all(&mail).await);
        if told.len() >= rows.len() {
            Ok(())
        } else {
            Err(told.len())
        }
    })
    .await;
    assert_eq!(told.len(), rows.len(), "{told:#?}");
    for (message, (_, kind, _, data)) in told.iter().zip(&rows) {
        assert_eq!(&message.routing_key, kind);
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        for (name, value) in data.as_object().unwrap() {
            assert_eq!(&body[name], value, "{name} of {body}");
        }
    }
    all_are_marked(&shop).await;
    shop.close().await;
}

async fn all_are_marked(shop: &Shop) {
    let unpublished = "SELECT to_jsonb(count(*)) FROM domain_events
                       WHERE published_at IS NULL AND $1 <> ''";
    wait_for("every event to be marked", BOUND, async || {
        let left = shop.row(unpublished, "x").await;
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

/// A queue of the test's own that hears everything.
async fn subscribe(shop: &Shop) -> String {
    let connection = shop.stage().broker().connection().await;
    let channel = connection.create_channel().await.unwrap();
    let name = "listener";
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name.into(), options, FieldTable::default())
        .await
        .unwrap();
    channel
        .queue_bind(
            name.into(),
            "lunas.events".into(),
            "#".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    name.to_owned()
}
