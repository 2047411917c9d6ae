//! Where the benchmark runs: the private servers, the programs under measurement, and databases
//! that all begin alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use shared::broker::{BrokerUrls, Destination, Envelope, Headers, Publisher, PublisherOptions};
use shared::store::{ConnectOptions, Store};
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::Options;
use super::process::Service;
use super::raw::Queue;
use super::workload::{self, Notice, SERVER_KEY};

/// The database that the others are copies of.
const BASE: &str = "bench_base";

/// Messages in flight while a queue is filled.
const FILLERS: u16 = 256;

/// The servers and programs.
pub(super) struct Lab {
    pub(super) options: Options,
    pub(super) queue: Queue,
}

impl Lab {
    /// Declares the topology and makes the database that every measurement begins with: migrated,
    /// with orders that wait for their payment.
    pub(super) async fn prepare(options: Options) -> anyhow::Result<Self> {
        let queue = Queue::open(&options.amqp_url).await?;
        let lab = Self { options, queue };
        lab.administer(&format!("CREATE DATABASE {BASE}")).await?;
        let store = lab.store(BASE, 2)?;
        store.migrate().await?;
        store.close().await;
        let mut connection = PgConnection::connect(&lab.url(BASE)).await?;
        sqlx::query(
            "INSERT INTO orders (order_code, user_id, gross_amount, expires_at)
             SELECT 'LNS-BENCH-' || lpad(n::text, 8, '0'), 'user-' || n % 5000,
                    10000 + n % 900 * 500, now() + interval '1 day'
             FROM generate_series(0, $1) AS n",
        )
        .bind(i64::try_from(lab.options.sizes().orders)?)
        .execute(&mut connection)
        .await?;
        // Only what has rows: an empty table that was analysed is believed to stay empty.
        connection.execute("VACUUM ANALYZE orders").await?;
        connection.close().await?;
        Ok(lab)
    }

    /// A copy of the database that everything begins with. The disk is at rest when this returns.
    pub(super) async fn fresh_database(&self, name: &str) -> anyhow::Result<String> {
        self.copy_database(BASE, name).await?;
        Ok(self.url(name))
    }

    /// A copy of any database. Copying files keeps a big one out of the write-ahead log.
    pub(super) async fn copy_database(&self, from: &str, to: &str) -> anyhow::Result<()> {
        self.drop_database(to).await?;
        self.administer(&format!(
            "CREATE DATABASE {to} TEMPLATE {from} STRATEGY file_copy"
        ))
        .await?;
        self.administer("CHECKPOINT").await
    }

