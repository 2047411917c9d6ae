//! A gateway that is slow, away or confused, at every call: callers hear to try again, and when
//! they do, there is one payment.

use lunas_tests::sim::Call;
use serde_json::{Value, json};

use crate::support::{Till, by, by_bank};

/// Everything that can be wrong with an answer, and whether the caller hears that the outcome is
/// unknown when the status API is as bad.
const TROUBLE: [(&str, bool); 5] = [
    ("too_many_requests", false),
    ("server_error", true),
    ("unavailable", true),
    ("forbidden_page", true),
    ("down", true),
];

#[tokio::test]
async fn a_charge_without_an_answer_is_looked_for_and_adopted_when_it_was_made() {
    for (answer, _) in TROUBLE.into_iter().skip(1) {
        for request in [by("LNS-1", "gopay"), by_bank("LNS-1", "permata")] {
            let mut till = Till::open().await;
            till.order("LNS-1").await;
            let trick = json!({"times": 1, "api": {"call": "charge", "answer": answer,
                                                   "processed": true}});
            till.shop.trick(trick).await;
            let made = till.pay(request).await;
            assert_eq!(made.payment(201)["status"], "pending", "{answer}");
            assert_eq!(till.transactions("LNS-1").await.len(), 1, "{answer}");
            till.shop.close().await;
        }
    }
}

#[tokio::test]
async fn a_charge_that_was_not_made_is_made_with_the_same_id() {
    for (answer, _) in TROUBLE {
        let mut till = Till::open().await;
        till.order("LNS-1").await;
        let trick = json!({"times": 1, "api": {"call": "charge", "answer": answer}});
        till.shop.trick(trick).await;
        let made = till.pay(by("LNS-1", "gopay")).await;
        let payment = made.payment(201);
        assert_eq!(payment["session_id"], "LNS-1", "{answer}");
        assert!(payment["actions"][0].is_object(), "{payment}");
        assert_eq!(till.transactions("LNS-1").await.len(), 1, "{answer}");
        till.shop.close().await;
    }
}

#[tokio::test]
async fn while_the_gateway_is_away_the_session_waits_and_the_next_click_goes_on() {
    for (answer, unknown) in TROUBLE {
        for method in ["gopay", "snap"] {
            let mut till = Till::open().await;
            till.order("LNS-1").await;
            till.shop
                .trick(json!({"api": {"call": "any", "answer": answer}}))
                .await;
            let refused = till.pay(by("LNS-1", method)).await;
            let (status, code) = if unknown {
                (502, "payment_outcome_unknown")
            } else {
                (503, "gateway_unavailable")
            };
            let problem = refused.problem(status, code);
            assert!(problem["retryAfter"].is_u64(), "{problem}");
            let row = till.shop.payment_row("LNS-1").await;
            assert_eq!(
                (&row["status"], &row["charged_at"]),
                (&json!("created"), &Value::Null)
            );
            till.shop.midtrans.delete("/sim/tricks").await.unwrap();
            // Midtrans' limit and the open circuit are waited out as the answer asks for.
            let made = loop {
                let answer = till.pay(by("LNS-1", method)).await;
                if !matches!(answer.status, 502 | 503) {
                    break answer;
                }
                let wait = answer.body["retryAfter"].as_u64().unwrap();
                tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
            };
            assert_eq!(made.payment(200)["session_id"], "LNS-1");
            assert!(till.transactions("LNS-1").await.len() <= 1);
            till.shop.close().await;
        }
    }
}

#[tokio::test]
async fn a_charge_that_takes_too_long_is_looked_for() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    let slow = json!({"times": 1, "api": {"call": "charge", "delay_ms": 5_500}});
    till.shop.trick(slow).await;
    let answer = till.pay(by("LNS-1", "gopay")).await;
    assert!(matches!(answer.status, 201 | 502), "{}", answer.body);
    till.shop
        .until_payment("LNS-1", json!({"status": "pending"}))
        .await;
    let again = till.pay(by("LNS-1", "gopay")).await;
    assert_eq!(again.payment(200)["status"], "pending");
    assert_eq!(till.transactions("LNS-1").await.len(), 1);
    till.shop.close().await;
}

