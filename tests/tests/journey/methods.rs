//! Every payment type: the signed examples of the fact sheet as they are, and the methods of the
//! gateway from charge to payment.

use lunas_tests::harness::{Shop, root};
use serde_json::{Value, json};

use crate::front_door::has;

/// File, order's status, payment's status, payment type, channel.
const EXAMPLES: [(&str, &str, &str, &str, Option<&str>); 16] = [
    (
        "credit_card_capture",
        "PAID",
        "capture",
        "credit_card",
        Some("bni"),
    ),
    (
        "credit_card_capture_challenge",
        "PENDING",
        "capture",
        "credit_card",
        Some("bni"),
    ),
    (
        "credit_card_deny",
        "PENDING",
        "deny",
        "credit_card",
        Some("bni"),
    ),
    (
        "gopay_settlement",
        "PAID",
        "settlement",
        "gopay",
        Some("GOPAY_WALLET"),
    ),
    (
        "qris_settlement",
        "PAID",
        "settlement",
        "qris",
        Some("gopay"),
    ),
    (
        "shopeepay_settlement",
        "PAID",
        "settlement",
        "shopeepay",
        None,
    ),
    (
        "bank_transfer_bca_settlement",
        "PAID",
        "settlement",
        "bank_transfer",
        Some("bca"),
    ),
    (
        "bank_transfer_bni_settlement",
        "PAID",
        "settlement",
        "bank_transfer",
        Some("bni"),
    ),
    (
        "bank_transfer_permata_settlement",
        "PAID",
        "settlement",
        "bank_transfer",
        Some("permata"),
    ),
    (
        "bank_transfer_bsi_settlement",
        "PAID",
        "settlement",
        "bank_transfer",
        Some("bsi"),
    ),
    (
        "echannel_settlement",
        "PAID",
        "settlement",
        "echannel",
        Some("mandiri"),
    ),
    (
        "cstore_indomaret_settlement",
        "PAID",
        "settlement",
        "cstore",
        Some("indomaret"),
    ),
    (
        "cstore_alfamart_settlement",
        "PAID",
        "settlement",
        "cstore",
        Some("alfamart"),
    ),
    ("akulaku_settlement", "PAID", "settlement", "akulaku", None),
    ("kredivo_settlement", "PAID", "settlement", "kredivo", None),
    (
        "bank_transfer_bri_cancel",
        "",
        "",
        "bank_transfer",
        Some("bri"),
    ),
];

#[tokio::test]
async fn every_example_of_the_fact_sheet_ends_as_it_says() {
    let mut shop = Shop::open().await;
    for (file, order, payment, kind, channel) in EXAMPLES {
        let body = example(file);
        let session = body["order_id"].as_str().unwrap();
        let amount = body["gross_amount"].as_str().unwrap();
        let amount: i64 = amount.trim_end_matches(".00").parse().unwrap();
        shop.order(session, amount).await;
        assert_eq!(shop.post_json(&body).await, 200, "{file}");
        if order.is_empty() {
            // A cancellation of what was never seen pending: only the gateway can tell.
            shop.until_verdicts(session, &[("refused", 1)]).await;
            shop.until_order(session, json!({"status": "PENDING"}))
                .await;
            continue;
        }
        shop.until_payment(
            session,
            json!({"status": payment, "payment_type": kind, "payment_channel": channel}),
        )
        .await;
        shop.until_order(session, json!({"status": order, "review_reasons": []}))
            .await;
        has(
            &shop.transaction_row(session).await,
            &json!({"midtrans_transaction_id": body["transaction_id"], "gross_amount": amount}),
        );
    }
    shop.close().await;
}

fn example(file: &str) -> Value {
    let path = root().join(format!("shared/src/domain/fixtures/{file}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn every_method_of_the_gateway_is_paid_from_charge_to_order() {
    let shop = Shop::open().await;
    let later = json!({
        "item_details": [{"id": "a", "price": 75_000, "quantity": 1, "name": "A"}],
        "customer_details": {"first_name": "Budi"},
    });
    let methods = [
        (json!({"payment_type": "gopay"}), Some("GOPAY_WALLET")),
        (json!({"payment_type": "qris"}), Some("gopay")),
        (
            json!({"payment_type": "qris", "qris": {"acquirer": "airpay shopee"}}),
            Some("airpay shopee"),
        ),
        (json!({"payment_type": "shopeepay"}), None),
        (json!({"payment_type": "dana"}), None),
        (
            json!({"payment_type": "ovo", "ovo": {"payer_phone_number": "081234567890"}}),
            None,
        ),
        (json!({"payment_type": "echannel"}), Some("mandiri")),
        (cstore("indomaret"), Some("indomaret")),
        (cstore("alfamart"), Some("alfamart")),
        (transfer("bca"), Some("bca")),
        (transfer("bni"), Some("bni")),
        (transfer("bri"), Some("bri")),
        (transfer("cimb"), Some("cimb")),
        (transfer("permata"), Some("permata")),
        (transfer("bsi"), Some("bsi")),
        (with(json!({"payment_type": "akulaku"}), &later), None),
        (with(json!({"payment_type": "kredivo"}), &later), None),
        (
            json!({"payment_type": "credit_card",
                   "credit_card": {"token_id": "481111-1114-x", "authentication": true}}),
            Some("bni"),
        ),
    ];
    for (number, (method, _)) in methods.iter().enumerate() {
        let code = format!("LNS-M{number}");
        shop.order_and_charge(&code, 75_000, method.clone()).await;
    }
    for number in 0..methods.len() {
        let code = format!("LNS-M{number}");
        shop.until_payment(&code, json!({"status": "pending"}))
            .await;
        shop.step(&code, "pay", json!({})).await;
    }
    for (number, (method, channel)) in methods.iter().enumerate() {
        let code = format!("LNS-M{number}");
        shop.until_order(&code, json!({"status": "PAID", "review_reasons": []}))
            .await;
        shop.until_payment(
            &code,
            json!({"payment_type": method["payment_type"], "payment_channel": channel}),
        )
        .await;
    }
    shop.close().await;
}

#[tokio::test]
async fn a_static_qr_code_is_paid_without_an_order_and_nothing_blocks() {
    let shop = Shop::open().await;
    let paid = shop
        .midtrans
        .post("/sim/static-qris", json!({"amount": 9_000}))
        .await;
    let session = paid.unwrap().body["order_id"].as_str().unwrap().to_owned();
    let wanted = json!({"status": "settlement", "origin": "webhook", "order_id": null,
                        "gross_amount": 9_000});
    shop.until_payment(&session, wanted).await;
    // Its order is looked for in delay queues for more than a minute.
    let expect = lunas_tests::harness::Expect::clean().delayed_left();
    shop.close_expecting(expect).await;
}

fn transfer(bank: &str) -> Value {
    json!({"payment_type": "bank_transfer", "bank_transfer": {"bank": bank}})
}

fn cstore(store: &str) -> Value {
    json!({"payment_type": "cstore", "cstore": {"store": store}})
}

fn with(mut method: Value, more: &Value) -> Value {
    let fields = more.as_object().unwrap().clone();
    method.as_object_mut().unwrap().extend(fields);
    method
}
