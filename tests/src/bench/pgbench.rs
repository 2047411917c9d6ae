//! (b1) The same SQL work as one transaction per notification, by pgbench with 8 clients.

use anyhow::{Context as _, ensure};
use shared::domain::{Observation, Source};
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::apply::check;
use super::cpu::{Cost, Servers};
use super::lab::Lab;
use super::workload::{self, Notice};

const CLIENTS: usize = 8;

/// What the worker does for one notification, statement by statement: the notification, the lock on
/// its order, session, transaction, order, log, and the outbox when the order is paid. The first
/// statement reads the notification by its number, in the place of a parameter that pgbench cannot
/// have; what it returns feeds the others.
const SCRIPT: &str = r"\set n :client_id + 8 * :k
\set k :k + 1
BEGIN;
INSERT INTO payment_webhook_events (event_key, received_at, order_id, midtrans_transaction_id, raw_body, signature_key, verdict, processed) SELECT event_key, received_at, order_id, transaction_id, body::jsonb, signature, 'applied', true FROM bench_input WHERE n = :n ON CONFLICT (event_key, received_at) DO NOTHING RETURNING order_id AS code, midtrans_transaction_id AS transaction, raw_body->>'transaction_status' AS word, raw_body->>'payment_type' AS kind, raw_body->>'fraud_status' AS fraud, split_part(raw_body->>'gross_amount', '.', 1) AS amount, (raw_body->>'transaction_status' = 'settlement')::int AS paid \gset
SELECT id AS order_id, status AS order_status FROM orders WHERE order_code = :code FOR NO KEY UPDATE \gset
INSERT INTO payments (session_id, order_id, origin, gross_amount, status, payment_type, paid_at, expires_at) VALUES (:code, :order_id, 'webhook', :amount, :word, :kind, CASE WHEN :paid = 1 THEN now() END, '2026-03-15 10:20:11+07') ON CONFLICT (session_id) DO UPDATE SET status = excluded.status, payment_type = excluded.payment_type, paid_at = coalesce(payments.paid_at, excluded.paid_at), updated_at = now() RETURNING id AS payment_id \gset
INSERT INTO payment_transactions AS t (payment_id, midtrans_transaction_id, status, fraud_status, payment_type, gross_amount, transaction_time, settlement_time, expiry_time, as_of) VALUES (:payment_id, :transaction, :word, :fraud, :kind, :amount, '2026-03-14 10:20:11+07', CASE WHEN :paid = 1 THEN timestamptz '2026-03-14 11:02:45+07' END, '2026-03-15 10:20:11+07', now()) ON CONFLICT (midtrans_transaction_id) DO UPDATE SET status = excluded.status, fraud_status = excluded.fraud_status, settlement_time = coalesce(excluded.settlement_time, t.settlement_time), as_of = excluded.as_of, updated_at = now();
UPDATE orders SET status = CASE WHEN :paid = 1 THEN 'PAID' ELSE status END, session_id = coalesce(session_id, :code), paid_at = CASE WHEN :paid = 1 THEN coalesce(paid_at, now()) ELSE paid_at END, MARKERS updated_at = now() WHERE id = :order_id;
INSERT INTO payment_sync_logs (order_code, session_id, sync_type, event_type, to_status) VALUES (:code, :code, 'webhook', 'status_changed', :word);
\if :paid
EFFECTS
INSERT INTO domain_events (event_type, order_code, data) VALUES ('order.paid', :code, jsonb_build_object('order_code', :code::text, 'status', 'PAID', 'review_reasons', '[]'::jsonb, 'at', now()));
\endif
COMMIT;
";

/// What an order is given when it is paid, statement by statement.
const EFFECTS: &str = r"INSERT INTO tickets (order_item_id, seq, code) SELECT i.id, seq, upper(substr(md5(random()::text), 1, 24)) FROM order_items i, generate_series(1, i.quantity) AS seq WHERE i.order_id = :order_id AND i.kind = 'ticket';
UPDATE capacity_slots s SET reserved = s.reserved - i.quantity, sold = s.sold + i.quantity, updated_at = now() FROM order_items i WHERE i.order_id = :order_id AND s.id = i.slot_id;
UPDATE product_variants v SET reserved = v.reserved - i.quantity, sold = v.sold + i.quantity, stock = v.stock - i.quantity, updated_at = now() FROM order_items i WHERE i.order_id = :order_id AND v.sku = i.sku;
INSERT INTO payment_sync_logs (order_code, session_id, sync_type, event_type, from_status, to_status, detail) VALUES (:code, :code, 'webhook', 'effects_applied', 'PENDING', 'PAID', jsonb_build_object('tickets_issued', 2, 'capacity', 'sold', 'stock', 'sold', 'pickup_code', 'made'));";

