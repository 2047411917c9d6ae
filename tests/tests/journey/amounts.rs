//! Paid amounts that differ from the order's.

use lunas_tests::harness::{Method, Payment, Shop, Signed};
use serde_json::json;

#[tokio::test]
async fn a_wrong_amount_puts_the_order_into_review() {
    let mut shop = Shop::open().await;
    for (code, paid) in [("LNS-1", 149_999), ("LNS-2", 150_001)] {
        shop.order(code, 150_000).await;
        let payment = Payment::new(Method::BcaVa, code, paid);
        assert_eq!(shop.post(&payment.settlement()).await, 200);
        let review = json!({"status": "REVIEW", "review_reasons": ["amount_mismatch"]});
        shop.until_order(code, review).await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_fee_that_the_customer_paid_is_no_mismatch() {
    let shop = Shop::open().await;
    shop.trick(json!({"order_id": "LNS-1", "fee": 1_065})).await;
    shop.order_and_charge("LNS-1", 150_000, json!({"payment_type": "qris"}))
        .await;
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID", "review_reasons": []}))
        .await;
    let transaction = shop.transaction_row("LNS-1").await;
    assert_eq!(
        (
            &transaction["gross_amount"],
            &transaction["original_amount"]
        ),
        (&json!(151_065), &json!(150_000))
    );
    shop.close().await;
}

#[tokio::test]
async fn a_fee_that_does_not_add_up_explains_nothing() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 150_000).await;
    let payment = Payment::new(Method::Qris, "LNS-1", 151_065);
    let sent = with_fee(payment.settlement(), "150000", "151065", "1000");
    assert_eq!(shop.post(&sent).await, 200);
    let review = json!({"status": "REVIEW", "review_reasons": ["amount_mismatch"]});
    shop.until_order("LNS-1", review).await;
    shop.close().await;
}

#[tokio::test]
async fn an_order_that_is_paid_twice_stays_paid_and_says_so() {
    let mut shop = Shop::open().await;
    shop.order("LNS-1", 150_000).await;
    for session in ["LNS-1", "LNS-1-2"] {
        let payment = Payment::new(Method::Gopay, session, 150_000);
        assert_eq!(shop.post(&payment.settlement()).await, 200);
    }
    let twice = json!({"status": "PAID", "review_reasons": ["duplicate_payment"]});
    shop.until_order("LNS-1", twice).await;
    shop.close().await;
}

fn with_fee(sent: Signed, original: &str, gross: &str, fee: &str) -> Signed {
    let info = json!({"original_amount": original, "gross_amount": gross,
                      "customer_imposed_payment_fee": fee});
    sent.field(
        "metadata",
        json!({"extra_info": {"gross_amount_info": info}}),
    )
}