#[tokio::test]
async fn a_repeated_charge_that_is_still_running_or_taken_is_looked_for() {
    for answer in ["running", "taken"] {
        for method in ["gopay", "snap"] {
            let mut till = Till::open().await;
            till.order("LNS-1").await;
            let call = if method == "snap" { "snap" } else { "charge" };
            // A page has no transaction to be found by: its opening is repeated.
            let processed = (method, answer) != ("snap", "running");
            let trick = json!({"times": 1, "api": {"call": call, "answer": answer,
                                                   "processed": processed}});
            till.shop.trick(trick).await;
            let made = till.pay(by("LNS-1", method)).await;
            made.payment(201);
            assert!(till.transactions("LNS-1").await.len() <= 1);
            till.shop.close().await;
        }
    }
}

#[tokio::test]
async fn a_cancel_in_trouble_is_tried_again_or_put_off() {
    for (answer, _) in TROUBLE {
        let mut till = Till::open().await;
        till.order("LNS-1").await;
        till.pay(by_bank("LNS-1", "bca")).await.payment(201);
        let trick = json!({"times": 1, "api": {"call": "cancel", "answer": answer,
                                               "processed": answer != "too_many_requests"}});
        till.shop.trick(trick).await;
        let first = till.pay(by("LNS-1", "gopay")).await;
        let made = if first.status == 502 {
            till.pay(by("LNS-1", "gopay")).await
        } else {
            first
        };
        assert!(matches!(made.status, 200 | 201), "{answer} {}", made.body);
        assert_eq!(made.body["payment"]["session_id"], "LNS-1-2", "{answer}");
        assert_eq!(till.calls(Call::Charge, "LNS-1-2"), 1);
        till.shop
            .until_payment("LNS-1", json!({"status": "cancel"}))
            .await;
        till.shop.close().await;
    }
}

#[tokio::test]
async fn a_page_whose_closing_is_in_trouble_is_closed_at_last() {
    for (answer, _) in TROUBLE {
        let mut till = Till::open().await;
        till.order("LNS-1").await;
        till.pay(by("LNS-1", "snap")).await.payment(201);
        let trick = json!({"times": 1, "api": {"call": "snap", "answer": answer,
                                               "processed": answer != "too_many_requests"}});
        till.shop.trick(trick).await;
        let first = till.pay(by("LNS-1", "gopay")).await;
        let made = if first.status == 502 {
            till.pay(by("LNS-1", "gopay")).await
        } else {
            first
        };
        assert!(matches!(made.status, 200 | 201), "{answer} {}", made.body);
        assert_eq!(made.body["payment"]["session_id"], "LNS-1-2", "{answer}");
        till.shop
            .until_payment("LNS-1", json!({"status": "cancel"}))
            .await;
        let pages = till.shop.midtrans.get("/sim/snap?order_id=LNS-1").await;
        assert_eq!(pages.unwrap().body["pages"][0]["state"], "cancelled");
        till.shop.close().await;
    }
}

#[tokio::test]
async fn a_cancel_that_takes_too_long_leaves_one_payment_in_the_end() {
    let mut till = Till::open().await;
    till.order("LNS-1").await;
    till.pay(by_bank("LNS-1", "bca")).await.payment(201);
    let slow = json!({"times": 1, "api": {"call": "cancel", "delay_ms": 5_500}});
    till.shop.trick(slow).await;
    let mut answer = till.pay(by("LNS-1", "gopay")).await;
    while matches!(answer.status, 502 | 503) {
        answer = till.pay(by("LNS-1", "gopay")).await;
    }
    assert_eq!(
        answer.body["payment"]["status"], "pending",
        "{}",
        answer.body
    );
    till.shop
        .until_payment("LNS-1", json!({"status": "cancel"}))
        .await;
    let listed = till
        .shop
        .midtrans
        .get("/sim/transactions?transaction_status=pending");
    let pending = listed.await.unwrap().body["transactions"].clone();
    assert_eq!(pending.as_array().unwrap().len(), 1, "{pending}");
    till.shop.close().await;
}
