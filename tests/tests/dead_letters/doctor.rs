//! `lunas doctor`: silent on a healthy system, and every seeded defect is named with what mends it.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lunas_tests::harness::{
    BOUND, Fleet, Method, OrderRow, Payment, Stage, insert_slot, insert_variant, order_status,
    payment_status, wait_for,
};
use serde_json::{Value, json};

use super::support::{bury_bytes, command, ended, keep_waiting, lunas, run};

/// The codes of what the doctor finds, and the whole of it.
async fn found(stage: &Stage) -> (Vec<String>, Value) {
    let doctor = lunas(stage, &["doctor", "--json"]).await;
    let json: Value = serde_json::from_str(&doctor.out).unwrap_or_else(|_| panic!("{doctor:?}"));
    let findings = json["findings"].as_array().unwrap();
    let code = |finding: &Value| finding["code"].as_str().unwrap().to_owned();
    assert_eq!(
        doctor.code,
        Some(i32::from(!findings.is_empty())),
        "{doctor:?}"
    );
    assert!(
        findings
            .iter()
            .all(|f| !f["mend"].as_str().unwrap().is_empty()),
        "{json}"
    );
    (findings.iter().map(code).collect(), json)
}

#[tokio::test]
async fn a_healthy_fleet_has_no_finding() {
    let stage = Stage::new().await;
    let fleet = Fleet::builder(&stage).workers(1).start().await;
    let gopay = |code: &str| Payment::new(Method::Gopay, code, 10_000);
    for code in ["LNS-PAID", "LNS-EXPIRED", "LNS-OPEN", "LNS-REVIEW"] {
        OrderRow::pending(code, 10_000).insert(stage.pool()).await;
    }
    gopay("LNS-PAID")
        .settlement()
        .put_in_queue(stage.broker())
        .await;
    let expired = gopay("LNS-EXPIRED");
    expired.pending().put_in_queue(stage.broker()).await;
    // Two workers' batches may overtake each other, and an expiry out of nothing is asked about.
    wait_for("the pending payment", BOUND, async || {
        payment_status(stage.pool(), "LNS-EXPIRED").await.as_deref() == Some("pending")
    })
    .await;
    expired.expire().put_in_queue(stage.broker()).await;
    let wrong_amount = Payment::new(Method::Gopay, "LNS-REVIEW", 9_000);
    wrong_amount.settlement().put_in_queue(stage.broker()).await;
    for (code, status) in [
        ("LNS-PAID", "PAID"),
        ("LNS-EXPIRED", "EXPIRED"),
        ("LNS-REVIEW", "REVIEW"),
    ] {
        wait_for(code, BOUND, async || {
            order_status(stage.pool(), code).await == status
        })
        .await;
    }
    assert_eq!(found(&stage).await.0, Vec::<String>::new());
    let text = lunas(&stage, &["doctor"]).await;
    assert_eq!(
        (text.code, text.out.as_str()),
        (Some(0), "Everything is as it should be\n")
    );
    fleet.finish().await;
}

#[tokio::test]
async fn each_broken_rule_is_found_in_the_rows() {
    for (seed, code, example) in [
        ("UPDATE orders SET status = 'PAID', paid_at = now()", "status_mismatch", "LNS-1 is PAID, should be PENDING"),
        ("UPDATE payments SET status = 'settlement'", "status_mismatch", "LNS-1 is settlement, should be pending"),
        ("UPDATE payments SET order_id = NULL", "order_session_foreign", "LNS-1 names LNS-1"),
        (
            "INSERT INTO payments (session_id, order_id, origin, gross_amount)
             SELECT 'SOMETHING-ELSE', id, 'webhook', 1 FROM orders",
            "payment_order_unfounded",
            "SOMETHING-ELSE belongs to LNS-1",
        ),
        (
            "INSERT INTO payment_webhook_events (event_key, received_at, order_id,
                 midtrans_transaction_id, raw_body, processed, verdict)
             SELECT sha256('x'), now() - n * interval '1 minute', 'LNS-1', 't', '{}', true, 'applied'
             FROM generate_series(1, 2) n",
            "notification_repeated",
            "2 of LNS-1",
        ),
        (
            "INSERT INTO payment_webhook_events (event_key, received_at, order_id,
                 midtrans_transaction_id, raw_body, processed, verdict)
             VALUES (sha256('x'), now() - interval '1 hour', 'LNS-1', 't', '{}', false, 'unconfirmed')",
            "unconfirmed_too_long",
            "LNS-1",
        ),
    ] {
        let stage = Stage::new().await;
        OrderRow::pending("LNS-1", 10_000).insert(stage.pool()).await;
        run(
            &stage,
            "INSERT INTO payment_transactions
                 (payment_id, midtrans_transaction_id, status, gross_amount)
             SELECT id, 'tx-1', 'pending', 10000 FROM payments;
             UPDATE payments SET status = 'pending'",
        )
        .await;
        assert_eq!(found(&stage).await.0, Vec::<String>::new(), "before {seed}");
        run(&stage, seed).await;
        let (codes, json) = found(&stage).await;
        assert_eq!(codes, [code], "{seed}: {json}");
        assert_eq!(json["findings"][0]["examples"][0], example, "{seed}");
    }
}

