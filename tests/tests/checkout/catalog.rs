//! What operators write into the catalog, and what they and the shop see of it.

use lunas_tests::harness::tickets;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{slot, storefront, variant};

#[tokio::test]
async fn an_entry_is_created_changed_and_left_alone() {
    let (stage, mut fleet, front) = storefront().await;
    let path = "/admin/catalog/slots/concert-1";
    let body = |capacity: i64| {
        json!({"name": "Konser", "starts_at": "2099-07-18T19:00:00.123456789+07:00",
               "capacity": capacity, "price": 150_000})
    };
    for (capacity, result) in [(10, "created"), (10, "unchanged"), (12, "changed")] {
        let said = front
            .operator(Method::PUT, path, Some(body(capacity)))
            .await;
        assert_eq!(said.expect(200), json!({ "result": result }));
    }
    assert_eq!(slot(stage.pool(), "concert-1").await, (12, 0, 0));

    let path = "/admin/catalog/variants/shirt-m";
    let body = |price: i64| json!({"name": "Kaus", "stock": 5, "price": price});
    for (price, result) in [(90_000, "created"), (90_000, "unchanged"), (0, "changed")] {
        let said = front.operator(Method::PUT, path, Some(body(price))).await;
        assert_eq!(said.expect(200), json!({ "result": result }));
    }
    assert_eq!(variant(stage.pool(), "shirt-m").await, (5, 0, 0));
    fleet.stop().await;
}

#[tokio::test]
async fn nothing_goes_below_what_is_taken() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    front.put_variant("v", 10, 100).await;
    let items = json!([tickets("s", 4), {"kind": "product", "sku": "v", "quantity": 3}]);
    front.place("u", "k", items).await.expect(201);
    let cases = [
        ("/admin/catalog/slots/s", "capacity", 4),
        ("/admin/catalog/variants/v", "stock", 3),
    ];
    for (path, field, taken) in cases {
        let mut body = json!({"name": "n", "price": 100, field: taken - 1});
        if field == "capacity" {
            body["starts_at"] = json!("2099-01-01T00:00:00Z");
        }
        let said = front.operator(Method::PUT, path, Some(body.clone())).await;
        assert_eq!(said.problem(409, "below_taken")["taken"], taken);
        body[field] = json!(taken);
        front
            .operator(Method::PUT, path, Some(body))
            .await
            .expect(200);
    }
    assert_eq!(slot(stage.pool(), "s").await, (4, 4, 0));
    assert_eq!(variant(stage.pool(), "v").await, (3, 3, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn what_is_no_entry_is_refused_and_named() {
    let (stage, mut fleet, front) = storefront().await;
    let good = json!({"name": "n", "starts_at": "2099-01-01T00:00:00Z", "capacity": 1, "price": 1});
    let cases = [
        ("name", json!(""), "name"),
        ("name", json!("x".repeat(201)), "name"),
        ("name", json!(7), "name"),
        ("name", Value::Null, "name"),
        ("starts_at", json!("tomorrow"), "starts_at"),
        ("starts_at", json!("9999-12-31T23:59:59-23:59"), "starts_at"),
        ("capacity", json!(-1), "capacity"),
        ("capacity", json!(10_000_001), "capacity"),
        ("capacity", json!(1.5), "capacity"),
        ("capacity", json!("1"), "capacity"),
        ("price", json!(-1), "price"),
        ("price", json!(1_000_000_000_000_i64), "price"),
        ("stock", json!(1), "stock"),
    ];
    let path = "/admin/catalog/slots/s";
    for (field, value, named) in cases {
        let mut body = good.clone();
        body[field] = value;
        let said = front.operator(Method::PUT, path, Some(body.clone())).await;
        assert_eq!(said.problem(400, "invalid_body")["field"], named, "{body}");
    }
    let no_price = json!({"name": "n", "stock": 1});
    let said = front
        .operator(Method::PUT, "/admin/catalog/variants/v", Some(no_price))
        .await;
    let document = said.problem(400, "invalid_body");
    assert!(
        document["detail"].as_str().unwrap().contains("price"),
        "{document}"
    );
    for id in ["a%20b", "a%2Fb", "%00", "%ff", &"x".repeat(65)] {
        let path = format!("/admin/catalog/slots/{id}");
        let said = front.operator(Method::PUT, &path, Some(good.clone())).await;
        said.problem(400, "invalid_parameter");
    }
    // Looking is not writing.
    let said = front.viewer(Method::PUT, path, Some(good)).await;
    said.problem(403, "forbidden");
    let rows =
        "SELECT (SELECT count(*) FROM capacity_slots) + (SELECT count(*) FROM product_variants)";
    assert_eq!(crate::support::count(stage.pool(), rows).await, 0);
    fleet.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages_that_neither_repeat_nor_skip() {
    let (_stage, mut fleet, front) = storefront().await;
    for n in 0..5 {
        front.put_slot(&format!("slot.{n}"), 10 + n, 100).await;
        front.put_variant(&format!("sku_{n}"), 20 + n, 200).await;
    }
    front
        .put_slot_at("over", "2020-01-01T00:00:00Z", 1, 1)
        .await;
    front
        .place("u", "k", json!([tickets("slot.1", 3)]))
        .await
        .expect(201);

    let slots = pages(&front, "/admin/catalog/slots").await;
    assert_eq!(
        names(&slots, "id"),
        ["over", "slot.0", "slot.1", "slot.2", "slot.3", "slot.4"]
    );
    assert_eq!(
        (&slots[2]["reserved"], &slots[2]["capacity"]),
        (&json!(3), &json!(11))
    );
    let variants = pages(&front, "/admin/catalog/variants").await;
    assert_eq!(
        names(&variants, "sku"),
        ["sku_0", "sku_1", "sku_2", "sku_3", "sku_4"]
    );

    // The shop sees what can be bought; an event that has begun cannot.
    let all = pages(&front, "/api/catalog").await;
    assert_eq!(all.len(), 10);
    assert_eq!(
        all[1],
        json!({"kind": "ticket", "slot_id": "slot.1", "name": "Slot slot.1", "price": 100,
               "starts_at": "2099-07-18T12:00:00Z", "available": 8})
    );
    assert_eq!(
        all[9],
        json!({"kind": "product", "sku": "sku_4", "name": "Variant sku_4", "price": 200,
               "available": 24})
    );
    for path in [
        "/api/catalog?cursor=x",
        "/api/catalog?cursor=q.a",
        "/api/catalog?limit=0",
    ] {
        front
            .shop(Method::GET, path, None)
            .await
            .problem(400, "invalid_parameter");
    }
    fleet.stop().await;
}

/// All items of a list, read by every size of page, which all give the same.
async fn pages(front: &lunas_tests::harness::Storefront, path: &str) -> Vec<Value> {
    let mut readings = Vec::new();
    for limit in [1, 2, 3, 5, 200] {
        let mut items = Vec::new();
        let mut next = format!("{path}?limit={limit}");
        loop {
            let said = match path.starts_with("/admin") {
                true => front.viewer(Method::GET, &next, None).await,
                false => front.shop(Method::GET, &next, None).await,
            };
            let page = said.expect(200);
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            next = format!("{path}?limit={limit}&cursor={cursor}");
        }
        readings.push(items);
    }
    assert!(
        readings.windows(2).all(|two| two[0] == two[1]),
        "{readings:?}"
    );
    readings.remove(0)
}

fn names<'a>(items: &'a [Value], field: &str) -> Vec<&'a str> {
    items
        .iter()
        .map(|item| item[field].as_str().unwrap())
        .collect()
}