/// The order's columns that remember it.
const MARKERS: &str = "tickets_issued_at = CASE WHEN :paid = 1 THEN now() END, stock_confirmed_at = CASE WHEN :paid = 1 THEN now() END, pickup_code = CASE WHEN :paid = 1 THEN upper(substr(md5(random()::text), 1, 12)) END,";

/// Notifications committed per second; with what a paid order is given, or without.
pub(super) async fn run(
    lab: &Lab,
    database: &str,
    notices: &[Notice],
    effects: bool,
) -> anyhow::Result<(f64, Cost)> {
    let each = notices.len() / CLIENTS;
    ensure!(
        each * CLIENTS == notices.len(),
        "the clients' shares must be equal"
    );
    load_input(lab, database, notices).await?;
    let script = lab.options.logs.join("one_per_transaction.sql");
    let (given, markers) = if effects {
        (EFFECTS, MARKERS)
    } else {
        ("", "")
    };
    let text = SCRIPT
        .replace("EFFECTS\n", given)
        .replace("MARKERS", markers);
    std::fs::write(&script, text)?;
    let servers = Servers::find(&lab.options)?;
    let before = servers.read(None)?;
    let output = tokio::process::Command::new(&lab.options.pgbench)
        .args([
            "-n", "-M", "prepared", "-c", "8", "-j", "2", "-D", "k=0", "-t",
        ])
        .arg(each.to_string())
        .arg("-f")
        .arg(&script)
        .arg(lab.url(database))
        .output()
        .await
        .context("running pgbench")?;
    let cost = before.cost(&servers.read(None)?, notices.len());
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "pgbench failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let per_s = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("tps = ")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .context("pgbench printed no rate")?;
    check(lab, database, notices.len()).await?;
    Ok((per_s, cost))
}

async fn load_input(lab: &Lab, database: &str, notices: &[Notice]) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&lab.url(database)).await?;
    connection
        .execute(
            "CREATE UNLOGGED TABLE bench_input (n bigint, event_key bytea, received_at timestamptz,
             order_id text, transaction_id text, signature text, body text)",
        )
        .await?;
    let bodies = workload::bodies(notices);
    for (part, chunk) in bodies.chunks(4_000).enumerate() {
        let seen: Vec<Observation> = chunk
            .iter()
            .map(|body| {
                Observation::from_notification(
                    body.as_bytes(),
                    OffsetDateTime::now_utc(),
                    Source::Webhook,
                )
            })
            .collect::<Result<_, _>>()?;
        let numbers: Vec<i64> = (0..chunk.len())
            .map(|index| (part * 4_000 + index) as i64)
            .collect();
        let keys: Vec<Vec<u8>> = seen
            .iter()
            .map(|one| one.event_key.as_bytes().to_vec())
            .collect();
        let received: Vec<OffsetDateTime> = seen.iter().map(|one| one.received_at).collect();
        let orders: Vec<&str> = seen.iter().map(|one| one.session_id.as_str()).collect();
        let transactions: Vec<&str> = seen.iter().map(|one| one.transaction_id.as_str()).collect();
        let signatures: Vec<Option<&str>> = seen
            .iter()
            .map(|one| one.signature_key.as_deref())
            .collect();
        sqlx::query("INSERT INTO bench_input SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)")
            .bind(numbers)
            .bind(keys)
            .bind(received)
            .bind(orders)
            .bind(transactions)
            .bind(signatures)
            .bind(chunk)
            .execute(&mut connection)
            .await?;
    }
    connection
        .execute("ALTER TABLE bench_input ADD PRIMARY KEY (n)")
        .await?;
    connection.execute("VACUUM ANALYZE bench_input").await?;
    connection.execute("CHECKPOINT").await?;
    connection.close().await?;
    Ok(())
}
