//! (f) What a paid order is given, in the same batch: two tickets and one product each, beside the
//! same work as one transaction per notification.

use anyhow::ensure;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::lab::Lab;
use super::stats::median;
use super::{apply, pgbench, workload};

/// The database whose orders have lines.
const STAND: &str = "bench_stand";
const DATABASE: &str = "bench_effects";

/// Lines for every order that the rounds pay, all reserved.
const LINES: [&str; 6] = [
    "INSERT INTO capacity_slots (id, name, starts_at, price, capacity)
     SELECT 'slot-' || n, 'Slot', now() + interval '1 day', 1, 1000000000
     FROM generate_series(0, 999) AS n",
    "INSERT INTO product_variants (sku, name, price, stock)
     SELECT 'sku-' || n, 'Variant', 1, 1000000000 FROM generate_series(0, 999) AS n",
    "INSERT INTO order_items (order_id, kind, slot_id, quantity, unit_price)
     SELECT id, 'ticket', 'slot-' || id % 1000, 2, 1 FROM orders",
    "INSERT INTO order_items (order_id, kind, sku, quantity, unit_price)
     SELECT id, 'product', 'sku-' || id * 7 % 1000, 1, 1 FROM orders",
    "UPDATE capacity_slots s SET reserved = held.n
     FROM (SELECT slot_id, sum(quantity) AS n FROM order_items GROUP BY slot_id) AS held
     WHERE held.slot_id = s.id",
    "UPDATE product_variants v SET reserved = held.n
     FROM (SELECT sku, sum(quantity) AS n FROM order_items GROUP BY sku) AS held
     WHERE held.sku = v.sku",
];

/// Notifications per second, with effects.
#[derive(Debug, Clone, Copy)]
pub(super) struct EffectsFigures {
    pub(super) worker_per_s: f64,
    pub(super) tx_per_s: f64,
}

/// Measures in rounds; figures are medians.
pub(super) async fn measure(lab: &Lab) -> anyhow::Result<EffectsFigures> {
    make(lab).await?;
    let sizes = lab.options.sizes();
    let notices = workload::sequence(0..sizes.paid);
    let singly = workload::sequence(0..sizes.paid_singly);
    let (mut workers, mut tx) = (Vec::new(), Vec::new());
    for _ in 0..sizes.rounds {
        lab.copy_database(STAND, DATABASE).await?;
        let run = apply::by_workers(lab, DATABASE, 1, &notices).await?;
        check(lab, sizes.paid).await?;
        workers.push(run.per_s);
        lab.copy_database(STAND, DATABASE).await?;
        tx.push(pgbench::run(lab, DATABASE, &singly, true).await?.0);
        check(lab, sizes.paid_singly).await?;
    }
    lab.drop_database(DATABASE).await?;
    lab.drop_database(STAND).await?;
    Ok(EffectsFigures {
        worker_per_s: median(&workers),
        tx_per_s: median(&tx),
    })
}

async fn make(lab: &Lab) -> anyhow::Result<()> {
    let url = lab.fresh_database(STAND).await?;
    let mut connection = PgConnection::connect(&url).await?;
    for statement in LINES {
        connection.execute(statement).await?;
    }
    connection
        .execute("VACUUM ANALYZE order_items, capacity_slots, product_variants")
        .await?;
    connection.close().await?;
    Ok(())
}

/// Every paid order has its tickets, its goods and its code, and nobody else has.
async fn check(lab: &Lab, paid: u64) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&lab.url(DATABASE)).await?;
    let found: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM tickets), (SELECT sum(sold)::bigint FROM capacity_slots),
                (SELECT sum(sold)::bigint FROM product_variants),
                (SELECT count(*) FROM orders WHERE pickup_code IS NOT NULL)",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let paid = i64::try_from(paid)?;
    let expected = (2 * paid, 2 * paid, paid, paid);
    ensure!(
        found == expected,
        "tickets, places, pieces and codes are {found:?}, expected {expected:?}"
    );
    Ok(())
}
