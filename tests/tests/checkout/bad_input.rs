//! Requests that cannot be orders: each hears what is wrong, and nothing happens.

use lunas_tests::harness::{products, tickets};
use serde_json::{Value, json};

use crate::support::{count, slot, storefront};

#[tokio::test]
async fn every_bad_request_hears_what_is_wrong_with_it() {
    let (stage, mut fleet, front) = storefront().await;
    front.put_slot("s", 10_000_000, 999_999_999_999).await;
    front.put_slot("free", 10, 0).await;
    front.put_variant("v", 10, 100).await;
    let line = |extra: Value| {
        let mut line = tickets("s", 1);
        for (name, value) in extra.as_object().unwrap() {
            line[name] = value.clone();
        }
        json!([line])
    };
    let good = json!([tickets("s", 1)]);
    let cases: Vec<(Value, &str, Value)> = vec![
        (json!([]), "no_items", json!("items")),
        (
            Value::Array(vec![tickets("s", 1); 101]),
            "too_many_items",
            json!("items"),
        ),
        (
            line(json!({"quantity": 0})),
            "invalid_quantity",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": -1})),
            "invalid_quantity",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": 10_000_001})),
            "invalid_quantity",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": i64::MAX})),
            "invalid_quantity",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": u64::MAX})),
            "invalid_body",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": 1.5})),
            "invalid_body",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": "1"})),
            "invalid_body",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"quantity": null})),
            "invalid_body",
            json!("items[0].quantity"),
        ),
        (
            line(json!({"kind": "seat"})),
            "invalid_body",
            json!("items[0].kind"),
        ),
        (
            line(json!({"kind": "product"})),
            "invalid_body",
            json!("items[0].sku"),
        ),
        (
            line(json!({"slot_id": null})),
            "invalid_body",
            json!("items[0].slot_id"),
        ),
        (
            line(json!({"sku": "v"})),
            "invalid_body",
            json!("items[0].sku"),
        ),
        (
            line(json!({"slot_id": "a b"})),
            "invalid_body",
            json!("items[0]"),
        ),
        (
            line(json!({"slot_id": 7})),
            "invalid_body",
            json!("items[0].slot_id"),
        ),
        (
            line(json!({"price": 1})),
            "invalid_body",
            json!("items[0].price"),
        ),
        (
            json!([tickets("s", 1), tickets("nowhere", 1)]),
            "unknown_slot",
            Value::Null,
        ),
        (json!([products("nothing", 1)]), "unknown_sku", Value::Null),
        (
            json!([tickets("s", 2_000)]),
            "amount_too_large",
            Value::Null,
        ),
        (
            json!([tickets("s", 10_000_000)]),
            "amount_too_large",
            Value::Null,
        ),
        (json!([tickets("free", 1)]), "nothing_to_pay", Value::Null),
        (json!({}), "invalid_body", json!("items")),
        (Value::Null, "invalid_body", json!("items")),
    ];
    for (items, code, field) in cases {
        let said = front.place("u", "k", items.clone()).await;
        let problem = said.problem(400, code);
        assert_eq!(problem["field"], field, "{items}: {problem}");
    }
    let problem = front.place("u", "k", json!([tickets("nowhere", 1)])).await;
    let problem = problem.problem(400, "unknown_slot");
    assert_eq!(
        problem["item"],
        json!({"kind": "ticket", "slot_id": "nowhere"})
    );

    for who in [
        json!(""),
        json!(" "),
        json!("a\u{0}b"),
        json!("x".repeat(201)),
        json!(7),
        Value::Null,
    ] {
        for (field, user, key) in [
            ("user_id", who.clone(), json!("k")),
            ("idempotency_key", json!("u"), who.clone()),
        ] {
            let body = json!({"user_id": user, "idempotency_key": key, "items": good});
            let said = front
                .post_raw("/api/orders", body.to_string().as_bytes(), &[])
                .await;
            assert_eq!(said.problem(400, "invalid_body")["field"], field, "{body}");
        }
    }
    let bodies: [&[u8]; 7] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\"order\"",
        br#"{"user_id":"u","idempotency_key":"k","items":[],"coupon":"x"}"#,
    ];
    for body in bodies {
        front
            .post_raw("/api/orders", body, &[])
            .await
            .problem(400, "invalid_body");
    }
    let deep = "[".repeat(10_000);
    front
        .post_raw("/api/orders", deep.as_bytes(), &[])
        .await
        .problem(400, "invalid_body");
    let big = "x".repeat(65 * 1024);
    front
        .post_raw("/api/orders", big.as_bytes(), &[])
        .await
        .problem(413, "body_too_large");

    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 0);
    assert_eq!(slot(stage.pool(), "s").await, (10_000_000, 0, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn a_hundred_lines_are_an_order() {
    let (stage, mut fleet, front) = storefront().await;
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
