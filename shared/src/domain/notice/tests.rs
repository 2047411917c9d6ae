//! The vectors of the fact sheet, hostile requests, and what bodies say.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use time::OffsetDateTime;

use super::super::fixtures::{self, keys};
use super::super::observation::{Observation, Source};
use super::super::rupiah::Rupiah;
use super::super::signature::VerifyError;
use super::bi_snap::{self, BiSnapKeys, BiSnapKeysError, Payment, Product, Signature};
use super::*;

const IRIS_KEY: &str = "IRIS-merchant-7c1d9e52-demo";
const PAYOUT: &str = r#"{"reference_no":"PO8K2M71","amount":"1250000.00","status":"completed","updated_at":"2026-03-14T04:21:09Z"}"#;
const PAYOUT_SIGNATURE: &str = "c6fb12e80716ac43cfacb1db39394a470848f1aaddd2181699634efe35f6e94b\
     9891ac646efe9449b4914814f3379988fa7bf8d3aab1f28a13bb369357c4cac8";

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvBKWhjzdOVNpTZzdspNK
au8rtIIkdfuy4FT+TWOnNHbaD5hnzm/TZvAHVU2v3UoUIAfon7oO2o3P1fN+pfrE
fPJ20Yrmmqra6mSxSL9vBQ5NQ3rk+Bn55T9sQjj9OqdS3b2hfN7h4P8C//e5Wm37
uAXBUUBzvUErPhp+DLeBXMqtMAZODgXKU8B9Xmk+ZZgkW5Do4jcpBDcmuSM15ZKI
g4W53Als0eKcsuICQTJ/vk8nkaILzqeuOT1csOh16kjpvx3polNlW0GZAoOrMr4o
Od8aJ203+kBhl+gqtqgJkmw311MCxTmYIDMCQtKuyFqi319o35JcEs8TWuyfFzTs
ywIDAQAB
-----END PUBLIC KEY-----
";
const DEBIT: &str = r#"{"originalReferenceNo":"A120260314031509QmR7TzKeLuID","originalPartnerReferenceNo":"INV-20260314-000871","latestTransactionStatus":"00","transactionStatusDesc":"SUCCESS","amount":{"value":"150000.00","currency":"IDR"},"additionalInfo":{"refundHistory":[]}}"#;
const DEBIT_SIGNATURE: &str = "D7pc3m62DPqp40aNy9+C2JILIbuHn3BklBVefxTpHeaXqNBjjs1/354HDcE5ildmCf3/5K91SsfqdKtW6Cqq7eA/+5fGaFfMBBp1zqy7W+LxFzyNF9ceA/iB6cQfJmVctHyLIbnuYF+WCrvpbrzhacPo7i91GXMc2tF28vFBCFkiQoG4QPHlkWdG1opEcTBK9YWCXsqDska10Et1mVtNTLzIm0M+6yB+oTFfN8IOM8gYJq5FHJuZ6axYTJOu8JYC/Tuvq7dRKuyqignW8836P7WqfAW+ao3jlTBE9WAlkRT14OPBCGVw1kJaGj5s1MNzzqYIwxfomrYkk0r1nJLdfw==";
const STAMP: &str = "2026-03-14T10:15:22+07:00";

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn iris() -> super::super::ServerKeys {
    format!("another-key,{IRIS_KEY}").parse().unwrap()
}

fn payout(body: &str, signature: Option<&str>) -> Result<Notice, VerifyError> {
    verify::payout(bytes(body), signature, &iris())
}

fn debit(body: &str, signature: &str, timestamp: &str, path: &str) -> Result<Notice, VerifyError> {
    let keys: BiSnapKeys = PUBLIC_KEY.parse().unwrap();
    let said = Signature {
        signature: Some(signature),
        timestamp: Some(timestamp),
        path,
    };
    bi_snap::verify(Product::Debit, bytes(body), &said, &keys).map(|(notice, _)| notice)
}

fn observed(product: Product, body: &Value) -> Payment {
    let at = OffsetDateTime::UNIX_EPOCH;
    bi_snap::observe(product, body.to_string().as_bytes(), at, Source::Webhook).unwrap()
}

fn seen(product: Product, body: &Value) -> Observation {
    match observed(product, body) {
        Payment::Seen(seen) => *seen,
        Payment::Ask(reading) => panic!("{reading:?}"),
    }
}

