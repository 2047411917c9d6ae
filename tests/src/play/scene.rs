//! Everything the player talks to, opened once and shared by all orders.

use std::time::Duration;

use anyhow::Context as _;
use rand::Rng as _;
use serde_json::Value;
use shared::store::{ConnectOptions, Store};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::checkout::Front;
use super::shop::Shop;
use super::{Settings, books};
use crate::sim::SimClient;

/// Letters and digits of an order code, without those that are easily taken for another.
const CODE_LETTERS: &[u8] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// The fleet and what is around it.
pub(super) struct Scene {
    pub(super) sim: SimClient,
    pub(super) shop: Shop,
    /// Where customers order, if an api runs.
    pub(super) front: Option<Front>,
    pub(super) store: Store,
    pub(super) pool: PgPool,
    pub(super) http: reqwest::Client,
    pub(super) ingest: String,
    pub(super) broker: lapin::Connection,
    pub(super) patience: Duration,
    /// When the player began, by the database's clock.
    pub(super) began: OffsetDateTime,
    /// A word of this run, so that runs on one database do not meet.
    run: String,
}

impl Scene {
    pub(super) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        let options = ConnectOptions {
            application_name: "lunas-play",
            max_connections: 8,
            by_key: false,
        };
        let store = Store::connect_lazy(&settings.database_url, options)?;
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(8)
            .connect_lazy(&settings.database_url)
            .context("the database's URL cannot be used")?;
        let began = books::now(&pool).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let sim = SimClient::new(&settings.sim, &settings.server_key)?;
        let health = sim.get("/sim/health").await?;
        anyhow::ensure!(health.status == 200, "the simulator is not well");
        let mut random = rand::rng();
        let letters = std::iter::repeat_with(|| {
            char::from(CODE_LETTERS[random.random_range(..CODE_LETTERS.len())])
        });
        Ok(Self {
            front: (settings.api.clone().zip(settings.admin.clone()))
                .map(|(shop, admin)| Front::new(http.clone(), shop, admin)),
            shop: Shop::open(http.clone(), settings.api.clone(), store.clone()),
            run: letters.take(5).collect(),
            ingest: settings.ingest.trim_end_matches('/').to_owned(),
            broker: broker(&settings.amqp_url).await?,
            sim,
            store,
            pool,
            http,
            patience: settings.patience,
            began,
        })
    }

    /// The code of a story's `nth` order. It ends in letter and number: with a number alone it
    /// would read as the second session of another order.
    pub(super) fn code(&self, story: usize, nth: u32) -> String {
        format!("LNS-{}{nth}", self.mark(story))
    }

    /// What tells the names in a story from those in others, and in other runs.
    pub(super) fn mark(&self, story: usize) -> String {
        let letter = char::from(CODE_LETTERS[8 + story % 23]);
        format!("{}-{letter}", self.run)
    }

    /// The simulator's log about one session.
    pub(super) async fn attempts_of(&self, session: &str) -> anyhow::Result<Vec<Value>> {
        let log = self
            .sim
            .get(&format!("/sim/log?order_id={session}"))
            .await?;
        let attempts = log.body["attempts"].as_array();
        Ok(attempts.context("the simulator shows no log")?.clone())
    }
}

/// A connection to one node of the broker: it only asks.
async fn broker(urls: &str) -> anyhow::Result<lapin::Connection> {
    let first = urls.split(',').next().unwrap_or_default().trim();
    let properties = lapin::ConnectionProperties::default();
    lapin::Connection::connect(first, properties)
        .await
        .context("the broker does not answer")
}
