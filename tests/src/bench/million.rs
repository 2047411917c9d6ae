//! (e) A database in which many payments are stored already.

use futures::future::try_join_all;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::lab::Lab;

/// One statement per table, run side by side. Foreign keys are not checked while this is loaded:
/// the rows fit by construction.
const ROWS: [&str; 5] = [
    "INSERT INTO orders (id, order_code, user_id, status, gross_amount, session_id, expires_at,
                         paid_at, created_at, updated_at)
     OVERRIDING SYSTEM VALUE
     SELECT 10000000 + n, 'LNS-OLD-' || lpad(n::text, 8, '0'), 'user-' || n % 5000,
            CASE WHEN n % 10 = 0 THEN 'EXPIRED' ELSE 'PAID' END, 10000 + n % 900 * 500,
            'LNS-OLD-' || lpad(n::text, 8, '0'), now() - interval '1 day',
            CASE WHEN n % 10 > 0 THEN now() - interval '2 days' END, {MADE}, {MADE}
     FROM generate_series(1, {COUNT}) AS n",
    "INSERT INTO payments (id, session_id, order_id, origin, gross_amount, status, payment_type,
                           paid_at, expires_at, next_check_at, created_at,
                           updated_at)
     OVERRIDING SYSTEM VALUE
     SELECT 10000000 + n, 'LNS-OLD-' || lpad(n::text, 8, '0'), 10000000 + n, 'checkout',
            10000 + n % 900 * 500, CASE WHEN n % 10 = 0 THEN 'expire' ELSE 'settlement' END, 'gopay',
            CASE WHEN n % 10 > 0 THEN now() - interval '2 days' END, now() - interval '1 day', NULL,
            {MADE}, {MADE}
     FROM generate_series(1, {COUNT}) AS n",
    "INSERT INTO payment_transactions (id, payment_id, midtrans_transaction_id, status,
                                       fraud_status, payment_type, gross_amount, transaction_time)
     OVERRIDING SYSTEM VALUE
     SELECT 10000000 + n, 10000000 + n, gen_random_uuid()::text,
            CASE WHEN n % 10 = 0 THEN 'expire' ELSE 'settlement' END, 'accept', 'gopay',
            10000 + n % 900 * 500, now() - interval '3 days'
     FROM generate_series(1, {COUNT}) AS n",
    "INSERT INTO payment_webhook_events (event_key, received_at, order_id, midtrans_transaction_id,
                                         raw_body, verdict, processed)
     SELECT sha256(n::text::bytea), now() - n * interval '2 seconds',
            'LNS-OLD-' || lpad(n::text, 8, '0'), 'old-' || n,
            jsonb_build_object('order_id', 'LNS-OLD-' || lpad(n::text, 8, '0'),
                               'transaction_status', 'settlement', 'status_code', '200'),
            'applied', true
     FROM generate_series(1, {COUNT}) AS n",
    "INSERT INTO payment_sync_logs (created_at, order_code, session_id, sync_type, event_type, to_status)
     SELECT now() - n * interval '2 seconds', 'LNS-OLD-' || lpad(n::text, 8, '0'),
            'LNS-OLD-' || lpad(n::text, 8, '0'), 'webhook', 'status_changed', 'settlement'
     FROM generate_series(1, {COUNT}) AS n",
];

/// Rows were made over more than a year, the last of them three days ago.
const MADE: &str = "now() - interval '3 days' - ({COUNT} - n) * (interval '400 days' / {COUNT})";

/// New rows get ids above those of the old ones, as in life.
const SEQUENCES: [&str; 2] = [
    "SELECT setval(pg_get_serial_sequence('payments', 'id'), 20000000)",
    "SELECT setval(pg_get_serial_sequence('payment_transactions', 'id'), 20000000)",
];

/// Makes the database with so many; everything is analysed and on disk when this returns.
pub(super) async fn make(lab: &Lab, database: &str, count: u32) -> anyhow::Result<()> {
    make_tables(lab, database, count, &ROWS).await
}

/// The same without notifications and log.
pub(super) async fn make_without_history(
    lab: &Lab,
    database: &str,
    count: u32,
) -> anyhow::Result<()> {
    make_tables(lab, database, count, &ROWS[..3]).await
}

async fn make_tables(
    lab: &Lab,
    database: &str,
    count: u32,
    rows: &[&'static str],
) -> anyhow::Result<()> {
    let url = lab.fresh_database(database).await?;
    try_join_all(rows.iter().map(|rows| {
        let url = url.clone();
        async move {
            let mut connection = PgConnection::connect(&url).await?;
            connection
                .execute("SET session_replication_role = replica")
                .await?;
            let rows = rows.replace("{MADE}", MADE);
            let rows = rows.replace("{COUNT}", &count.to_string());
            connection.execute(sqlx::AssertSqlSafe(rows)).await?;
            connection.close().await
        }
    }))
    .await?;
    let mut connection = PgConnection::connect(&url).await?;
    for sequence in SEQUENCES {
        connection.execute(sequence).await?;
    }
    connection.execute("VACUUM ANALYZE").await?;
    connection.execute("CHECKPOINT").await?;
    connection.close().await?;
    Ok(())
}