#[tokio::test]
async fn counters_and_effects_that_do_not_fit_the_orders_are_found() {
    for (seed, code, example) in [
        (
            "UPDATE capacity_slots SET reserved = 1",
            "slot_counters_off",
            "slot has reserved 1 and sold 0, its orders hold 2 and own 0",
        ),
        (
            "UPDATE product_variants SET sold = 3",
            "stock_counters_off",
            "sku has reserved 1 and sold 3, its orders hold 1 and own 0",
        ),
        (
            "INSERT INTO tickets (order_item_id, seq, code)
             SELECT id, 1, 'T' FROM order_items WHERE kind = 'ticket'",
            "status_mismatch",
            "LNS-1 is PENDING, should be PENDING with its tickets void",
        ),
    ] {
        let stage = Stage::new().await;
        insert_slot(stage.pool(), "slot", 5).await;
        insert_variant(stage.pool(), "sku", 5).await;
        let order = OrderRow::pending("LNS-1", 10_000).tickets("slot", 2);
        order.products("sku", 1).insert(stage.pool()).await;
        assert_eq!(found(&stage).await.0, Vec::<String>::new(), "before {seed}");
        run(&stage, seed).await;
        let (codes, json) = found(&stage).await;
        assert_eq!(codes, [code], "{seed}: {json}");
        assert_eq!(json["findings"][0]["examples"][0], example, "{seed}");
    }
}

#[tokio::test]
async fn an_order_that_nobody_tried_to_pay_must_be_open() {
    let stage = Stage::new().await;
    OrderRow::pending("LNS-1", 10_000)
        .without_session()
        .insert(stage.pool())
        .await;
    assert_eq!(found(&stage).await.0, Vec::<String>::new());
    run(&stage, "UPDATE orders SET status = 'PAID', paid_at = now()").await;
    assert_eq!(found(&stage).await.0, ["status_mismatch"]);
}

#[tokio::test]
async fn schema_and_partitions_are_looked_at() {
    let stage = Stage::new().await;
    run(
        &stage,
        "DO $$ BEGIN EXECUTE format('DROP TABLE payment_sync_logs_y%sm%s',
             to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY'),
             to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'MM')); END $$",
    )
    .await;
    assert_eq!(found(&stage).await.0, ["partitions_missing"]);
    assert_eq!(lunas(&stage, &["migrate"]).await.code, Some(0));
    assert_eq!(found(&stage).await.0, Vec::<String>::new());

    run(&stage, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    let (codes, json) = found(&stage).await;
    assert_eq!(codes, ["schema_behind"]);
    assert_eq!(json["findings"][0]["mend"], "lunas migrate");
    run(&stage, "DROP TABLE _sqlx_migrations").await;
    assert_eq!(found(&stage).await.0, ["schema_behind"]);
}

#[tokio::test]
async fn the_broker_is_compared_with_the_topology() {
    let stage = Stage::new().await;
    let channel = stage
        .broker()
        .connection()
        .await
        .create_channel()
        .await
        .unwrap();
    for queue in ["lunas.retry.2s", "lunas.retry.10s"] {
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await
            .unwrap();
    }
    let durable = QueueDeclareOptions::durable();
    channel
        .queue_declare("lunas.retry.2s".into(), durable, FieldTable::default())
        .await
        .unwrap();
    let (codes, json) = found(&stage).await;
    assert_eq!(codes, ["topology_missing", "topology_different"]);
    assert_eq!(
        json["findings"][0]["examples"],
        json!(["queue lunas.retry.10s is missing"])
    );
    let check = lunas(&stage, &["topology", "check", "--json"])
        .await
        .json(1);
    assert_eq!(check["differences"].as_array().unwrap().len(), 2);

    channel
        .queue_delete("lunas.retry.2s".into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    assert_eq!(lunas(&stage, &["topology", "declare"]).await.code, Some(0));
    assert_eq!(lunas(&stage, &["topology", "check"]).await.code, Some(0));
    assert_eq!(found(&stage).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn what_waits_and_nobody_takes_is_found() {
    let stage = Stage::new().await;
    bury_bytes(&stage, b"{}", "undecodable_body", "e").await;
    assert_eq!(found(&stage).await.0, ["queue_without_consumer"]);
    keep_waiting(&stage, 1).await;
    assert_eq!(found(&stage).await.0, ["dead_letters"]);
    let discard = ["dlq", "discard", "--all", "--why", "seen"];
    assert_eq!(lunas(&stage, &discard).await.code, Some(0));
    assert_eq!(found(&stage).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_away_or_set_wrongly_is_found_and_no_secret_is_shown() {
    let stage = Stage::new().await;
    let mut doctor = command(&stage, &["doctor", "--json"]);
    doctor
        .env("DATABASE_URL", "postgres://lunas:geheim@127.0.0.1:1/none")
        .env("AMQP_URL", "amqp://lunas:geheim@127.0.0.1:1/none")
        .env("MIDTRANS_SERVER_KEY", "Mid-server-geheim")
        .env("MIDTRANS_API_URL", "https://api.sandbox.midtrans.com");
    let doctor = ended(doctor).await;
    assert!(!format!("{doctor:?}").contains("geheim"), "{doctor:?}");
    let codes: Vec<Value> = doctor.json(1)["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["code"].clone())
        .collect();
    let expected = json!([
        "keys_of_another_environment",
        "broker_unreachable",
        "database_unusable"
    ]);
    assert_eq!(Value::from(codes), expected);
}
