//! After the payment: tickets and their pictures, admission, pickup, and what operators decide.

use futures::future::join_all;
use lunas_tests::harness::{BOUND, Shop, Storefront, products, tickets, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{count, shop, slot, text, variant};

/// Ten seats and ten pieces.
async fn stocked(front: &Storefront) {
    front.put_slot("s", 10, 75_000).await;
    front.put_variant("v", 10, 25_000).await;
}

/// An order of two tickets and a product, not paid.
async fn placed(front: &Storefront, key: &str) -> String {
    let items = json!([tickets("s", 2), products("v", 1)]);
    let answer = front.place("u", key, items).await.expect(201);
    text(&answer["order"]["order_code"])
}

/// Pays an order; what the shop then reads.
async fn paid(shop: &Shop, front: &Storefront, code: &str, amount: i64) -> Value {
    shop.charge(code, amount, json!({"payment_type": "qris"}))
        .await;
    shop.step(code, "pay", json!({})).await;
    let what = format!("{code} to be decided");
    wait_for(&what, BOUND, async || {
        let order = front.order(code).await;
        match order["status"].as_str() {
            Some("PENDING") | None => Err(order.to_string()),
            Some(_) => Ok(order),
        }
    })
    .await
}

async fn logged(shop: &Shop, code: &str, event: &str) -> Vec<(String, Value)> {
    let rows = sqlx::query_as(
        "SELECT actor, detail FROM payment_sync_logs
         WHERE order_code = $1 AND event_type = $2 ORDER BY id",
    );
    rows.bind(code)
        .bind(event)
        .fetch_all(shop.stage().pool())
        .await
        .unwrap()
}

async fn pictures(front: &Storefront, ticket: &str) {
    let png = front
        .shop(Method::GET, &format!("/api/tickets/{ticket}.png"), None)
        .await;
    assert_eq!((png.status, &*png.media), (200, "image/png"));
    assert!(png.bytes.starts_with(b"\x89PNG\r\n\x1a\n") && png.bytes.len() > 300);
    let svg = front
        .shop(Method::GET, &format!("/api/tickets/{ticket}.svg"), None)
        .await;
    assert_eq!((svg.status, &*svg.media), (200, "image/svg+xml"));
    assert!(String::from_utf8(svg.bytes).unwrap().contains("<svg"));
    for file in [
        "NOBODYHASTHIS.png",
        "%00.png",
        ".png",
        &format!("{ticket}x.svg"),
    ] {
        let said = front
            .shop(Method::GET, &format!("/api/tickets/{file}"), None)
            .await;
        said.problem(404, "ticket_not_found");
    }
    for file in [ticket.to_owned(), format!("{ticket}.gif")] {
        let said = front
            .shop(Method::GET, &format!("/api/tickets/{file}"), None)
            .await;
        said.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_paid_order_has_tickets_with_pictures_that_admit_once() {
    let (shop, front) = shop().await;
    stocked(&front).await;
    let code = placed(&front, "k").await;
    let order = paid(&shop, &front, &code, 175_000).await;
    assert_eq!(order["status"], "PAID");
    let issued = order["tickets"].as_array().unwrap();
    assert_eq!(issued.len(), 2);
    assert_eq!(
        (&issued[0]["slot_id"], &issued[0]["used_at"]),
        (&json!("s"), &Value::Null)
    );
    assert_eq!(
        (&issued[0]["seq"], &issued[1]["seq"]),
        (&json!(1), &json!(2))
    );
    let ticket = text(&issued[0]["code"]);

    pictures(&front, &ticket).await;

    // Twenty gates at once let one person in.
    let path = format!("/admin/tickets/{ticket}/use");
    let gates = join_all((0..20).map(|_| front.operator(Method::POST, &path, None))).await;
    let (admitted, refused): (Vec<_>, Vec<_>) = gates.into_iter().partition(|s| s.status == 200);
    assert_eq!((admitted.len(), refused.len()), (1, 19));
    let admitted = &admitted[0].body;
    assert_eq!(admitted["admitted"], true);
    assert_eq!(
        (&admitted["order_code"], &admitted["slot_id"]),
        (&json!(code), &json!("s"))
    );
    for said in refused {
        assert_eq!(
            said.problem(409, "ticket_used")["used_at"],
            admitted["used_at"]
        );
    }
    let order = front.order(&code).await;
    assert_eq!(order["tickets"][0]["used_at"], admitted["used_at"]);
    let log = logged(&shop, &code, "ticket_used").await;
    assert_eq!(log.len(), 1);
    assert_eq!((&*log[0].0, &log[0].1["seq"]), ("budi", &json!(1)));
    assert!(!log[0].1.to_string().contains(&ticket));
    assert_eq!(logged(&shop, &code, "ticket_refused").await.len(), 19);
    let said = front
        .operator(Method::POST, "/admin/tickets/NOBODYHASTHIS/use", None)
        .await;
    said.problem(404, "ticket_not_found");
    front
        .viewer(Method::POST, &path, None)
        .await
        .problem(403, "forbidden");
    shop.close().await;
}

#[tokio::test]
async fn a_refunded_ticket_admits_nobody_and_its_goods_stay() {
    let (shop, front) = shop().await;
    stocked(&front).await;
    let code = placed(&front, "k").await;
    let order = paid(&shop, &front, &code, 175_000).await;
    let ticket = text(&order["tickets"][0]["code"]);
    let pickup = text(&order["pickup_code"]);
    shop.step(&code, "refund", json!({})).await;
    shop.until_order(&code, json!({"status": "REFUNDED"})).await;
    let said = front
        .operator(Method::POST, &format!("/admin/tickets/{ticket}/use"), None)
        .await;
    assert!(said.problem(409, "ticket_voided")["voided_at"].is_string());
    let said = front
        .shop(Method::GET, &format!("/api/tickets/{ticket}.png"), None)
        .await;
    said.problem(404, "ticket_not_found");
    let said = hand_over(&front, &code, &pickup).await;
    assert_eq!(
        said.problem(409, "order_not_fulfilled")["order_status"],
        "REFUNDED"
    );
    let order = front.order(&code).await;
    assert_eq!(
        (&order["tickets"], &order["pickup_code"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(slot(shop.stage().pool(), "s").await, (10, 0, 0));
    assert_eq!(variant(shop.stage().pool(), "v").await, (10, 0, 0));
    shop.close().await;
}

async fn hand_over(front: &Storefront, code: &str, said: &str) -> lunas_tests::harness::Said {
    let path = format!("/admin/orders/{code}/pickup");
    let body = json!({ "pickup_code": said });
    front.operator(Method::POST, &path, Some(body)).await
}

#[tokio::test]
async fn goods_are_handed_over_once_to_whoever_says_the_code() {
    let (shop, front) = shop().await;
    stocked(&front).await;
    let code = placed(&front, "k").await;
    let said = hand_over(&front, &code, "ABCDEFGH").await;
    assert_eq!(
        said.problem(409, "order_not_fulfilled")["order_status"],
        "PENDING"
    );
    let order = paid(&shop, &front, &code, 175_000).await;
    let right = text(&order["pickup_code"]);
    assert!(right.len() >= 6);

    for wrong in [&right[1..], &format!("{right}A"), "canary"] {
        let problem = hand_over(&front, &code, wrong)
            .await
            .problem(422, "wrong_pickup_code");
        assert!(!problem.to_string().contains(&right), "{problem}");
    }
    assert_eq!(logged(&shop, &code, "pickup_refused").await.len(), 3);
    assert!(front.order(&code).await["picked_up_at"].is_null());

    let typed = format!(" {} ", right.to_lowercase());
    let all = join_all((0..10).map(|_| hand_over(&front, &code, &typed))).await;
    let first = all
        .iter()
        .filter(|said| said.body["duplicate"] == false)
        .count();
    assert_eq!(first, 1);
    for said in all {
        let body = said.expect(200);
        assert_eq!(
            body["picked_up_at"],
            front.order(&code).await["picked_up_at"]
        );
    }
    hand_over(&front, &code, "canary")
        .await
        .problem(422, "wrong_pickup_code");
    let log = logged(&shop, &code, "picked_up").await;
    assert_eq!((log.len(), &*log[0].0), (1, "budi"));

    for body in [
        json!({}),
        json!({"pickup_code": ""}),
        json!({"pickup_code": 7}),
        json!({"pickup_code": "x".repeat(101)}),
        json!({"pickup_code": "a", "x": 1}),
    ] {
        let path = format!("/admin/orders/{code}/pickup");
        let said = front.operator(Method::POST, &path, Some(body)).await;
        said.problem(400, "invalid_body");
    }
    hand_over(&front, "LNS-NOBODY", &right)
        .await
        .problem(404, "order_not_found");
    shop.close().await;
}

#[tokio::test]
async fn an_order_of_tickets_alone_has_nothing_to_pick_up() {
    let (shop, front) = shop().await;
    front.put_slot("s", 10, 75_000).await;
    let answer = front
        .place("u", "k", json!([tickets("s", 1)]))
        .await
        .expect(201);
    let code = text(&answer["order"]["order_code"]);
    paid(&shop, &front, &code, 75_000).await;
    hand_over(&front, &code, "ABCDEFGH")
        .await
        .problem(409, "nothing_to_pick_up");
    shop.close().await;
}

async fn resolve(front: &Storefront, code: &str, body: Value) -> lunas_tests::harness::Said {
    let path = format!("/admin/orders/{code}/resolve");
    front.operator(Method::POST, &path, Some(body)).await
}

#[tokio::test]
async fn an_operator_decides_about_an_order_in_review() {
    let (shop, front) = shop().await;
    stocked(&front).await;
    let cases = [("fulfil", "PAID"), ("close", "CANCELLED")];
    for (action, status) in cases {
        let code = placed(&front, action).await;
        let body = json!({"action": action, "why": "the customer called"});
        let said = resolve(&front, &code, body.clone()).await;
        assert_eq!(
            said.problem(409, "order_not_in_review")["order_status"],
            "PENDING"
        );
        // Somebody paid less than the order costs.
        let order = paid(&shop, &front, &code, 170_000).await;
        assert_eq!(order["status"], "REVIEW");
        assert_eq!(
            (&order["tickets"], &order["pickup_code"]),
            (&json!([]), &Value::Null)
        );

        let answer = resolve(&front, &code, body.clone()).await.expect(200);
        assert_eq!(answer, json!({"order_code": code, "status": status}));
        let said = resolve(&front, &code, body).await;
        assert_eq!(
            said.problem(409, "order_not_in_review")["order_status"],
            status
        );
        let log = logged(&shop, &code, "review_resolved").await;
        assert_eq!((log.len(), &*log[0].0), (1, "budi"));
        assert_eq!(
            log[0].1,
            json!({"action": action, "why": "the customer called"})
        );
    }
    let pool = shop.stage().pool();
    assert_eq!(
        count(pool, "SELECT count(*) FROM tickets WHERE voided_at IS NULL").await,
        2
    );
    assert_eq!(slot(pool, "s").await, (10, 0, 2));
    assert_eq!(variant(pool, "v").await, (9, 0, 1));
    for body in [
        json!({"action": "fulfil"}),
        json!({"action": "fulfil", "why": ""}),
        json!({"action": "fulfil", "why": " \n"}),
        json!({"action": "fulfil", "why": "x".repeat(1_001)}),
        json!({"action": "refund", "why": "because"}),
        json!({"action": "fulfil", "why": "because", "force": true}),
    ] {
        resolve(&front, "LNS-X", body)
            .await
            .problem(400, "invalid_body");
    }
    let body = json!({"action": "fulfil", "why": "because"});
    resolve(&front, "LNS-X", body.clone())
        .await
        .problem(404, "order_not_found");
    let said = front
        .viewer(Method::POST, "/admin/orders/LNS-X/resolve", Some(body))
        .await;
    said.problem(403, "forbidden");
    shop.close().await;
}
