//! Many buyers at once: nothing is sold twice, nobody waits for each other for ever.

use futures::future::join_all;
use lunas_tests::harness::{products, tickets};
use serde_json::json;
use shared::domain::ConfirmPolicy;
use shared::domain::cart::{Cart, Line, Ware};
use shared::orders::{Gates, Terms, place_named};

use crate::support::{count, shop, slot, storefront, text, variant};

#[tokio::test]
async fn a_hundred_buyers_for_the_last_ten_seats_get_exactly_ten() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 10, 100).await;
    let buyers = (0..100).map(|n| {
        let front = &front;
        async move {
            front
                .place(&format!("u{n}"), "k", json!([tickets("s", 1)]))
                .await
        }
    });
    let all = join_all(buyers).await;
    let bought = all.iter().filter(|said| said.status == 201).count();
    for said in all.iter().filter(|said| said.status != 201) {
        let problem = said.clone().problem(409, "insufficient_stock");
        assert_eq!(problem["stockIssue"], true);
        assert_eq!(problem["requestedQuantity"], 1);
        assert_eq!(problem["availableStock"], 0);
    }
    assert_eq!(bought, 10);
    assert_eq!(slot(stage.pool(), "s").await, (10, 10, 0));
    assert_eq!(
        count(
            stage.pool(),
            "SELECT sum(quantity)::bigint FROM order_items"
        )
        .await,
        10
    );
    assert_eq!(count(stage.pool(), "SELECT count(*) FROM orders").await, 10);
    fleet.finish().await;
}

#[tokio::test]
async fn buyers_who_name_the_same_wares_in_other_orders_do_not_deadlock() {
    let (stage, mut fleet, front) = storefront().await;
    for ware in ["a", "b", "c"] {
        front.put_slot(ware, 200, 100).await;
        front.put_variant(ware, 200, 100).await;
    }
    let buyers = (0..64).map(|n| {
        let front = &front;
        async move {
            let mut items = Vec::new();
            for ware in ["a", "b", "c"] {
                items.push(tickets(ware, 1));
                items.push(products(ware, 2));
            }
            items.rotate_left(n % 6);
            if n % 2 == 0 {
                items.reverse();
            }
            front.place(&format!("u{n}"), "k", json!(items)).await
        }
    });
    for said in join_all(buyers).await {
        said.expect(201);
    }
    for ware in ["a", "b", "c"] {
        assert_eq!(slot(stage.pool(), ware).await, (200, 64, 0));
        assert_eq!(variant(stage.pool(), ware).await, (200, 128, 0));
    }
    // The database counts deadlocks it had to break.
    let broken = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(count(stage.pool(), broken).await, 0);
    assert!(!fleet.api(0).log().contains("starts anew"));
    fleet.finish().await;
}

#[tokio::test]
async fn a_catalog_that_changes_under_buyers_keeps_its_promises() {
    let (stage, fleet, front) = storefront().await;
    front.put_slot("s", 40, 100).await;
    let buyers = join_all((0..60).map(|n| {
        let front = &front;
        async move {
            front
                .place(&format!("u{n}"), "k", json!([tickets("s", 1)]))
                .await
        }
    }));
    let operator = async {
        for n in 0..20 {
            let body = json!({"name": "n", "starts_at": "2099-01-01T00:00:00Z",
                              "capacity": 20 + n % 7, "price": 100 + n % 3});
            let said = front
                .operator(reqwest::Method::PUT, "/admin/catalog/slots/s", Some(body))
                .await;
            assert!(matches!(said.status, 200 | 409), "{}", said.body);
        }
    };
    let (all, ()) = tokio::join!(buyers, operator);
    let mut bought = 0;
    for said in all {
        match said.status {
            201 => {
                bought += 1;
                let order = &said.body["order"];
                assert_eq!(order["gross_amount"], order["items"][0]["unit_price"]);
            }
            _ => {
                said.problem(409, "insufficient_stock");
            }
        }
    }
    let (capacity, reserved, sold) = slot(stage.pool(), "s").await;
    assert_eq!((reserved, sold), (bought, 0));
    assert!(reserved <= capacity && bought > 0);
    fleet.finish().await;
}

#[tokio::test]
async fn an_order_that_comes_after_its_payment_is_paid_from_the_start() {
    let (shop, front) = shop().await;
    front.put_slot("s", 10, 75_000).await;
    front.put_variant("v", 10, 25_000).await;
    for session in ["SHOP-1", "SHOP-2-3"] {
        shop.charge(session, 175_000, json!({"payment_type": "qris"}))
            .await;
        shop.step(session, "pay", json!({})).await;
        shop.until_payment(session, json!({"status": "settlement", "order_id": null}))
            .await;
    }
    for (user, code) in [("u1", "SHOP-1"), ("u2", "SHOP-2")] {
        let line = |ware, quantity| Line { ware, quantity };
        let lines = vec![
            line(Ware::Ticket("s".to_owned()), 2),
            line(Ware::Product("v".to_owned()), 1),
        ];
        let cart = Cart::new(user, "k", lines).unwrap();
        let terms = Terms {
            prefix: "SHOP",
            ttl: std::time::Duration::from_secs(3600),
            policy: ConfirmPolicy::Risky,
            gates: Gates::default(),
        };
        let store = shop.stage().database().store();
        let placed = place_named(&store, &terms, &cart, code).await.unwrap();
        assert!(!placed.duplicate);
        // No waiting: it was paid in the transaction that created it.
        let order = front.order(code).await;
        assert_eq!(order["status"], "PAID");
        assert_eq!(order["tickets"].as_array().unwrap().len(), 2);
        assert!(!text(&order["pickup_code"]).is_empty());
    }
    assert_eq!(slot(shop.stage().pool(), "s").await, (10, 0, 4));
    assert_eq!(variant(shop.stage().pool(), "v").await, (8, 0, 2));
    shop.close_expecting(lunas_tests::harness::Expect::clean().delayed_left())
        .await;
}