#[test]
fn kinds_have_distinct_words_that_read_back() {
    for kind in NoticeKind::ALL {
        assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
    }
    assert_eq!(NoticeKind::parse("classic"), None);
}

#[test]
fn the_payout_vector_holds_and_a_change_of_one_byte_does_not() {
    let notice = payout(PAYOUT, Some(PAYOUT_SIGNATURE)).unwrap();
    assert_eq!(notice.body(), PAYOUT.as_bytes());
    for (body, signature) in [
        (
            PAYOUT.replace("1250000", "9250000"),
            PAYOUT_SIGNATURE.to_owned(),
        ),
        (PAYOUT.to_owned() + " ", PAYOUT_SIGNATURE.to_owned()),
        (PAYOUT.to_owned(), PAYOUT_SIGNATURE[1..].to_owned()),
        (PAYOUT.to_owned(), "zz".repeat(64)),
    ] {
        let result = payout(&body, Some(&signature)).err();
        assert_eq!(result, Some(VerifyError::SignatureMismatch));
    }
    let name = verify::PAYOUT_SIGNATURE;
    assert_eq!(
        payout(PAYOUT, None).err(),
        Some(VerifyError::MissingField { name })
    );
    let not_json = hex::encode(Sha512::digest(format!("[]{IRIS_KEY}")));
    assert_eq!(
        payout("[]", Some(&not_json)).err(),
        Some(VerifyError::NotJson)
    );
}

#[test]
fn the_bi_snap_vector_holds_under_every_reading_of_its_path() {
    assert!(
        debit(
            DEBIT,
            DEBIT_SIGNATURE,
            STAMP,
            "/webhooks/bi-snap/v1.0/debit/notify"
        )
        .is_ok()
    );
    // Signed with the path that was asked for, which here is the bare one.
    assert!(debit(DEBIT, DEBIT_SIGNATURE, STAMP, "/v1.0/debit/notify").is_ok());
    // Blanks outside texts do not count; those inside do.
    let spread = DEBIT.replace(":{", " : {\n\t").replace(',', " ,");
    assert!(debit(&spread, DEBIT_SIGNATURE, STAMP, "/x").is_ok());
    for (body, stamp) in [
        (DEBIT.replace("SUCCESS", "SUC CESS"), STAMP),
        (DEBIT.replace("150000", "150001"), STAMP),
        (DEBIT.to_owned(), "2026-03-14T10:15:23+07:00"),
    ] {
        let result = debit(&body, DEBIT_SIGNATURE, stamp, "/x").err();
        assert_eq!(result, Some(VerifyError::SignatureMismatch), "{body}");
    }
    let result = debit(DEBIT, "not base64!", STAMP, "/x").err();
    assert_eq!(result, Some(VerifyError::SignatureMismatch));
}

#[test]
fn a_signature_for_one_product_is_none_for_another() {
    let keys: BiSnapKeys = PUBLIC_KEY.parse().unwrap();
    let said = Signature {
        signature: Some(DEBIT_SIGNATURE),
        timestamp: Some(STAMP),
        path: "/x/v1.0/qr/qr-mpm-notify",
    };
    let result = bi_snap::verify(Product::Qr, bytes(DEBIT), &said, &keys).err();
    assert_eq!(result, Some(VerifyError::SignatureMismatch));
}

#[test]
fn public_keys_are_read_one_or_more_and_nonsense_is_told_by_its_place() {
    let parse = |text: &str| text.parse::<BiSnapKeys>().err();
    assert_eq!(parse(&PUBLIC_KEY.replace('\n', "\\n")), None);
    assert_eq!(parse(&format!("{PUBLIC_KEY}\n{PUBLIC_KEY}")), None);
    assert_eq!(parse("no key"), Some(BiSnapKeysError::NoBlock));
    let cut = PUBLIC_KEY.replace("MIIBIj", "MIIBIk");
    assert_eq!(parse(&cut), Some(BiSnapKeysError::NotRsa { position: 1 }));
    let odd = format!("{PUBLIC_KEY}{}", PUBLIC_KEY.replace("ywIDAQAB", "?"));
    assert_eq!(
        parse(&odd),
        Some(BiSnapKeysError::NotBase64 { position: 2 })
    );
}

