//! From bodies to observations, and what is refused on the way.

use serde_json::{Value, json};
use time::macros::datetime;

use super::super::fixtures::{self, NOTIFICATIONS};
use super::super::outcome::DeadReason;
use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-14 12:00:00 UTC);

fn notified(body: impl AsRef<[u8]>) -> Result<Observation, DecodeError> {
    Observation::from_notification(body.as_ref(), NOW, Source::Webhook)
}

fn answered(body: &str, session_id: &str) -> StatusAnswer {
    let answer =
        Observation::from_status_answer(body.as_bytes(), session_id, NOW, Source::Reconcile);
    answer.unwrap()
}

fn found(body: &str, session_id: &str) -> Observation {
    match answered(body, session_id) {
        StatusAnswer::Found(observation) => *observation,
        other => panic!("{other:?}"),
    }
}

fn changed(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut body: Value = serde_json::from_str(fixtures::body(name)).unwrap();
    change(body.as_object_mut().unwrap());
    body.to_string()
}

#[test]
fn every_notification_of_the_fact_sheet_is_an_observation() {
    for (name, body) in NOTIFICATIONS {
        let seen = notified(body).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(seen.authority, Authority::Notified);
        assert_eq!(seen.raw_body, *body);
        assert_eq!(seen.is_test, *name == "dashboard_test");
        assert!(
            seen.transaction_time.is_some() && seen.signature_key.is_some(),
            "{name}"
        );
        assert!(
            !matches!(seen.status, TransactionStatus::Unknown(_)),
            "{name}"
        );
    }
    let seen = notified(fixtures::body("gopay_partial_refund")).unwrap();
    assert_eq!(seen.refund_amount, Some(Rupiah::new(20_000)));
    assert_eq!(seen.gross_amount, Rupiah::new(48_500));
    assert_eq!(
        seen.settlement_time,
        Some(datetime!(2026-03-14 03:01:44 UTC))
    );
}

#[test]
fn an_expired_transaction_is_an_ordinary_answer() {
    let seen = found(fixtures::STATUS_ANSWER, "INV-20260314-000886");
    assert_eq!(seen.authority, Authority::Confirmed);
    assert_eq!(
        (seen.status, seen.status_code.as_str()),
        (TransactionStatus::Expire, "407")
    );
}

#[test]
fn the_session_of_an_answer_comes_from_the_caller() {
    let body = r#"{"status_code":"200","transaction_status":"PENDING","transaction_id":"A1ID",
        "order_id":"A1ID","gross_amount":"5000.00"}"#;
    let seen = found(body, "LNS-7");
    assert_eq!(
        (seen.session_id.as_str(), seen.transaction_id.as_str()),
        ("LNS-7", "A1ID")
    );
    assert_eq!(seen.status, TransactionStatus::Pending);
    let other = found(body, "LNS-8");
    assert_ne!(
        seen.event_key, other.event_key,
        "the key belongs to the session"
    );
}

