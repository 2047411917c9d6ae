//! Retention while notifications come in: nobody notices.

use std::time::Duration;

use lunas_tests::harness::{Method, Payment, Shop, wait_for};
use serde_json::json;

use crate::support::{count, lunas, run};

#[tokio::test]
async fn notifications_are_applied_while_old_ones_are_removed() {
    let mut shop = Shop::open().await;
    run(
        shop.stage().pool(),
        "DO $$ BEGIN FOR month IN 1..9 LOOP
             EXECUTE format('CREATE TABLE payment_webhook_events_y2020m0%s PARTITION OF
                 payment_webhook_events FOR VALUES FROM (''2020-0%s-01 00:00+00'')
                 TO (''2020-0%s-28 00:00+00'')', month, month, month);
         END LOOP; END $$;
         INSERT INTO payment_webhook_events (event_key, received_at, order_id,
             midtrans_transaction_id, raw_body, processed, verdict)
         SELECT sha256(n::text::bytea), '2020-01-01 00:00+00'::timestamptz + n * interval '1 hour',
                'old', 'old', '{}', true, 'applied'
         FROM generate_series(0, 7000) AS n",
    )
    .await;
    let codes: Vec<String> = (0..40).map(|n| format!("LNS-{n}")).collect();
    for code in &codes {
        shop.order(code, 5_000).await;
    }
    let stage = shop.stage().clone();
    let removing = async {
        let gone = "no old partition to be left";
        wait_for(gone, Duration::from_secs(60), async || {
            // A table that is in use is left for the next run.
            lunas(&stage, &["retention", "--run", "--yes"]).await;
            let left = "SELECT count(*) FROM pg_class WHERE relname LIKE
                        'payment\\_webhook\\_events\\_y2020%' AND relkind = 'r'";
            count(stage.pool(), left).await == 0
        })
        .await;
        assert_eq!(
            count(
                stage.pool(),
                "SELECT count(*) FROM payment_webhook_events WHERE order_id = 'old'"
            )
            .await,
            0
        );
    };
    let posting = async {
        for code in &codes {
            let payment = Payment::new(Method::Gopay, code, 5_000);
            assert_eq!(shop.post(&payment.pending()).await, 200);
            assert_eq!(shop.post(&payment.settlement()).await, 200);
        }
    };
    tokio::join!(removing, posting);
    for code in &codes {
        shop.until_order(code, json!({"status": "PAID"})).await;
    }
    shop.close().await;
}
