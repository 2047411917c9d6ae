//! Every method gives the customer what it takes to pay, and the payment ends the order.

use lunas_tests::sim::Call;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::support::{AMOUNT, Till, by, by_bank};

#[tokio::test]
async fn every_method_tells_what_the_customer_pays_with() {
    let mut till = Till::open().await;
    let cstore = |store: &str| json!({"method": "cstore", "store": store});
    let bank = |bank: &str| json!({"method": "bank_transfer", "bank": bank});
    let one = |method: &str| json!({ "method": method });
    let cases = [
        (one("gopay"), "gopay", "/actions/0/url"),
        (one("qris"), "qris", "/qr_string"),
        (one("shopeepay"), "shopeepay", "/actions/0/url"),
        (bank("bca"), "bank_transfer", "/va_numbers/0/va_number"),
        (bank("bni"), "bank_transfer", "/va_numbers/0/va_number"),
        (bank("bri"), "bank_transfer", "/va_numbers/0/va_number"),
        (bank("cimb"), "bank_transfer", "/va_numbers/0/va_number"),
        (bank("permata"), "bank_transfer", "/va_numbers/0/va_number"),
        (one("echannel"), "echannel", "/bill_key"),
        (cstore("indomaret"), "cstore", "/payment_code"),
        (cstore("alfamart"), "cstore", "/payment_code"),
    ];
    for (n, (mut request, payment_type, means)) in cases.into_iter().enumerate() {
        let code = format!("LNS-{n}");
        till.order(&code).await;
        request["order_code"] = json!(code);
        let answer = till.pay(request.clone()).await;
        let payment = answer.payment(201).clone();
        assert_eq!(payment["session_id"], code, "{payment}");
        assert_eq!(payment["status"], "pending", "{payment}");
        assert_eq!(payment["gross_amount"], AMOUNT);
        assert_eq!(payment["payment_type"], payment_type);
        let means = payment.pointer(means).and_then(Value::as_str);
        assert!(means.is_some_and(|means| !means.is_empty()), "{payment}");
        if let Some(bank) = request["bank"].as_str() {
            assert_eq!(payment["va_numbers"][0]["bank"], bank, "{payment}");
        }
        let known = till.transactions(&code).await;
        assert_eq!(known.len(), 1);
        assert_eq!(payment["transaction_id"], known[0]["transaction_id"]);
        assert_eq!(known[0]["custom_field1"], code);
        assert_eq!(known[0]["metadata"], json!({"order_id": code}));

        let again = till.pay(request).await;
        assert_eq!(again.payment(200), &payment);
        assert_eq!(till.calls(Call::Charge, &code), 1);

        till.shop.step(&code, "pay", json!({})).await;
        till.shop
            .until_order(&code, json!({"status": "PAID"}))
            .await;
    }
    till.shop.close().await;
}

#[tokio::test]
async fn a_page_has_a_token_and_lives_on_after_a_deny_inside_it() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let answer = till.pay(by("LNS-1", "snap")).await;
    let page = answer.payment(201).clone();
    let token = page["token"].as_str().unwrap().to_owned();
    assert!(page["redirect_url"].as_str().unwrap().contains(&token));
    assert_eq!(
        (&page["status"], &page["transaction_id"]),
        (&json!("created"), &Value::Null)
    );

    let pick = |card: &str| json!({"payment_type": "credit_card", "token_id": card});
    let path = format!("/sim/snap/{token}/pick");
    let denied = till.shop.midtrans.post(&path, pick("491111-1113-x")).await;
    assert_eq!(denied.unwrap().body["transaction_status"], "deny");
    till.shop
        .until_payment("LNS-1", json!({"status": "deny"}))
        .await;
    till.shop
        .until_order("LNS-1", json!({"status": "PENDING"}))
        .await;
    let again = till.pay(by("LNS-1", "snap")).await;
    assert_eq!(again.payment(200)["token"], token);

    let paid = till.shop.midtrans.post(&path, pick("481111-1114-x")).await;
    assert_eq!(paid.unwrap().body["transaction_status"], "capture");
    till.shop
        .until_order("LNS-1", json!({"status": "PAID"}))
        .await;
    till.pay(by("LNS-1", "snap"))
        .await
        .problem(409, "already_paid");
    assert_eq!(till.calls(Call::Snap, "LNS-1"), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn no_payment_outlives_its_order() {
    let mut till = Till::open().await;
    let time = |value: &Value| OffsetDateTime::parse(value.as_str().unwrap(), &Rfc3339).unwrap();
    for (code, request, left) in [
        ("LNS-1", by_bank("LNS-1", "bca"), Duration::minutes(30)),
        ("LNS-2", by("LNS-2", "gopay"), Duration::minutes(5)),
        ("LNS-3", by("LNS-3", "snap"), Duration::minutes(30)),
        ("LNS-4", by("LNS-4", "gopay"), Duration::hours(5)),
    ] {
        till.order_for(code, left).await;
        let answer = till.pay(request).await;
        let ends = time(&answer.payment(201)["expires_at"]);
        let order = till.shop.order_row(code).await;
        let closes = time(&order["expires_at"]);
        // Midtrans' times have no fractions of a second.
        assert!(ends <= closes, "{code}: {ends} {closes}");
        let usual = left.min(Duration::minutes(if code == "LNS-4" { 15 } else { 99_999 }));
        let short_by = OffsetDateTime::now_utc() + usual - ends;
        // A page's time is told in minutes.
        let most = Duration::seconds(if code == "LNS-3" { 80 } else { 20 });
        assert!(short_by < most, "{code}: {short_by}");
    }
    till.shop.close().await;
}

#[tokio::test]
async fn gopay_qris_is_a_qr_code_for_an_order_or_on_its_own() {
    let mut till = Till::open().await;
    let path = "/api/payments/gopayqris/create";
    till.order("LNS-1").await;
    let answer = till.post(path, &json!({"order_code": "LNS-1"})).await;
    let payment = answer.payment(201).clone();
    assert_eq!(
        (&payment["payment_type"], &payment["session_id"]),
        (&json!("qris"), &json!("LNS-1"))
    );
    let both = json!({"order_code": "LNS-1", "gross_amount": AMOUNT});
    assert_eq!(till.post(path, &both).await.payment(200), &payment);
    assert_eq!(till.pay(by("LNS-1", "qris")).await.payment(200), &payment);
    let other = json!({"order_code": "LNS-1", "gross_amount": 1});
    let answer = till.post(path, &other).await;
    assert_eq!(answer.problem(400, "invalid_body")["field"], "gross_amount");

    let alone = json!({"gross_amount": 27_500});
    let first = till.post(path, &alone).await.payment(201).clone();
    let second = till.post(path, &alone).await.payment(201).clone();
    assert_ne!(first["session_id"], second["session_id"]);
    let session = first["session_id"].as_str().unwrap().to_owned();
    assert!(
        session.starts_with("LNS-QR-") && session.len() <= 50,
        "{session}"
    );
    assert_eq!(
        (&first["order_code"], &first["gross_amount"]),
        (&Value::Null, &json!(27_500))
    );
    assert!(first["qr_string"].is_string());
    till.shop.step(&session, "pay", json!({})).await;
    let paid = till
        .shop
        .until_payment(&session, json!({"status": "settlement"}))
        .await;
    assert_eq!(
        (&paid["order_id"], &paid["origin"]),
        (&Value::Null, &json!("checkout"))
    );
    till.shop.close().await;
}
