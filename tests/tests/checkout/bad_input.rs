//! Requests that cannot be orders: each hears what is wrong, and nothing happens.

use lunas_tests::harness::{Storefront, products, tickets};
use serde_json::{Value, json};

use crate::support::{count, slot, storefront};

/// What `items` is, the problem's code, and the field that it names.
const BAD_ITEMS: [(&str, &str, &str); 24] = [
    ("[]", "no_items", "items"),
    ("{}", "invalid_body", "items"),
    ("null", "invalid_body", "items"),
    ("[7]", "invalid_body", "items[0]"),
    (
        r#"[{"kind":"ticket","slot_id":"s"}]"#,
        "invalid_body",
        "items[0]",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":0}]"#,
        "invalid_quantity",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":-1}]"#,
        "invalid_quantity",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":10000001}]"#,
        "invalid_quantity",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":9223372036854775807}]"#,
        "invalid_quantity",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":9223372036854775808}]"#,
        "invalid_body",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":1.5}]"#,
        "invalid_body",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":"1"}]"#,
        "invalid_body",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":null}]"#,
        "invalid_body",
        "items[0].quantity",
    ),
    (
        r#"[{"kind":"seat","slot_id":"s","quantity":1}]"#,
        "invalid_body",
        "items[0].kind",
    ),
    (
        r#"[{"kind":"product","slot_id":"s","quantity":1}]"#,
        "invalid_body",
        "items[0].sku",
    ),
    (
        r#"[{"kind":"ticket","quantity":1}]"#,
        "invalid_body",
        "items[0].slot_id",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","sku":"v","quantity":1}]"#,
        "invalid_body",
        "items[0].sku",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"a b","quantity":1}]"#,
        "invalid_body",
        "items[0]",
    ),
    (
        r#"[{"kind":"ticket","slot_id":7,"quantity":1}]"#,
        "invalid_body",
        "items[0].slot_id",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":1,"price":1}]"#,
        "invalid_body",
        "items[0].price",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":2000}]"#,
        "amount_too_large",
        "",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"s","quantity":10000000}]"#,
        "amount_too_large",
        "",
    ),
    (
        r#"[{"kind":"ticket","slot_id":"free","quantity":1}]"#,
        "nothing_to_pay",
        "",
    ),
    (
        r#"[{"kind":"product","sku":"nothing","quantity":1}]"#,
        "unknown_sku",
        "",
    ),
];

#[tokio::test]
async fn every_bad_request_hears_what_is_wrong_with_it() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 10_000_000, 999_999_999_999).await;
    front.put_slot("free", 10, 0).await;
    front.put_variant("v", 10, 100).await;
    for (items, code, field) in BAD_ITEMS {
        let said = front
            .place("u", "k", serde_json::from_str(items).unwrap())
            .await;
        let problem = said.problem(400, code);
        assert_eq!(
            problem["field"].as_str().unwrap_or_default(),
            field,
            "{items}: {problem}"
        );
    }
    let many = Value::Array(vec![tickets("s", 1); 101]);
    front
        .place("u", "k", many)
        .await
        .problem(400, "too_many_items");
    let second = json!([tickets("s", 1), tickets("nowhere", 1)]);
    let problem = front
        .place("u", "k", second)
        .await
        .problem(400, "unknown_slot");
    assert_eq!(
        problem["item"],
        json!({"kind": "ticket", "slot_id": "nowhere"})
    );
    bad_names(&front).await;
    bad_bodies(&front).await;
    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 0);
    assert_eq!(slot(stage.pool(), "s").await, (10_000_000, 0, 0));
    fleet.finish().await;
}

async fn bad_names(front: &Storefront) {
    let bad = [
        json!(""),
        json!(" "),
        json!("a\u{0}b"),
        json!("x".repeat(201)),
        json!(7),
        Value::Null,
    ];
    for who in bad {
        for (field, user, key) in [
            ("user_id", who.clone(), json!("k")),
            ("idempotency_key", json!("u"), who.clone()),
        ] {
            let body = json!({"user_id": user, "idempotency_key": key, "items": [tickets("s", 1)]});
            let said = front
                .post_raw("/api/orders", body.to_string().as_bytes(), &[])
                .await;
            assert_eq!(said.problem(400, "invalid_body")["field"], field, "{body}");
        }
    }
}

async fn bad_bodies(front: &Storefront) {
    let deep = "[".repeat(10_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\"order\"",
        br#"{"user_id":"u","idempotency_key":"k","items":[],"coupon":"x"}"#,
        deep.as_bytes(),
    ];
    for body in bodies {
        let said = front.post_raw("/api/orders", body, &[]).await;
        said.problem(400, "invalid_body");
    }
    let big = "x".repeat(65 * 1024);
    let said = front.post_raw("/api/orders", big.as_bytes(), &[]).await;
    said.problem(413, "body_too_large");
}

#[tokio::test]
async fn a_hundred_lines_are_an_order() {
    let (stage, fleet, front) = storefront().await;
    let mut items = Vec::new();
    for n in 0..50 {
        front.put_slot(&format!("s{n}"), 1, 100).await;
        front.put_variant(&format!("v{n}"), 1, 100).await;
        items.push(tickets(&format!("s{n}"), 1));
        items.push(products(&format!("v{n}"), 1));
    }
    let answer = front.place("u", "k", Value::Array(items)).await.expect(201);
    assert_eq!(answer["order"]["items"].as_array().unwrap().len(), 100);
    assert_eq!(answer["order"]["gross_amount"], 10_000);
    let reserved = "SELECT (SELECT sum(reserved) FROM capacity_slots)::bigint
                         + (SELECT sum(reserved) FROM product_variants)::bigint";
    assert_eq!(count(stage.pool(), reserved).await, 100);
    fleet.finish().await;
}