#[test]
fn a_linking_notice_is_signed_over_its_own_fields() {
    let notice = verify::pay_account(bytes(fixtures::ACCOUNT_LINKED), &keys()).unwrap();
    assert_eq!(notice.kind(), NoticeKind::PayAccount);
    let read = read(notice.kind(), notice.body()).unwrap();
    assert_eq!(read.external_id, "7d0c4b1e-2f63-4a95-b0d8-51ce9a37f204");
    assert_eq!(read.status.as_deref(), Some("enabled"));
    let forged = fixtures::ACCOUNT_LINKED.replace("ENABLED", "DISABLED");
    let result = verify::pay_account(bytes(&forged), &keys()).err();
    assert_eq!(result, Some(VerifyError::SignatureMismatch));
}

fn charge() -> Value {
    json!({
        "event_name": "subscription.charge",
        "transaction": {"transaction_id": "bc517d6f", "transaction_status": "capture",
                        "status_code": "200"},
        "subscription": {"id": "5e9a1c77", "status": "active", "amount": "150000",
                         "token": "48111111QwErTyUiOpAsDfGhJk1114",
                         "schedule": {"current_interval": 3}},
    })
}

#[test]
fn an_unsigned_subscription_is_unverified_and_a_signed_one_is_held_to_its_signature() {
    let recurring = |body: &Value| verify::recurring(bytes(&body.to_string()), &keys());
    let Ok(Recurring::Unsigned(notice)) = recurring(&charge()) else {
        panic!("a documented body is taken");
    };
    assert!(!notice.kind().is_verified());
    let read = read(notice.kind(), notice.body()).unwrap();
    assert_eq!(read.external_id, "5e9a1c77");
    assert_eq!(read.question.unwrap().id, "bc517d6f");

    let signed: Value = serde_json::from_str(fixtures::body("gopay_settlement")).unwrap();
    assert!(matches!(recurring(&signed), Ok(Recurring::Classic(_))));
    let mut forged = charge();
    forged["signature_key"] = json!("00".repeat(64));
    assert_eq!(
        recurring(&forged).err(),
        Some(VerifyError::MissingField { name: "order_id" })
    );
    let mut unsigned = signed.clone();
    unsigned.as_object_mut().unwrap().remove("signature_key");
    assert_eq!(
        recurring(&unsigned).err(),
        Some(VerifyError::MissingField {
            name: "subscription"
        })
    );
}

#[test]
fn credentials_travel_no_further_than_the_check() {
    let Ok(Recurring::Unsigned(notice)) = verify::recurring(bytes(&charge().to_string()), &keys())
    else {
        panic!("a documented body is taken");
    };
    let link = json!({"additionalInfo": {"accessToken": "secret-token", "accountStatus": "ENABLED",
                                         "merchantId": "G1", "statusMessage": "Account linked"}});
    let kind = NoticeKind::BiSnap(Product::Account);
    let link = Notice::new(kind, bytes(&link.to_string()));
    for (notice, secret) in [(&notice, "QwErTyUi"), (&link, "secret-token")] {
        let body = String::from_utf8(notice.body().to_vec()).unwrap();
        assert!(!body.contains(secret) && body.contains("sha256:"), "{body}");
    }
    // The same account is still the same account.
    let read = read(kind, link.body()).unwrap();
    assert!(read.external_id.starts_with("sha256:"));
}

#[test]
fn the_same_notice_has_the_same_key_and_the_next_one_another() {
    let key = |body: &Value| {
        let body = body.to_string();
        read(NoticeKind::Payout, body.as_bytes()).unwrap().event_key
    };
    let first = json!({"reference_no": "P1", "amount": "1.00", "status": "completed",
                       "updated_at": "2026-03-14T04:21:09Z"});
    let mut again = first.clone();
    again["a_new_field"] = json!(1);
    assert_eq!(key(&first), key(&again));
    for (name, value) in [
        ("status", "failed"),
        ("updated_at", "2026-03-14T04:21:10Z"),
        ("reference_no", "P2"),
    ] {
        let mut other = first.clone();
        other[name] = json!(value);
        assert_ne!(key(&first), key(&other), "{name}");
    }
}