    /// Deletes a database if it is there.
    pub(super) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        self.administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            .await
    }

    /// Runs a statement in the server's own database.
    pub(super) async fn administer(&self, statement: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.options.database_url).await?;
        connection.execute(sqlx::AssertSqlSafe(statement)).await?;
        connection.close().await?;
        Ok(())
    }

    /// The URL of another database of the server.
    pub(super) fn url(&self, database: &str) -> String {
        let url = &self.options.database_url;
        let server = url
            .rsplit_once('/')
            .map_or(url.as_str(), |(server, _)| server);
        format!("{server}/{database}")
    }

    /// The product's own store on a database.
    pub(super) fn store(&self, database: &str, connections: u32) -> anyhow::Result<Store> {
        let options = ConnectOptions {
            application_name: "lunas-bench",
            max_connections: connections,
            by_key: true,
        };
        Ok(Store::connect_lazy(&self.url(database), options)?)
    }

    /// Starts ingest on the given address.
    pub(super) async fn start_ingest(&self, addr: std::net::SocketAddr) -> anyhow::Result<Service> {
        let env = [
            ("INGEST_ADDR", addr.to_string()),
            ("AMQP_URL", self.options.amqp_url.clone()),
            ("MIDTRANS_SERVER_KEY", SERVER_KEY.to_owned()),
        ];
        Service::start(&self.program("lunas-ingest"), &env, self.log("ingest")).await
    }

    /// Starts a worker on a database, with its defaults.
    pub(super) async fn start_worker(&self, database: &str, name: &str) -> anyhow::Result<Service> {
        let env = [
            ("DATABASE_URL", self.url(database)),
            ("AMQP_URL", self.options.amqp_url.clone()),
            ("MIDTRANS_SERVER_KEY", SERVER_KEY.to_owned()),
        ];
        Service::start(&self.program("lunas-worker"), &env, self.log(name)).await
    }

    /// Starts a worker that asks the gateway at this address, at most so often.
    pub(super) async fn start_asking_worker(
        &self,
        database: &str,
        gateway: &str,
        per_second: u32,
    ) -> anyhow::Result<Service> {
        let env = [
            ("DATABASE_URL", self.url(database)),
            ("AMQP_URL", self.options.amqp_url.clone()),
            ("MIDTRANS_SERVER_KEY", SERVER_KEY.to_owned()),
            ("MIDTRANS_API_URL", gateway.to_owned()),
            ("MIDTRANS_RPS", per_second.to_string()),
        ];
        Service::start(
            &self.program("lunas-worker"),
            &env,
            self.log("worker-asking"),
        )
        .await
    }

    /// Starts a scheduler on a database with these jobs.
    pub(super) async fn start_scheduler(
        &self,
        database: &str,
        jobs: &str,
    ) -> anyhow::Result<Service> {
        let env = [
            ("DATABASE_URL", self.url(database)),
            ("AMQP_URL", self.options.amqp_url.clone()),
            ("MIDTRANS_SERVER_KEY", SERVER_KEY.to_owned()),
            ("JOB_INTERVALS", jobs.to_owned()),
        ];
        Service::start(
            &self.program("lunas-scheduler"),
            &env,
            self.log("scheduler"),
        )
        .await
    }

    /// Starts the api on a database; the shop's token has this digest.
    pub(super) async fn start_api(
        &self,
        database: &str,
        addr: std::net::SocketAddr,
        token: &str,
    ) -> anyhow::Result<Service> {
        let env = [
            ("API_ADDR", addr.to_string()),
            ("ADMIN_ADDR", super::process::free_addr()?.to_string()),
            ("API_TOKENS", format!("bench:shop:{token}")),
            // One token buys for everybody here.
            ("API_RPS", "100000".to_owned()),
            ("API_BURST", "100000".to_owned()),
            ("DATABASE_URL", self.url(database)),
            ("MIDTRANS_SERVER_KEY", SERVER_KEY.to_owned()),
        ];
        Service::start(&self.program("lunas-api"), &env, self.log("api")).await
    }

    /// Publishes notifications as ingest does, and waits until all of them are in the queue.
    pub(super) async fn fill_queue(&self, notices: &[Notice]) -> anyhow::Result<()> {
        let options = PublisherOptions {
            name: "lunas-bench".to_owned(),
            connections: 2,
            in_flight: FILLERS,
        };
        let publisher = Publisher::start(&BrokerUrls::parse(&self.options.amqp_url)?, &options);
        ensure!(
            publisher.connected(Duration::from_secs(10)).await,
            "no broker"
        );
        stream::iter(workload::bodies(notices))
            .map(|body| {
                let publisher = publisher.clone();
                tokio::spawn(async move {
                    let envelope = Envelope {
                        body: Bytes::from(body),
                        headers: Headers::new("webhook", OffsetDateTime::now_utc()),
                    };
                    publisher
                        .publish(&Destination::Webhooks, envelope, Duration::from_secs(10))
                        .await
                })
            })
            .buffer_unordered(usize::from(FILLERS))
            .map(|joined| anyhow::Ok(joined??))
            .try_collect::<()>()
            .await?;
        publisher.close(Duration::from_secs(5)).await;
        let expected = u32::try_from(notices.len())?;
        while self.queue.depth().await? != expected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Restarts PostgreSQL, for a setting that needs it.
    pub(super) async fn restart_postgres(&self) -> anyhow::Result<()> {
        let script = self.options.root.join("deploy/local/service.sh");
        for command in ["stop", "start-postgres"] {
            let status = tokio::process::Command::new(&script)
                .arg(command)
                .arg(&self.options.postgres_folder)
                .stdout(std::process::Stdio::null())
                .status()
                .await
                .context("running service.sh")?;
            ensure!(status.success(), "service.sh {command} failed");
        }
        Ok(())
    }

    fn program(&self, name: &str) -> PathBuf {
        self.options.programs.join(name)
    }

    fn log(&self, name: &str) -> PathBuf {
        Path::new(&self.options.logs).join(format!("{name}.log"))
    }
}

/// Every message body of the notifications, shared by publishers.
pub(super) fn shared_bodies(notices: &[Notice]) -> Arc<Vec<String>> {
    Arc::new(workload::bodies(notices))
}
