//! Vectors, hostile bodies and keys.

use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};

use super::super::fixtures::{self, KEY, NOTIFICATIONS, keys};
use super::*;

fn sign(order_id: &str, status_code: &str, gross_amount: &str, key: &str) -> String {
    hex::encode(Sha512::digest(format!(
        "{order_id}{status_code}{gross_amount}{key}"
    )))
}

fn verify(body: impl AsRef<[u8]>, keys: &ServerKeys) -> Result<VerifiedNotification, VerifyError> {
    RawNotification::new(Bytes::copy_from_slice(body.as_ref())).verify(keys)
}

fn error(body: impl AsRef<[u8]>) -> VerifyError {
    verify(body, &keys())
        .err()
        .expect("the body must be refused")
}

/// A signed body with these fields changed or added.
fn signed_with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let mut body = json!({
        "order_id": "LNS-1", "status_code": "200", "gross_amount": "1.00",
        "signature_key": sign("LNS-1", "200", "1.00", KEY),
        "transaction_status": "settlement",
    });
    change(body.as_object_mut().unwrap());
    body.to_string()
}

#[test]
fn every_signed_example_of_the_fact_sheet_verifies() {
    for (name, body) in NOTIFICATIONS {
        let verified = verify(body, &keys()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(verified.body(), body.as_bytes(), "{name}");
        assert_eq!(verified.is_test(), *name == "dashboard_test", "{name}");
    }
    assert!(verify(fixtures::STATUS_ANSWER, &keys()).is_ok());
    assert_eq!(
        verify_account_notification(fixtures::ACCOUNT_LINKED.as_bytes(), &keys()),
        Ok(())
    );
    // Nineteen notifications, a status answer and a linked account.
    assert_eq!(NOTIFICATIONS.len() + 2, 21);
}

#[test]
fn the_published_vectors_hold() {
    let vectors = [
        (
            ("INV-20260314-000871", "200", "150000.00", KEY),
            "e0b42aa01199ee44e72dfc9c044ead509fb921a100a97d1fede74185428abf8e\
             b7c849ede4069607e69ce9e799985e7c56c10154a7c433c68a68db1ba77f53e2",
        ),
        (
            (
                "ORDER~77.A_b-9",
                "202",
                "1.00",
                "Mid-server-Zk81NwqPoR3cJtEy5XvGhB6u",
            ),
            "84f8b2b30f332288f00203c1999d2489c5e69564b50a9e68d83d154f6ae17773\
             ec153129acd14805e16509ab9a7054814601d17101d35aebe559f4c2da94a3f6",
        ),
        (
            (
                "payment_notif_test_G812900451_5b1f3c0e-8c1d-4f0a-9a57-2f6f1f0b7c11",
                "200",
                "105000.00",
                "SB-Mid-server-AAAAAAAAAAAAAAAAAAAAAAAA",
            ),
            "169ccbd1393e4f39091960709462a668f3e7960463687854a192179783d6b35a\
             20a4b2525ca78fecd85a300578937025550d4bcaa21b8ad2de0dcbf30a216f44",
        ),
    ];
    for ((order_id, status_code, gross_amount, key), signature) in vectors {
        let body = json!({
            "order_id": order_id, "status_code": status_code, "gross_amount": gross_amount,
            "signature_key": signature,
        });
        let keys = key.parse().unwrap();
        assert!(verify(body.to_string(), &keys).is_ok(), "{order_id}");
        let upper = body
            .to_string()
            .replace(signature, &signature.to_uppercase());
        assert!(
            verify(upper, &keys).is_ok(),
            "the case of hexadecimal digits does not count"
        );
    }
}

#[test]
fn the_negative_vectors_do_not_verify() {
    let v1 = "e0b42aa01199ee44e72dfc9c044ead509fb921a100a97d1fede74185428abf8e\
              b7c849ede4069607e69ce9e799985e7c56c10154a7c433c68a68db1ba77f53e2";
    for (status_code, gross_amount, its_own) in [
        (
            "200",
            "150000",
            "8c7721baf35492a4e27b27392d0a2c2997077f4e21dbd5f4c652f247eeb9637f\
             9be1fc1b35afeb0b590091055550c97a003bcebed1a9d9ba3554ba88c0fd24cb",
        ),
        (
            "201",
            "150000.00",
            "7e3780e2afb12c54170bc39edb2d044765970ba383ff14466fff0e47567e9f01\
             2e0e9ad5ce4a7ce0288667d5b977f12a37694663106134fd416bc8e52290d314",
        ),
    ] {
        let body = |signature: &str| {
            json!({
                "order_id": "INV-20260314-000871", "status_code": status_code,
                "gross_amount": gross_amount, "signature_key": signature,
            })
            .to_string()
        };
        assert_eq!(error(body(v1)), VerifyError::SignatureMismatch);
        assert!(verify(body(its_own), &keys()).is_ok());
    }
}

#[test]
fn a_missing_or_mistyped_field_is_named() {
    for name in ["order_id", "status_code", "gross_amount", "signature_key"] {
        let without = signed_with(|body| drop(body.remove(name)));
        assert_eq!(error(without), VerifyError::MissingField { name });
        let null = signed_with(|body| body[name] = Value::Null);
        assert_eq!(error(null), VerifyError::MissingField { name });
        for wrong in [
            json!(200),
            json!(-1.5),
            json!(true),
            json!(["200"]),
            json!({"a": [1]}),
        ] {
            let body = signed_with(|body| body[name] = wrong);
            assert_eq!(error(body), VerifyError::FieldNotText { name });
        }
    }
}

#[test]
fn what_is_not_one_json_object_is_not_json() {
    let good = signed_with(|_| ());
    let deep = |levels: usize| {
        let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        good.replacen('{', &format!("{{\"metadata\":{nested},"), 1)
    };
    let bodies = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"order_id\"".to_owned(),
        format!("[{good}]"),
        good[..good.len() - 1].to_owned(),
        format!("{good}x"),
        format!("{good}{good}"),
        good.replacen('{', "{,", 1),
        good.replacen('{', r#"{"a":"\ud800","#, 1),
        good.replacen('{', r#"{"a":"\u0000","#, 1),
        good.replacen('{', r#"{"a\u0000b":1,"#, 1),
        good.replace("LNS-1", r"LNS-1\u0000"),
        good.replacen('{', "{\"a\":\"\u{1}\",", 1),
        deep(10_000),
        deep(128),
        "[".repeat(65_536),
        "{\"a\":".repeat(10_000),
    ];
    for body in bodies {
        assert_eq!(error(&body), VerifyError::NotJson, "{:.60}", body);
    }
    assert!(
        verify(deep(100), &keys()).is_ok(),
        "ordinary nesting is accepted"
    );
}

#[test]
fn what_is_not_utf_8_is_not_json_wherever_it_stands() {
    let good = signed_with(|_| ());
    let mut body = good.replacen('{', r#"{"a":"?","#, 1).into_bytes();
    assert!(verify(&body, &keys()).is_ok());
    let at = body.iter().position(|b| *b == b'?').unwrap();
    body[at] = 0xff;
    assert_eq!(error(&body), VerifyError::NotJson);
}

#[test]
fn a_signed_field_that_occurs_twice_is_refused() {
    let good = signed_with(|_| ());
    for name in ["order_id", "status_code", "gross_amount", "signature_key"] {
        for twin in [
            format!(r#"{{"{name}":"x","#),
            format!(r#"{{"{name}":null,"#),
        ] {
            assert_eq!(
                error(good.replacen('{', &twin, 1)),
                VerifyError::RepeatedField { name }
            );
        }
    }
    let escaped = good.replacen('{', r#"{"order\u005fid":"LNS-2","#, 1);
    assert_eq!(
        error(escaped),
        VerifyError::RepeatedField { name: "order_id" }
    );
}

#[test]
fn escapes_are_the_characters_they_stand_for() {
    let body = signed_with(|_| ()).replace("LNS-1", r"\u004cNS\u002d1");
    assert_eq!(verify(body, &keys()).unwrap().order_id(), "LNS-1");
}

#[test]
fn what_is_not_128_hexadecimal_characters_is_no_signature() {
    let good = sign("LNS-1", "200", "1.00", KEY);
    for wrong in [
        "",
        "00",
        &good[1..],
        &format!("{good}00"),
        &good.replacen(&good[..1], "g", 1),
    ] {
        let body = signed_with(|body| body["signature_key"] = json!(wrong));
        assert_eq!(error(body), VerifyError::SignatureMismatch);
    }
}

#[test]
fn several_keys_verify_and_a_labelled_one_only_for_its_merchant() {
    let both: ServerKeys = format!("new-key, {KEY}").parse().unwrap();
    assert!(verify(signed_with(|_| ()), &both).is_ok());

    let labelled: ServerKeys = format!("G1={KEY},G2=other").parse().unwrap();
    let from =
        |merchant: Value| signed_with(|body| drop(body.insert("merchant_id".into(), merchant)));
    assert!(verify(from(json!("G1")), &labelled).is_ok());
    assert!(
        verify(signed_with(|_| ()), &labelled).is_ok(),
        "no merchant: every key is tried"
    );
    assert!(verify(from(Value::Null), &labelled).is_ok());
    for stranger in [json!("G2"), json!("G3"), json!(""), json!(1)] {
        let result = verify(from(stranger), &labelled).err();
        assert_eq!(result, Some(VerifyError::SignatureMismatch));
    }
    let mixed: ServerKeys = format!("G2=other,{KEY}").parse().unwrap();
    assert!(
        verify(from(json!("G1")), &mixed).is_ok(),
        "an unlabelled key speaks for all"
    );
}

#[test]
fn calls_are_signed_with_the_first_key_of_the_merchant() {
    let keys: ServerKeys = "a,G1=b,G1=c,d".parse().unwrap();
    let signing = |merchant| keys.signing(merchant).map(ServerKey::secret);
    assert_eq!(signing(None), Some("a"));
    assert_eq!(signing(Some("G1")), Some("b"));
    assert_eq!(signing(Some("G2")), Some("a"));
    let labelled: ServerKeys = "G1=b".parse().unwrap();
    assert!(labelled.signing(Some("G2")).is_none());
}

#[test]
fn bad_settings_are_named_and_keys_never_print() {
    let parse = |setting: &str| setting.parse::<ServerKeys>().err();
    assert_eq!(parse(""), Some(KeysError::Empty { position: 1 }));
    assert_eq!(parse("a,,b"), Some(KeysError::Empty { position: 2 }));
    assert_eq!(parse("G1="), Some(KeysError::Empty { position: 1 }));
    assert_eq!(
        parse("a,=b"),
        Some(KeysError::EmptyMerchant { position: 2 })
    );
    assert_eq!(parse("a b"), Some(KeysError::Blank { position: 1 }));
    let keys: ServerKeys = format!("G1={KEY}").parse().unwrap();
    let key = keys.iter().next().unwrap();
    for printed in [format!("{keys:?}"), format!("{keys}"), format!("{key:?}")] {
        assert!(!printed.contains(KEY), "{printed}");
    }
}

#[test]
fn the_linking_signature_covers_other_fields() {
    let body = fixtures::ACCOUNT_LINKED;
    assert_eq!(error(body), VerifyError::MissingField { name: "order_id" });
    let forged = body.replace("ENABLED", "DISABLED");
    let result = verify_account_notification(forged.as_bytes(), &keys());
    assert_eq!(result, Err(VerifyError::SignatureMismatch));
}

proptest! {
    #[test]
    fn any_change_of_a_signed_field_is_noticed(
        order_id in "[A-Za-z0-9_~.-]{1,50}", code in "[0-9]{3}", amount in 0_u32..,
        other in "[A-Za-z0-9.]{1,20}", field in 0_usize..3,
    ) {
        let amount = format!("{amount}.00");
        let signature = sign(&order_id, &code, &amount, KEY);
        let mut body = json!({
            "order_id": order_id, "status_code": code, "gross_amount": amount,
            "signature_key": signature,
        });
        prop_assert!(verify(body.to_string(), &keys()).is_ok());
        let name = ["order_id", "status_code", "gross_amount"][field];
        prop_assume!(body[name] != json!(other));
        body[name] = json!(other);
        let concatenated = ["order_id", "status_code", "gross_amount"]
            .map(|name| body[name].as_str().unwrap()).concat();
        prop_assume!(concatenated != format!("{order_id}{code}{amount}"));
        prop_assert_eq!(error(body.to_string()), VerifyError::SignatureMismatch);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(body, &keys()).is_err());
    }

    #[test]
    fn a_body_cut_anywhere_is_not_json(cut in 0_usize..100) {
        let body = fixtures::body("qris_settlement").trim_end();
        let at = (body.len() - 1) * cut / 100;
        prop_assert_eq!(error(&body[..at]), VerifyError::NotJson);
    }
}
