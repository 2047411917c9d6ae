//! BI-SNAP payments go the one way of all.

use lunas_tests::harness::{Expect, Method, Payment, Shop};
use serde_json::{Value, json};

use crate::{open, recorded, status, until_notices};

/// Sends a payment that says enough to be recorded like a classic notification.
async fn pay(shop: &mut Shop, kind: &str, fields: Value) -> Value {
    let sent = shop.notice(json!({"kind": kind, "fields": fields})).await;
    assert_eq!(status(&sent), 200, "{sent}");
    shop.note(&sent["sent"], Some(200));
    sent
}

fn debit(session: &str, transaction_id: &str, amount: &str, code: &str) -> Value {
    json!({"originalPartnerReferenceNo": session, "originalReferenceNo": transaction_id,
           "latestTransactionStatus": code, "amount": {"value": amount, "currency": "IDR"}})
}

#[tokio::test]
async fn a_settlement_pays_its_order_and_a_classic_one_of_it_changes_nothing() {
    let mut shop = open().await;
    shop.order("LNS-1", 150_000).await;
    let classic = Payment::new(Method::Gopay, "LNS-1", 150_000);
    let id = classic.transaction_id().to_owned();
    pay(
        &mut shop,
        "bi_snap_debit",
        debit("LNS-1", &id, "150000.00", "00"),
    )
    .await;
    let paid = shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    assert_eq!(
        shop.transaction_row("LNS-1").await["midtrans_transaction_id"],
        json!(id)
    );

    assert_eq!(shop.post(&classic.settlement()).await, 200);
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1)])
        .await;
    let after = shop.order_row("LNS-1").await;
    assert_eq!(after["paid_at"], paid["paid_at"]);
    let paid_events = "SELECT to_jsonb(count(*)) FROM domain_events
                       WHERE order_code = $1 AND event_type = 'order.paid'";
    assert_eq!(shop.row(paid_events, "LNS-1").await, json!(1));
    assert_eq!(recorded(&shop).await, 0);
    shop.close().await;
}

#[tokio::test]
async fn qris_and_virtual_accounts_pay_too_and_are_named_as_such() {
    let mut shop = open().await;
    shop.order("LNS-1", 150_000).await;
    shop.order("LNS-2", 150_000).await;
    pay(
        &mut shop,
        "bi_snap_qr",
        debit("LNS-1", "qr-1", "150000.00", "00"),
    )
    .await;
    shop.until_payment(
        "LNS-1",
        json!({"status": "settlement", "payment_type": "qris"}),
    )
    .await;
    // Linked by the merchant's own field: the session's id is another one.
    let fields = json!({"trxId": "va-77", "additionalInfo": {
        "paymentFlagStatus": "00", "bank": "BCA", "paidTime": "2026-03-14T10:41:18+07:00",
        "customField": {"1": "LNS-2"}}});
    pay(&mut shop, "bi_snap_va", fields).await;
    shop.until_payment(
        "va-77",
        json!({"status": "settlement", "payment_type": "bank_transfer",
               "payment_channel": "bca", "paid_at": "2026-03-14T03:41:18+00:00"}),
    )
    .await;
    for code in ["LNS-1", "LNS-2"] {
        shop.until_order(code, json!({"status": "PAID"})).await;
    }
    shop.close().await;
}