#[test]
fn a_debit_payment_is_an_observation_of_its_transaction() {
    let body: Value = serde_json::from_str(DEBIT).unwrap();
    let paid = seen(Product::Debit, &body);
    assert_eq!(paid.session_id, "INV-20260314-000871");
    assert_eq!(paid.transaction_id, "A120260314031509QmR7TzKeLuID");
    assert_eq!(paid.status.as_str(), "settlement");
    assert_eq!(paid.gross_amount, Rupiah::new(150_000));
    let words = [
        ("03", "pending"),
        ("05", "cancel"),
        ("06", "failure"),
        ("08", "expire"),
        ("09", "deny"),
        ("77", "77"),
    ];
    for (code, word) in words {
        let mut body = body.clone();
        body["latestTransactionStatus"] = json!(code);
        assert_eq!(seen(Product::Debit, &body).status.as_str(), word);
        let stored = body.to_string();
        let again = bi_snap::observe_stored(stored.as_bytes(), OffsetDateTime::UNIX_EPOCH);
        assert_eq!(again.unwrap().status.as_str(), word);
    }
}

#[test]
fn the_totals_tell_a_partial_refund_from_a_full_one() {
    let refund = |info: Value| {
        let mut body: Value = serde_json::from_str(DEBIT).unwrap();
        body["latestTransactionStatus"] = json!("04");
        body["additionalInfo"] = info;
        body
    };
    let money = |value: &str| json!({"value": value, "currency": "IDR"});
    let part = refund(json!({"totalRefundAmount": money("50000.00")}));
    let part = seen(Product::Debit, &part);
    assert_eq!(part.status.as_str(), "partial_refund");
    assert_eq!(part.refund_amount, Some(Rupiah::new(50_000)));
    let listed = refund(json!({"refundHistory": [
        {"refundNo": "r1", "refundAmount": money("100000.00")},
        {"refundNo": "r2", "refundAmount": money("50000.00")}]}));
    let full = seen(Product::Debit, &listed);
    assert_eq!(full.status.as_str(), "refund");
    assert_ne!(part.event_key, full.event_key);
    // Without any total nobody knows which it is.
    let untold = observed(Product::Debit, &refund(json!({})));
    assert!(matches!(untold, Payment::Ask(_)));
}

#[test]
fn a_payment_that_does_not_say_enough_is_asked_about() {
    let mut qr: Value = serde_json::from_str(DEBIT).unwrap();
    qr.as_object_mut()
        .unwrap()
        .remove("originalPartnerReferenceNo");
    let Payment::Ask(reading) = observed(Product::Qr, &qr) else {
        panic!("there is no session to apply it to");
    };
    let question = reading.question.unwrap();
    assert_eq!(question.id, "A120260314031509QmR7TzKeLuID");
    assert_eq!(question.session_id, None);
    let unpaid = json!({"trxId": "LNS-1", "additionalInfo": {"paymentFlagStatus": "03"}});
    let Payment::Ask(reading) = observed(Product::VirtualAccount, &unpaid) else {
        panic!("there is no amount");
    };
    assert_eq!(
        reading.question.unwrap().session_id.as_deref(),
        Some("LNS-1")
    );
}

#[test]
fn a_paid_virtual_account_is_linked_by_the_merchants_field() {
    let body = json!({
        "partnerServiceId": "   70045", "customerNo": "00000000451877000877",
        "virtualAccountNo": "   7004500000000451877000877", "trxId": "va-1", "referenceNo": "T-1",
        "paidAmount": {"value": "310000.00", "currency": "IDR"},
        "additionalInfo": {"paymentFlagStatus": "00", "bank": "PERMATA",
                           "paidTime": "2026-03-14T10:41:18+07:00",
                           "customField": {"1": "LNS-9"}},
    });
    let paid = seen(Product::VirtualAccount, &body);
    assert_eq!(paid.link_hints.custom_field1.as_deref(), Some("LNS-9"));
    assert_eq!(paid.payment_channel.as_deref(), Some("permata"));
    assert_eq!(
        paid.settlement_time.unwrap().unix_timestamp(),
        1_773_459_678
    );
    let mut dollars = body.clone();
    dollars["paidAmount"]["currency"] = json!("USD");
    let refused = bi_snap::observe(
        Product::VirtualAccount,
        dollars.to_string().as_bytes(),
        OffsetDateTime::UNIX_EPOCH,
        Source::Webhook,
    );
    assert!(refused.is_err());
}
