//! The fact sheet's bodies, and every way in which types may vary.

use serde_json::{Value, json};

use super::super::fixtures::{self, NOTIFICATIONS};
use super::*;

fn decode(body: &Value) -> Notification {
    Notification::decode(body.to_string().as_bytes()).unwrap()
}

#[test]
fn every_example_of_the_fact_sheet_is_decoded_field_by_field() {
    for (name, body) in NOTIFICATIONS {
        let n = Notification::decode(body.as_bytes()).unwrap();
        let json: Value = serde_json::from_str(body).unwrap();
        let text = |field: &str| json.get(field).and_then(Value::as_str).map(str::to_owned);
        assert_eq!(n.order_id, text("order_id"), "{name}");
        assert_eq!(n.transaction_id, text("transaction_id"), "{name}");
        assert_eq!(n.transaction_status, text("transaction_status"), "{name}");
        assert_eq!(n.fraud_status, text("fraud_status"), "{name}");
        assert_eq!(n.gross_amount, text("gross_amount"), "{name}");
        assert_eq!(n.settlement_time, text("settlement_time"), "{name}");
        assert_eq!(n.merchant_id, text("merchant_id"), "{name}");
        assert_eq!(n.masked_card, text("masked_card"), "{name}");
        assert_eq!(n.payment_code, text("payment_code"), "{name}");
        assert_eq!(n.refund_amount, text("refund_amount"), "{name}");
    }
}

#[test]
fn the_channel_is_the_finer_word_of_each_method() {
    let channel = |name: &str| {
        let n = Notification::decode(fixtures::body(name).as_bytes()).unwrap();
        n.payment_channel().map(str::to_owned)
    };
    for (name, expected) in [
        ("bank_transfer_bca_settlement", Some("bca")),
        ("bank_transfer_bsi_settlement", Some("bsi")),
        ("bank_transfer_permata_settlement", Some("permata")),
        ("credit_card_capture", Some("bni")),
        ("cstore_alfamart_settlement", Some("alfamart")),
        ("cstore_indomaret_settlement", Some("indomaret")),
        ("echannel_settlement", Some("mandiri")),
        ("gopay_settlement", Some("GOPAY_WALLET")),
        ("qris_settlement", Some("gopay")),
        ("akulaku_settlement", None),
        ("dashboard_test", None),
    ] {
        assert_eq!(channel(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn numbers_strings_and_null_are_read_alike() {
    let n = decode(&json!({
        "installment_term": 3, "point_redeem_amount": "500", "on_us": "true",
        "challenge_completion": false, "fraud_status": null, "metadata": null,
        "va_numbers": null, "gross_amount": 150000.0, "issuer": {"odd": 1}, "refunds": {},
        "payment_amounts": [{"amount": 1, "paid_at": null}, "odd", ["2026-03-14", "1.00"]],
        "never_heard_of": [[{"x": 1}]],
    }));
    assert_eq!(n.installment_term.as_deref(), Some("3"));
    assert_eq!(n.point_redeem_amount.as_deref(), Some("500"));
    assert_eq!(n.on_us, Some(true));
    assert_eq!(n.challenge_completion, Some(false));
    assert_eq!((n.fraud_status, n.issuer, n.metadata), (None, None, None));
    assert_eq!(n.gross_amount.as_deref(), Some("150000.0"));
    assert!(n.va_numbers.is_empty() && n.refunds.is_empty());
    assert_eq!(n.payment_amounts[0].amount.as_deref(), Some("1"));
    assert_eq!(n.payment_amounts.len(), 1);
}

#[test]
fn a_refunds_id_may_be_a_number_or_a_string() {
    for id in [json!(910_021), json!("910021")] {
        let n = decode(&json!({"refunds": [{"refund_chargeback_id": id}]}));
        assert_eq!(n.refunds[0].refund_chargeback_id.as_deref(), Some("910021"));
    }
}

#[test]
fn the_refunded_amount_is_the_total_or_the_sum_of_the_list() {
    let refunded = |body: Value| decode(&body).refunded();
    let list = json!([{"refund_amount": "12000.00"}, {"refund_amount": "8000.00"}]);
    assert_eq!(refunded(json!({})).unwrap(), None);
    let total = json!({"refund_amount": "5.00", "refunds": list});
    assert_eq!(refunded(total).unwrap(), Some(Rupiah::new(5)));
    assert_eq!(
        refunded(json!({"refunds": list})).unwrap(),
        Some(Rupiah::new(20_000))
    );
    let partly = json!({"refunds": [{"refund_amount": "12000.00"}, {}]});
    assert_eq!(refunded(partly).unwrap(), None);
    let error = refunded(json!({"refund_amount": "0.50"})).unwrap_err();
    assert_eq!(error.reason(), DeadReason::FractionalAmount);
}

#[test]
fn a_documented_field_that_occurs_twice_is_refused() {
    for field in [
        "order_id",
        "transaction_id",
        "transaction_status",
        "fraud_status",
        "refunds",
    ] {
        let body = format!(r#"{{"{field}":"a","{field}":"b"}}"#);
        let error = Notification::decode(body.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), DeadReason::UndecodableBody, "{field}");
    }
    let unknown = r#"{"x":1,"x":2}"#;
    assert!(Notification::decode(unknown.as_bytes()).is_ok());
}

#[test]
fn decoding_refuses_whatever_verification_would_not_call_json() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 8] = [
        b"",
        b"[]",
        b"null",
        b"{\"a\":\"\xff\"}",
        br#"{"a":"\u0000"}"#,
        br#"{"a":"\ud800"}"#,
        b"{} {}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let error = Notification::decode(body).unwrap_err();
        assert_eq!(error.reason(), DeadReason::UndecodableBody);
    }
}

#[test]
fn printing_shows_no_signature_and_no_customer() {
    let n = Notification::decode(fixtures::body("credit_card_capture").as_bytes()).unwrap();
    let printed = format!("{n:?}");
    assert!(printed.contains("INV-20260314-000871"));
    assert!(
        !printed.contains("e0b42aa0") && !printed.contains("48111111"),
        "{printed}"
    );
}