#[tokio::test]
async fn late_and_repeated_payments_change_nothing() {
    let mut shop = open().await;
    shop.order("LNS-1", 150_000).await;
    pay(
        &mut shop,
        "bi_snap_debit",
        debit("LNS-1", "t-1", "150000.00", "00"),
    )
    .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    pay(
        &mut shop,
        "bi_snap_debit",
        debit("LNS-1", "t-1", "150000.00", "00"),
    )
    .await;
    pay(
        &mut shop,
        "bi_snap_debit",
        debit("LNS-1", "t-1", "150000.00", "03"),
    )
    .await;
    pay(
        &mut shop,
        "bi_snap_debit",
        debit("LNS-1", "t-1", "150000.00", "42"),
    )
    .await;
    shop.until_verdicts("LNS-1", &[("applied", 2), ("stale", 1), ("stale", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    shop.close().await;
}

#[tokio::test]
async fn a_refund_counts_only_once_the_status_api_confirms_it() {
    let mut shop = open().await;
    let gopay = json!({"payment_type": "gopay"});
    let charged = shop.order_and_charge("LNS-1", 150_000, gopay).await;
    let id = charged["transaction_id"].as_str().unwrap().to_owned();
    shop.step("LNS-1", "pay", json!({})).await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    let refund = |total: &str| {
        let mut fields = debit("LNS-1", &id, "150000.00", "04");
        fields["additionalInfo"] =
            json!({"totalRefundAmount": {"value": total, "currency": "IDR"}});
        fields
    };
    // Not so: the gateway says that it is settled.
    pay(&mut shop, "bi_snap_debit", refund("150000.00")).await;
    shop.until_verdicts("LNS-1", &[("applied", 1), ("applied", 1), ("refused", 1)])
        .await;
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    // Now it is, in part; its ordinary notification is lost.
    shop.trick(json!({"order_id": "LNS-1", "drop": true})).await;
    shop.step(
        "LNS-1",
        "refund",
        json!({"amount": 50_000, "confirm": "never"}),
    )
    .await;
    pay(&mut shop, "bi_snap_debit", refund("50000.00")).await;
    shop.until_order("LNS-1", json!({"status": "PARTIALLY_REFUNDED"}))
        .await;
    let verdicts = [
        ("applied", 1),
        ("applied", 1),
        ("applied", 1),
        ("refused", 1),
    ];
    shop.until_verdicts("LNS-1", &verdicts).await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_without_our_reference_is_asked_about_by_its_transaction() {
    let mut shop = open().await;
    shop.trick(json!({"order_id": "LNS-1", "drop": true})).await;
    let gopay = json!({"payment_type": "gopay"});
    let charged = shop.order_and_charge("LNS-1", 150_000, gopay).await;
    let id = charged["transaction_id"].as_str().unwrap().to_owned();
    shop.step("LNS-1", "pay", json!({})).await;
    let nameless = json!({"originalPartnerReferenceNo": null, "originalReferenceNo": id});
    let sent = shop
        .notice(json!({"kind": "bi_snap_qr", "fields": nameless}))
        .await;
    assert_eq!(status(&sent), 200);
    shop.until_order("LNS-1", json!({"status": "PAID"})).await;
    until_notices(&shop, &id, json!([["settlement", "applied", 1]])).await;
    shop.close().await;
}

#[tokio::test]
async fn a_payment_in_another_currency_is_kept_as_a_dead_letter_of_its_kind() {
    let mut shop = open().await;
    shop.order("LNS-1", 150_000).await;
    let mut dollars = debit("LNS-1", "t-1", "150000.00", "00");
    dollars["amount"]["currency"] = json!("USD");
    let sent = shop
        .notice(json!({"kind": "bi_snap_debit", "fields": dollars}))
        .await;
    assert_eq!(status(&sent), 200);
    let query = "SELECT to_jsonb(d) FROM dead_letters d WHERE session_id = $1";
    let letter = lunas_tests::harness::wait_for(
        "the dead letter",
        lunas_tests::harness::BOUND,
        async || {
            let row = shop.row(query, "LNS-1").await;
            if row.is_null() {
                Err("none".to_owned())
            } else {
                Ok(row)
            }
        },
    )
    .await;
    assert_eq!(letter["reason"], "wrong_currency");
    assert_eq!(letter["headers"]["x-lunas-kind"], "bi_snap_debit");
    assert_eq!(letter["headers"]["x-lunas-version"], 2);
    assert_eq!(letter["amount"], 150_000);
    shop.until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    shop.close_expecting(Expect::clean().dead_letters(1)).await;
}
