//! Conditions of single orders and payments, each produced for real, once.

use lunas_tests::harness::{
    Fleet, Inbox, Method, OrderRow, Payment, Stage, Storefront, insert_slot, wait_for,
};
use reqwest::Method as Verb;
use serde_json::json;

use crate::support::{about, kinds, run, told_once, until_order, watched};

const PRICE: i64 = 150_000;

fn gopay(session: &str) -> Payment {
    Payment::new(Method::Gopay, session, PRICE)
}

/// An ingest, a worker, a scheduler that watches, an api for decisions.
async fn shop(inbox: &Inbox) -> (Stage, Fleet) {
    let stage = Stage::new().await;
    let fleet = watched(&stage, inbox)
        .env("ALERT_MISMATCH_AFTER", "0s")
        .env("ALERT_EFFECTS_AFTER", "0s")
        .ingest(1)
        .workers(1)
        .schedulers(1)
        .selling()
        .start()
        .await;
    (stage, fleet)
}

async fn close_order(fleet: &mut Fleet, code: &str) {
    let path = format!("/admin/orders/{code}/resolve");
    let body = json!({"action": "close", "why": "the money went back"});
    let front = Storefront::of(fleet);
    front
        .operator(Verb::POST, &path, Some(body))
        .await
        .expect(200);
}

#[tokio::test]
async fn paid_while_the_order_does_not_say_so_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    OrderRow::pending("LNS-A", PRICE).insert(stage.pool()).await;
    gopay("LNS-A")
        .settlement()
        .post(&fleet.webhook_url())
        .await
        .unwrap();
    until_order(&stage, "LNS-A", "PAID").await;
    run(
        &stage,
        "UPDATE orders SET status = 'EXPIRED', updated_at = now()",
    )
    .await;
    let alert = told_once(&stage, &inbox, "paid_not_applied", async || {
        run(&stage, "UPDATE orders SET status = 'PAID'").await;
    });
    let alert = alert.await;
    assert_eq!(alert["severity"], "critical");
    let named = [
        &alert["order_code"],
        &alert["session_id"],
        &alert["order_status"],
        &alert["payment_status"],
    ];
    assert_eq!(
        json!(named),
        json!(["LNS-A", "LNS-A", "EXPIRED", "settlement"])
    );
    assert_eq!(alert["amount"], PRICE);
    fleet.finish().await;
}

#[tokio::test]
async fn an_order_in_review_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    OrderRow::pending("LNS-A", PRICE).insert(stage.pool()).await;
    let too_little = Payment::new(Method::Gopay, "LNS-A", PRICE - 1);
    too_little
        .settlement()
        .post(&fleet.webhook_url())
        .await
        .unwrap();
    let alert = told_once(&stage, &inbox, "order_in_review", async || {
        close_order(&mut fleet, "LNS-A").await;
    });
    let alert = alert.await;
    assert_eq!(
        (&alert["order_status"], &alert["order_code"]),
        (&json!("REVIEW"), &json!("LNS-A"))
    );
    assert!(
        alert["summary"]
            .as_str()
            .unwrap()
            .contains("amount_mismatch"),
        "{alert}"
    );
    fleet.finish().await;
}

#[tokio::test]
async fn an_order_paid_after_its_place_went_to_another_is_told_once_and_as_that() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    insert_slot(stage.pool(), "slot-1", 1).await;
    OrderRow::pending("LNS-A", PRICE)
        .tickets("slot-1", 1)
        .insert(stage.pool())
        .await;
    let url = fleet.webhook_url();
    let first = gopay("LNS-A");
    first.pending().post(&url).await.unwrap();
    first.expire().post(&url).await.unwrap();
    until_order(&stage, "LNS-A", "EXPIRED").await;
    OrderRow::pending("LNS-B", PRICE)
        .tickets("slot-1", 1)
        .insert(stage.pool())
        .await;
    gopay("LNS-A-2").settlement().post(&url).await.unwrap();
    told_once(&stage, &inbox, "paid_after_release", async || {
        close_order(&mut fleet, "LNS-A").await;
    })
    .await;
    // The same order is not told a second time as one in review.
    assert!(about(&inbox, "order_in_review").is_empty());
    fleet.finish().await;
}

#[tokio::test]
async fn an_order_that_is_paid_twice_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    OrderRow::pending("LNS-A", PRICE).insert(stage.pool()).await;
    let url = fleet.webhook_url();
    let (first, second) = (gopay("LNS-A"), gopay("LNS-A-2"));
    first.settlement().post(&url).await.unwrap();
    second.settlement().post(&url).await.unwrap();
    let alert = told_once(&stage, &inbox, "duplicate_payment", async || {
        second.refund("r-1").post(&url).await.unwrap();
    });
    assert_eq!(alert.await["order_status"], "PAID");
    fleet.finish().await;
}

