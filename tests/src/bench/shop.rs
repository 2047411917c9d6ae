//! (g) Creating orders through the api: at a given rate on distinct stock, and by many buyers of one
//! slot at once, beside a bare conditional UPDATE of that row.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::lab::Lab;
use super::pace::Pace;
use super::process::free_addr;
use super::stats::{Round, median};

const DATABASE: &str = "bench_shop";
/// Orders per second on distinct stock.
const RATE: f64 = 200.0;
/// Who buys at once.
const BUYERS: usize = 64;
const TOKEN: &str = "a-token-made-up-for-the-benchmark";
const SLOTS: usize = 2_000;

/// What was found out about creating orders.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShopFigures {
    /// At the given rate on distinct stock.
    pub(super) paced: Round,
    /// Orders per second of one slot.
    pub(super) hot_per_s: f64,
    /// Bare conditional updates per second of that slot.
    pub(super) bare_per_s: f64,
}

/// Measures in rounds; figures are medians.
pub(super) async fn measure(lab: &Lab) -> anyhow::Result<ShopFigures> {
    let url = lab.fresh_database(DATABASE).await?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query(
        "INSERT INTO capacity_slots (id, name, starts_at, price, capacity)
         SELECT 'slot-' || n, 'Slot', now() + interval '1 day', 150000, 1000000000
         FROM generate_series(0, $1 - 1) AS n",
    )
    .bind(SLOTS as i64)
    .execute(&mut connection)
    .await?;
    connection.execute("VACUUM ANALYZE capacity_slots").await?;
    let addr = free_addr()?;
    let api = lab.start_api(DATABASE, addr, &digest(TOKEN)).await?;
    let (mut paced, mut hot, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let length = lab.options.sizes().round;
    for _ in 0..lab.options.sizes().rounds {
        paced.push(buy(addr, length, Some(RATE), |n| n % SLOTS).await?);
        hot.push(buy(addr, length, None, |_| 0).await?.per_s);
        bare.push(bare_updates(&url, length).await?);
    }
    check(&mut connection).await?;
    connection.close().await?;
    api.stop().await?;
    lab.drop_database(DATABASE).await?;
    Ok(ShopFigures {
        paced: Round::median(&paced),
        hot_per_s: median(&hot),
        bare_per_s: median(&bare),
    })
}

/// Orders one ticket after the other from as many tasks as there are buyers.
async fn buy(
    addr: SocketAddr,
    length: Duration,
    rate: Option<f64>,
    slot: fn(usize) -> usize,
) -> anyhow::Result<Round> {
    let pace = Arc::new(Pace::start(usize::MAX, length, rate));
    let client = reqwest::Client::new();
    let tasks: Vec<_> = (0..BUYERS)
        .map(|_| tokio::spawn(buyer(client.clone(), addr, Arc::clone(&pace), slot)))
        .collect();
    let mut micros = Vec::new();
    for task in tasks {
        micros.extend(task.await??);
    }
    Ok(Round::of(micros, pace.counted()))
}

async fn buyer(
    client: reqwest::Client,
    addr: SocketAddr,
    pace: Arc<Pace>,
    slot: fn(usize) -> usize,
) -> anyhow::Result<Vec<u32>> {
    let mut micros = Vec::new();
    while let Some((number, since)) = pace.next().await {
        let order = json!({
            "user_id": format!("user-{number}"),
            "idempotency_key": format!("{:032x}", rand::random::<u128>()),
            "items": [{"kind": "ticket", "slot_id": format!("slot-{}", slot(number)), "quantity": 1}],
        });
        let answer = client
            .post(format!("http://{addr}/api/orders"))
            .bearer_auth(TOKEN)
            .json(&order)
            .send()
            .await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status == 201, "an order was answered {status}: {body}");
        if pace.counts(since) {
            micros.push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok(micros)
}

/// The least that can be done to a hot row, with a connection per buyer.
async fn bare_updates(url: &str, length: Duration) -> anyhow::Result<f64> {
    let buyers = u32::try_from(BUYERS)?;
    let pool = PgPoolOptions::new()
        .min_connections(buyers)
        .max_connections(buyers)
        .connect(url)
        .await
        .context("connecting the buyers")?;
    let end = Instant::now() + length;
    let since = Instant::now();
    let updates = (0..BUYERS).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut connection = pool.acquire().await?;
            let mut done = 0_u64;
            while Instant::now() < end {
                let update = sqlx::query(
                    "UPDATE capacity_slots SET reserved = reserved + 1, updated_at = now()
                     WHERE id = 'slot-1' AND capacity - reserved - sold >= 1",
                );
                done += update.execute(&mut *connection).await?.rows_affected();
            }
            anyhow::Ok(done)
        })
    });
    let mut done = 0;
    for update in updates.collect::<Vec<_>>() {
        done += update.await??;
    }
    let per_s = done as f64 / since.elapsed().as_secs_f64();
    pool.close().await;
    Ok(per_s)
}

/// What was reserved through the api is what its orders hold: slot 1 was also updated barely.
async fn check(connection: &mut PgConnection) -> anyhow::Result<()> {
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM capacity_slots s
         WHERE s.id <> 'slot-1' AND s.reserved <> (
             SELECT coalesce(sum(quantity), 0) FROM order_items i WHERE i.slot_id = s.id)",
    )
    .fetch_one(connection)
    .await?;
    ensure!(wrong == 0, "{wrong} slots do not add up");
    Ok(())
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}
