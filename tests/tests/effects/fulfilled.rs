//! What a paid order gets, once.

use std::collections::HashSet;

use crate::stand::{counters, gopay, order, stand, tickets, until};

#[tokio::test]
async fn a_paid_order_has_its_tickets_its_goods_and_a_pickup_code() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    assert_eq!(counters(&shop).await, [2, 0, 1, 0, 10]);
    let payment = gopay("LNS-A");
    shop.post(&payment.pending()).await;
    shop.post(&payment.settlement()).await;
    let row = until(&shop, "LNS-A", "PAID", &[]).await;
    let (valid, void) = tickets(&shop, "LNS-A").await;
    assert_eq!((valid.len(), void.len()), (2, 0));
    assert!(valid.iter().all(|code| code.len() == 24), "{valid:?}");
    assert_eq!(counters(&shop).await, [0, 2, 0, 1, 9]);
    let pickup = row["pickup_code"].as_str().unwrap();
    assert_eq!(pickup.len(), 8);
    assert!(!pickup.contains(['0', 'O', '1', 'I', 'L']), "{pickup}");
    for marker in ["tickets_issued_at", "stock_confirmed_at", "paid_at"] {
        assert!(!row[marker].is_null(), "{marker}: {row}");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_payment_told_twenty_times_gives_the_same_tickets_once() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let settled = gopay("LNS-A").settlement();
    for _ in 0..20 {
        shop.post(&settled).await;
    }
    shop.until_verdicts("LNS-A", &[("applied", 20)]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    assert_eq!(counters(&shop).await, [0, 2, 0, 1, 9]);
    shop.close().await;
}

#[tokio::test]
async fn a_webhook_before_the_order_fulfils_it_when_the_order_comes() {
    let mut shop = stand().await;
    shop.post(&gopay("LNS-A").settlement()).await;
    shop.until_payment("LNS-A", serde_json::json!({"status": "settlement"}))
        .await;
    order("LNS-A")
        .without_session()
        .insert(shop.stage().pool())
        .await;
    until(&shop, "LNS-A", "PAID", &[]).await;
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    shop.close().await;
}

#[tokio::test]
async fn many_orders_in_one_batch_get_different_codes() {
    let mut shop = crate::stand::stand().await;
    for number in 0..5 {
        let code = format!("LNS-{number}");
        order(&code).insert(shop.stage().pool()).await;
    }
    for number in 0..5 {
        shop.post(&gopay(&format!("LNS-{number}")).settlement())
            .await;
    }
    let mut codes = HashSet::new();
    for number in 0..5 {
        let code = format!("LNS-{number}");
        let row = until(&shop, &code, "PAID", &[]).await;
        assert!(codes.insert(row["pickup_code"].as_str().unwrap().to_owned()));
        for ticket in tickets(&shop, &code).await.0 {
            assert!(codes.insert(ticket));
        }
    }
    assert_eq!(codes.len(), 15);
    assert_eq!(counters(&shop).await, [0, 10, 0, 5, 5]);
    shop.close().await;
}

#[tokio::test]
async fn a_wrong_amount_keeps_the_hold_and_hands_out_nothing() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let short = lunas_tests::harness::Payment::new(
        lunas_tests::harness::Method::Gopay,
        "LNS-A",
        crate::stand::PRICE - 1,
    );
    shop.post(&short.settlement()).await;
    until(&shop, "LNS-A", "REVIEW", &["amount_mismatch"]).await;
    assert!(tickets(&shop, "LNS-A").await.0.is_empty());
    assert_eq!(counters(&shop).await, [2, 0, 1, 0, 10]);
    shop.close().await;
}