#[tokio::test]
async fn more_sold_than_there_is_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, fleet) = shop(&inbox).await;
    insert_slot(stage.pool(), "slot-1", 1).await;
    // The schema forbids it: somebody wrote around it.
    run(
        &stage,
        "ALTER TABLE capacity_slots DROP CONSTRAINT capacity_slots_not_oversold;
         UPDATE capacity_slots SET sold = 2",
    )
    .await;
    let alert = told_once(&stage, &inbox, "stock_oversold", async || {
        run(&stage, "UPDATE capacity_slots SET sold = 0").await;
    });
    assert!(alert.await["summary"].as_str().unwrap().contains("slot-1"));
    fleet.finish().await;
}

#[tokio::test]
async fn a_paid_order_that_got_nothing_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    insert_slot(stage.pool(), "slot-1", 5).await;
    OrderRow::pending("LNS-A", PRICE)
        .tickets("slot-1", 2)
        .insert(stage.pool())
        .await;
    gopay("LNS-A")
        .settlement()
        .post(&fleet.webhook_url())
        .await
        .unwrap();
    until_order(&stage, "LNS-A", "PAID").await;
    run(&stage, "UPDATE orders SET tickets_issued_at = NULL").await;
    let alert = told_once(&stage, &inbox, "effects_missing", async || {
        run(&stage, "UPDATE orders SET tickets_issued_at = paid_at").await;
    });
    assert_eq!(alert.await["severity"], "high");
    fleet.finish().await;
}

#[tokio::test]
async fn a_closed_order_that_keeps_its_places_is_told_once() {
    let inbox = Inbox::open().await;
    let (stage, mut fleet) = shop(&inbox).await;
    insert_slot(stage.pool(), "slot-1", 5).await;
    OrderRow::pending("LNS-A", PRICE)
        .tickets("slot-1", 2)
        .insert(stage.pool())
        .await;
    let payment = gopay("LNS-A");
    payment.pending().post(&fleet.webhook_url()).await.unwrap();
    payment.expire().post(&fleet.webhook_url()).await.unwrap();
    until_order(&stage, "LNS-A", "EXPIRED").await;
    run(&stage, "UPDATE orders SET capacity_released_at = NULL").await;
    told_once(&stage, &inbox, "effects_missing", async || {
        run(&stage, "UPDATE orders SET capacity_released_at = now()").await;
    })
    .await;
    fleet.finish().await;
}

/// A storm of cases is a few messages, and its end is told as a whole.
#[tokio::test]
async fn beyond_the_limit_cases_are_told_together() {
    let inbox = Inbox::open().await;
    let stage = Stage::new().await;
    let fleet = watched(&stage, &inbox)
        .env("ALERT_MAX_PER_RULE", "3")
        .schedulers(1)
        .start()
        .await;
    run(
        &stage,
        "INSERT INTO orders (order_code, user_id, status, gross_amount, expires_at, review_reasons)
         SELECT 'LNS-' || n, 'u', 'REVIEW', 1000, now() + interval '1 day', '{amount_mismatch}'
         FROM generate_series(1, 50) n",
    )
    .await;
    let letters = wait_for("four letters", lunas_tests::harness::BOUND, async || {
        let letters = about(&inbox, "order_in_review");
        if letters.len() == 4 {
            Ok(letters)
        } else {
            Err(format!("{letters:?}"))
        }
    });
    let letters = letters.await;
    assert_eq!(kinds(&letters), ["opened"; 4]);
    // One is settled: the next in line takes its place, and nothing that still holds ends.
    run(&stage, "DELETE FROM orders WHERE order_code = 'LNS-2'").await;
    let letters = wait_for("the end of one", lunas_tests::harness::BOUND, async || {
        // Its end and the beginning of the next one come in any order.
        let mut letters = about(&inbox, "order_in_review");
        letters.retain(|letter| letter.body["kind"] == "resolved");
        match letters.is_empty() {
            true => Err("none has ended"),
            false => Ok(letters),
        }
    });
    let ended = &letters.await[0].body["alert"];
    assert_eq!(ended["order_code"], "LNS-2");
    run(&stage, "DELETE FROM orders").await;
    wait_for(
        "all to be resolved",
        lunas_tests::harness::BOUND,
        async || {
            let letters = about(&inbox, "order_in_review");
            let of = |kind: &str| kinds(&letters).iter().filter(|k| **k == kind).count();
            let (opened, resolved) = (of("opened"), of("resolved"));
            if (opened, resolved) == (5, 5) {
                Ok(())
            } else {
                Err(format!("{opened}, {resolved}"))
            }
        },
    )
    .await;
    fleet.finish().await;
}
