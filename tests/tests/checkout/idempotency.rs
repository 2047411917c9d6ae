//! The same request again: one order, however often and however close together.

use futures::future::join_all;
use lunas_tests::harness::{products, tickets};
use serde_json::{Value, json};

use crate::support::{count, slot, storefront, text};

#[tokio::test]
async fn the_same_key_gives_the_first_order_again() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 1, 100).await;
    front.put_variant("v", 5, 10).await;
    let items = json!([tickets("s", 1), products("v", 2)]);
    let first = front.place("u", "k", items.clone()).await.expect(201);
    // The seat is gone, the price is another one, the event is over: the first order stands.
    front.put_slot_at("s", "2020-01-01T00:00:00Z", 1, 999).await;
    let turned = json!([products("v", 1), products("v", 1), tickets("s", 1)]);
    for items in [items, turned] {
        let again = front.place("u", "k", items).await.expect(200);
        assert_eq!(again["duplicate"], true);
        assert_eq!(again["order"], first["order"]);
    }
    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 1);
    assert_eq!(slot(stage.pool(), "s").await, (1, 1, 0));
    fleet.finish().await;
}

#[tokio::test]
async fn a_key_is_one_customers_and_stands_for_one_request() {
    let (_stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    front
        .place("u", "k", json!([tickets("s", 1)]))
        .await
        .expect(201);
    let other = front.place("u", "k", json!([tickets("s", 2)])).await;
    other.problem(422, "idempotency_key_reused");
    let theirs = front
        .place("v", "k", json!([tickets("s", 2)]))
        .await
        .expect(201);
    assert_eq!(theirs["duplicate"], false);
    fleet.finish().await;
}

#[tokio::test]
async fn a_key_may_stand_in_the_body_or_in_the_header() {
    let (_stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    let items = json!([tickets("s", 1)]);
    let bare = json!({"user_id": "u", "items": items});
    let with = |extra: Value| {
        let mut body = bare.clone();
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body.to_string().into_bytes()
    };
    let post = async |body: Vec<u8>, header: &[(&str, &str)]| {
        front.post_raw("/api/orders", &body, header).await
    };
    let header = [("Idempotency-Key", "k")];
    post(with(json!({})), &header).await.expect(201);
    post(with(json!({"idempotency_key": "k"})), &[])
        .await
        .expect(200);
    post(with(json!({"idempotencyKey": "k"})), &[])
        .await
        .expect(200);
    let both = json!({"idempotency_key": "k", "idempotencyKey": "k"});
    post(with(both), &header).await.expect(200);
    let two = [("Idempotency-Key", "k"), ("Idempotency-Key", "l")];
    for (body, headers) in [
        (json!({"idempotency_key": "l"}), &header[..]),
        (json!({"idempotencyKey": "l"}), &header[..]),
        (json!({"idempotency_key": "k", "idempotencyKey": "l"}), &[]),
        (json!({}), &two[..]),
    ] {
        let said = post(with(body), headers).await;
        said.problem(400, "idempotency_keys_differ");
    }
    let said = post(with(json!({})), &[]).await;
    assert_eq!(
        said.problem(400, "invalid_body")["field"],
        "idempotency_key"
    );
    fleet.finish().await;
}

#[tokio::test]
async fn after_a_day_a_key_is_new_again() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    let first = front
        .place("u", "k", json!([tickets("s", 1)]))
        .await
        .expect(201);
    age_keys(stage.pool(), "23 hours 59 minutes").await;
    let again = front
        .place("u", "k", json!([tickets("s", 1)]))
        .await
        .expect(200);
    assert_eq!(again["order"], first["order"]);
    age_keys(stage.pool(), "24 hours").await;
    let items = json!([tickets("s", 2)]);
    let all = join_all((0..8).map(|_| front.place("u", "k", items.clone()))).await;
    let made = all.iter().filter(|said| said.status == 201).count();
    assert_eq!((made, all.len()), (1, 8));
    let codes: Vec<_> = all
        .iter()
        .map(|said| text(&said.body["order"]["order_code"]))
        .collect();
    assert!(codes.windows(2).all(|two| two[0] == two[1]), "{codes:?}");
    assert_ne!(codes[0], text(&first["order"]["order_code"]));
    assert_eq!(slot(stage.pool(), "s").await, (10, 3, 0));
    fleet.finish().await;
}

async fn age_keys(pool: &sqlx::PgPool, age: &str) {
    let aged = sqlx::query("UPDATE idempotency_keys SET created_at = now() - $1::text::interval");
    aged.bind(age).execute(pool).await.unwrap();
}

#[tokio::test]
async fn fifty_identical_requests_at_once_make_one_order() {
    let (stage, fleet, front) = storefront().await;
    // For one only: whoever counted the first order's seat against its own repetition would say
    // that nothing is left.
    front.put_slot("s", 1, 100).await;
    for round in 0..4 {
        front.put_slot("s", round + 1, 100).await;
        let key = format!("key-{round}");
        let items = json!([tickets("s", 1)]);
        let all = join_all((0..50).map(|_| front.place("u", &key, items.clone()))).await;
        let of = |status| all.iter().filter(|said| said.status == status).count();
        assert_eq!(
            (of(201), of(200)),
            (1, 49),
            "{:?}",
            all.iter().find(|s| s.status > 201)
        );
        let first = text(&all[0].body["order"]["order_code"]);
        assert!(
            all.iter()
                .all(|said| said.body["order"]["order_code"] == *first)
        );
        assert!(
            all.iter()
                .all(|said| (said.status == 200) == (said.body["duplicate"] == true))
        );
    }
    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 4);
    assert_eq!(
        count(stage.pool(), "SELECT count(*) FROM order_items").await,
        4
    );
    assert_eq!(slot(stage.pool(), "s").await, (4, 4, 0));
    fleet.finish().await;
}