#[test]
fn a_transaction_that_does_not_exist_is_no_observation() {
    let body = r#"{"status_code":"404","status_message":"Transaction doesn't exist.","id":"x"}"#;
    assert!(matches!(answered(body, "LNS-7"), StatusAnswer::NotFound));
    let routed = r#"{"timestamp":"x","status":404,"error":"Not Found","path":"/v2/a/b/status"}"#;
    assert!(matches!(
        answered(routed, "a/b"),
        StatusAnswer::Error { status_code: None }
    ));
    for code in ["401", "429", "500", "412"] {
        let body = format!(r#"{{"status_code":"{code}","status_message":"no"}}"#);
        let StatusAnswer::Error { status_code } = answered(&body, "LNS-7") else {
            panic!("{code} is an error");
        };
        assert_eq!(status_code.as_deref(), Some(code));
    }
}

#[test]
fn what_cannot_be_booked_has_a_reason() {
    for (field, value, reason) in [
        ("currency", json!("USD"), DeadReason::WrongCurrency),
        (
            "gross_amount",
            json!("48500.50"),
            DeadReason::FractionalAmount,
        ),
        ("gross_amount", json!("much"), DeadReason::UndecodableBody),
        ("gross_amount", json!("-1.00"), DeadReason::UndecodableBody),
        ("refund_amount", json!("0.10"), DeadReason::FractionalAmount),
        ("transaction_id", Value::Null, DeadReason::UndecodableBody),
        ("transaction_id", json!(""), DeadReason::UndecodableBody),
        (
            "transaction_status",
            Value::Null,
            DeadReason::UndecodableBody,
        ),
        ("status_code", Value::Null, DeadReason::UndecodableBody),
    ] {
        let body = changed("gopay_settlement", |body| {
            drop(body.insert(field.into(), value))
        });
        assert_eq!(notified(body).unwrap_err().reason(), reason, "{field}");
    }
}

#[test]
fn an_absent_currency_is_rupiah_and_an_odd_time_is_no_time() {
    for currency in [Value::Null, json!(""), json!("idr")] {
        let body = changed("gopay_settlement", |body| {
            body["currency"] = currency;
            body["transaction_time"] = json!("soon");
        });
        assert_eq!(notified(body).unwrap().transaction_time, None);
    }
}

#[test]
fn a_status_that_is_not_known_is_observed_all_the_same() {
    let body = changed("gopay_settlement", |b| {
        b["transaction_status"] = json!("teleported")
    });
    let seen = notified(body).unwrap();
    assert_eq!(
        seen.status,
        TransactionStatus::Unknown("teleported".to_owned())
    );
}

#[test]
fn a_fee_counts_only_when_its_sum_is_right() {
    let with = |original: Value, gross: &str, fee: &str| {
        let info = json!({
            "original_amount": original, "gross_amount": gross,
            "customer_imposed_payment_fee": fee,
        });
        let body = changed("gopay_settlement", |body| {
            body.insert(
                "metadata".into(),
                json!({"extra_info": {"gross_amount_info": info}}),
            );
        });
        notified(body).unwrap().fee
    };
    let fee = with(json!("48000"), "48500", "500").expect("it explains 48500");
    assert_eq!(
        (fee.original, fee.fee),
        (Rupiah::new(48_000), Rupiah::new(500))
    );
    assert!(with(json!(48000), "48500", "500").is_some());
    assert_eq!(with(json!("48000"), "48500", "400"), None);
    assert_eq!(
        with(json!("48000"), "48600", "600"),
        None,
        "not this amount"
    );
    assert_eq!(with(json!([1]), "48500", "500"), None);
}

#[test]
fn hints_are_read_from_metadata_and_the_custom_field() {
    let body = changed("credit_card_capture", |b| {
        b["metadata"] = json!({"order_id": 12})
    });
    let hints = notified(body).unwrap().link_hints;
    assert_eq!(hints.metadata_order_id.as_deref(), Some("12"));
    assert_eq!(hints.custom_field1.as_deref(), Some("web"));
    let odd = changed("credit_card_capture", |b| b["metadata"] = json!("text"));
    assert_eq!(notified(odd).unwrap().link_hints.metadata_order_id, None);
}

#[test]
fn the_two_notifications_of_a_refund_are_two_events() {
    let first = notified(fixtures::body("gopay_partial_refund")).unwrap();
    let second = changed("gopay_partial_refund", |body| {
        body["refunds"][1]["bank_confirmed_at"] = json!("2026-03-16 15:00:00");
    });
    assert_ne!(first.event_key, notified(second).unwrap().event_key);
}

#[test]
fn sources_are_read_back() {
    for source in Source::ALL {
        assert_eq!(Source::parse(source.as_str()), Some(source));
    }
    assert_eq!(Source::parse("Webhook"), None);
}
