//! What an order that dies unpaid gives back, once; and what happens when it is paid after all.

use crate::stand::{counters, gopay, order, run, stand, tickets, until};

#[tokio::test]
async fn an_order_that_expires_gives_back_its_places_and_pieces_once() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let payment = gopay("LNS-A");
    shop.post(&payment.pending()).await;
    shop.until_payment("LNS-A", serde_json::json!({"status": "pending"}))
        .await;
    for _ in 0..5 {
        shop.post(&payment.expire()).await;
    }
    let row = until(&shop, "LNS-A", "EXPIRED", &[]).await;
    shop.until_verdicts("LNS-A", &[("applied", 1), ("applied", 5)])
        .await;
    assert_eq!(counters(&shop).await, [0, 0, 0, 0, 10]);
    for marker in ["capacity_released_at", "stock_released_at"] {
        assert!(!row[marker].is_null(), "{marker}: {row}");
    }
    shop.close().await;
}

#[tokio::test]
async fn paid_after_it_expired_it_is_fulfilled_when_there_is_enough_left() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    let session = shop
        .charge("LNS-A", crate::stand::PRICE, gopay_method())
        .await;
    assert!(session["transaction_id"].is_string());
    shop.step("LNS-A", "expire", serde_json::json!({})).await;
    until(&shop, "LNS-A", "EXPIRED", &[]).await;
    let second = gopay_again("LNS-A-2");
    shop.post(&second.settlement()).await;
    let row = until(&shop, "LNS-A", "PAID", &[]).await;
    assert!(row["capacity_released_at"].is_null() && row["stock_released_at"].is_null());
    assert_eq!(tickets(&shop, "LNS-A").await.0.len(), 2);
    assert_eq!(counters(&shop).await, [0, 2, 0, 1, 9]);
    shop.close().await;
}

#[tokio::test]
async fn paid_after_others_took_what_it_held_it_waits_for_a_human() {
    let mut shop = stand().await;
    order("LNS-A").insert(shop.stage().pool()).await;
    shop.charge("LNS-A", crate::stand::PRICE, gopay_method())
        .await;
    shop.step("LNS-A", "expire", serde_json::json!({})).await;
    until(&shop, "LNS-A", "EXPIRED", &[]).await;
    // Others buy all but one of the places.
    let others = lunas_tests::harness::OrderRow::pending("LNS-B", 1).tickets("slot-1", 9);
    others.insert(shop.stage().pool()).await;
    shop.post(&gopay_again("LNS-A-2").settlement()).await;
    until(&shop, "LNS-A", "REVIEW", &["paid_after_release"]).await;
    assert!(tickets(&shop, "LNS-A").await.0.is_empty());
    assert_eq!(counters(&shop).await, [9, 0, 0, 0, 10]);
    shop.close().await;
}

#[tokio::test]
async fn two_that_come_back_for_the_last_places_do_not_both_get_them() {
    let mut shop = stand().await;
    for code in ["LNS-A", "LNS-B"] {
        order(code).insert(shop.stage().pool()).await;
        shop.charge(code, crate::stand::PRICE, gopay_method()).await;
        shop.step(code, "expire", serde_json::json!({})).await;
        until(&shop, code, "EXPIRED", &[]).await;
    }
    run(&shop, "UPDATE capacity_slots SET capacity = 3").await;
    let (a, b) = (gopay_again("LNS-A-2"), gopay_again("LNS-B-2"));
    shop.post(&a.settlement()).await;
    shop.post(&b.settlement()).await;
    shop.until_posts_are_recorded().await;
    let mut statuses = Vec::new();
    for code in ["LNS-A", "LNS-B"] {
        statuses.push(
            shop.order_row(code).await["status"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    statuses.sort_unstable();
    assert_eq!(statuses, ["PAID", "REVIEW"]);
    assert_eq!(counters(&shop).await[..2], [0, 2]);
    shop.close().await;
}

fn gopay_method() -> serde_json::Value {
    serde_json::json!({"payment_type": "gopay"})
}

fn gopay_again(session: &str) -> lunas_tests::harness::Payment {
    gopay(session)
}
