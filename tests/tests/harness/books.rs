//! Notifications, the ledger and the audit.

use std::time::Duration;

use bytes::Bytes;
use lunas_tests::harness::{
    BOUND, Ledger, Method, OrderRow, Payment, SERVER_KEY, Stage, audit, try_wait_for,
};
use shared::domain::{RawNotification, ServerKeys};

#[test]
fn every_method_and_status_carries_a_signature_that_verifies() {
    let keys: ServerKeys = SERVER_KEY.parse().unwrap();
    for method in Method::ALL {
        let payment = Payment::new(method, "LNS-1", 150_000);
        let notifications = [
            payment.pending(),
            payment.settlement(),
            payment.capture("challenge"),
            payment.deny(),
            payment.expire(),
            payment.refund("key-1"),
        ];
        for sent in notifications {
            let verified = RawNotification::new(Bytes::from(sent.body())).verify(&keys);
            assert!(verified.is_ok(), "{method:?}: {:?}", verified.err());
            let forged = sent.signed_with("another key").body();
            assert!(
                RawNotification::new(Bytes::from(forged))
                    .verify(&keys)
                    .is_err()
            );
        }
    }
}

#[tokio::test]
async fn a_ledger_sees_what_is_missing_double_or_strange() {
    let stage = Stage::new().await;
    let payment = Payment::new(Method::Gopay, "LNS-1", 100);
    let mut ledger = Ledger::new();
    ledger.note(&payment.pending(), Some(200));
    ledger.note(&payment.pending(), Some(200));
    ledger.note(&payment.settlement(), None);
    assert_eq!(ledger.accepted(), 1);
    let bound = Duration::from_millis(100);
    let missing = try_wait_for(bound, async || recorded(&stage).await == 1).await;
    assert!(missing.is_err());

    record(&stage, &payment.pending().body(), 1).await;
    ledger.wait_until_recorded(stage.pool(), BOUND).await;
    ledger.assert_settled(stage.pool()).await;

    record(&stage, &payment.pending().body(), 2).await;
    assert!(
        settled_fails(&ledger, &stage)
            .await
            .contains("recorded 2 times")
    );
    sqlx::query("TRUNCATE payment_webhook_events")
        .execute(stage.pool())
        .await
        .unwrap();
    assert!(
        settled_fails(&ledger, &stage)
            .await
            .contains("recorded 0 times")
    );
    record(&stage, &payment.cancel().body(), 3).await;
    assert!(settled_fails(&ledger, &stage).await.contains("never sent"));
}

#[tokio::test]
async fn the_audit_passes_an_order_that_was_paid_and_finds_what_is_wrong() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 100).insert(stage.pool()).await;
    audit::assert_invariants(stage.pool()).await;
    let broken = [
        (
            "UPDATE orders SET status = 'EXPIRED', session_id = 'elsewhere'",
            "session is a session",
        ),
        (
            "UPDATE orders SET session_id = NULL, status = 'PAID', paid_at = now()",
            "projection",
        ),
        (
            "INSERT INTO payment_transactions (payment_id, midtrans_transaction_id, status,
          gross_amount) SELECT id, 't', 'settlement', 99 FROM payments",
            "right amount",
        ),
        (
            "UPDATE payments SET status = 'settlement'",
            "without paid_at",
        ),
        (
            "UPDATE orders SET status = 'REVIEW', review_reasons = '{reversed}'",
            "in review exactly",
        ),
        (
            "UPDATE payments SET origin = 'webhook', session_id = 'LNS-2-1'",
            "belongs to",
        ),
    ];
    for (statement, finds) in broken {
        sqlx::query(statement).execute(stage.pool()).await.unwrap();
        let found = audit::violations(stage.pool()).await;
        assert!(
            found.iter().any(|line| line.contains(finds)),
            "{statement}: {found:#?}"
        );
    }
    sqlx::raw_sql(
        "UPDATE orders SET status = 'PAID', review_reasons = '{}';
         UPDATE payments SET paid_at = now(), session_id = 'LNS-1-2';
         UPDATE payment_transactions SET gross_amount = 100",
    )
    .execute(stage.pool())
    .await
    .unwrap();
    audit::assert_invariants(stage.pool()).await;
    for seconds in [1, 2] {
        record(&stage, b"{}", seconds).await;
    }
    let found = audit::violations(stage.pool()).await;
    assert!(
        found.iter().any(|line| line.contains("2 rows of")),
        "{found:#?}"
    );
}

async fn settled_fails(ledger: &Ledger, stage: &Stage) -> String {
    let (ledger, pool) = (ledger.clone(), stage.pool().clone());
    let failed = tokio::spawn(async move { ledger.assert_settled(&pool).await })
        .await
        .unwrap_err();
    *failed.into_panic().downcast::<String>().unwrap()
}

async fn recorded(stage: &Stage) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM payment_webhook_events");
    count.fetch_one(stage.pool()).await.unwrap()
}

async fn record(stage: &Stage, body: &[u8], seconds: i64) {
    sqlx::query(
        "INSERT INTO payment_webhook_events (event_key, received_at, order_id,
            midtrans_transaction_id, raw_body, processed, verdict)
         VALUES (sha256($1), now() + make_interval(secs => $2), 'LNS-1', 't',
                 convert_from($1, 'UTF8')::jsonb, true, 'applied')",
    )
    .bind(body)
    .bind(seconds as f64)
    .execute(stage.pool())
    .await
    .unwrap();
}
