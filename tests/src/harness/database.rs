//! A database per test, copied from a template that is migrated once per run.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use shared::store::{ConnectOptions, Store};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

use super::ground::{root, unique_word};

/// One at a time may look after template and leftovers.
const HOUSEKEEPING_LOCK: i64 = 0x006c_756e_6173;
const TEST_PREFIX: &str = "lunas_test_";
const TEMPLATE_PREFIX: &str = "lunas_template_";

/// A migrated database of its own; it is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server_url: String,
    url: String,
    pool: PgPool,
}

impl TestDatabase {
    /// Makes one on the server that `server_url` reaches as a role that may create databases.
    ///
    /// # Panics
    /// When the server refuses or a migration fails.
    pub async fn create(server_url: &str) -> Self {
        let mut server = connect(server_url).await;
        let template = template(&mut server, server_url).await;
        Self::copy(&mut server, server_url, &template).await
    }

    /// The same without a schema.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create_empty(server_url: &str) -> Self {
        let mut server = connect(server_url).await;
        Self::copy(&mut server, server_url, "template0").await
    }

    async fn copy(server: &mut PgConnection, server_url: &str, template: &str) -> Self {
        let name = format!("{TEST_PREFIX}{}", unique_word());
        run(
            server,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let url = with_database(server_url, &name);
        let options = url.parse().expect("the address of the test database");
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(options);
        Self {
            name,
            server_url: server_url.to_owned(),
            url,
            pool,
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address by way of something else that listens, such as a [`super::Proxy`].
    pub fn url_by_way_of(&self, listener: std::net::SocketAddr) -> String {
        by_way_of(&self.url, listener)
    }

    /// Where the server listens.
    pub fn server_addr(&self) -> String {
        host_and_port(&self.url)
    }

    /// Connections for the test itself.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The store of the code under test on this database.
    ///
    /// # Panics
    /// When the store refuses the address.
    pub fn store(&self) -> Store {
        let options = ConnectOptions {
            application_name: "lunas-tests",
            max_connections: 4,
            by_key: false,
        };
        Store::connect_lazy(&self.url, options).expect("the store takes the test's address")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server_url, name) = (self.server_url.clone(), self.name.clone());
        super::in_a_thread_of_its_own(async move {
            let Ok(options) = server_url.parse::<PgConnectOptions>() else {
                return;
            };
            // A test that broke the server leaves nothing to drop.
            if let Ok(mut server) = options.connect().await {
                drop_database(&mut server, &name).await;
            }
        });
    }
}

/// The template for the migrations as they are now; made by whoever comes first.
async fn template(server: &mut PgConnection, server_url: &str) -> String {
    let name = format!("{TEMPLATE_PREFIX}{}", migrations_digest());
    let locked = sqlx::query("SELECT pg_advisory_lock($1)").bind(HOUSEKEEPING_LOCK);
    locked
        .execute(&mut *server)
        .await
        .expect("the housekeeping lock");
    let complete: Option<bool> =
        sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut *server)
            .await
            .expect("the list of databases");
    if complete != Some(true) {
        sweep(server).await;
        // Left half-made by a test that was killed.
        drop_database(server, &name).await;
        run(server, format!("CREATE DATABASE {name}")).await;
        migrate(&with_database(server_url, &name)).await;
        // Also the mark that it is complete.
        run(
            server,
            format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false"),
        )
        .await;
    }
    let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(HOUSEKEEPING_LOCK);
    unlocked
        .execute(&mut *server)
        .await
        .expect("the housekeeping lock is given back");
    name
}

async fn migrate(url: &str) {
    let options = ConnectOptions {
        application_name: "lunas-tests",
        max_connections: 1,
        by_key: false,
    };
    let store = Store::connect_lazy(url, options).expect("the store takes the template's address");
    store
        .migrate()
        .await
        .expect("the migrations apply to an empty database");
    store.pool().close().await;
}

/// Drops databases whose test process is gone, and templates of other migrations.
async fn sweep(server: &mut PgConnection) {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE starts_with(datname, $1) OR starts_with(datname, $2)",
    )
    .bind(TEST_PREFIX)
    .bind(TEMPLATE_PREFIX)
    .fetch_all(&mut *server)
    .await
    .expect("the list of databases");
    for name in names {
        let pid = name
            .strip_prefix(TEST_PREFIX)
            .and_then(|rest| rest.split('_').next());
        let in_use = pid.is_some_and(|pid| PathBuf::from("/proc").join(pid).exists());
        if !in_use {
            drop_database(server, &name).await;
        }
    }
}

async fn drop_database(server: &mut PgConnection, name: &str) {
    let statements = [
        format!("ALTER DATABASE {name} IS_TEMPLATE false"),
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
    ];
    for statement in statements {
        // The first fails when there is no such database, and both when the server goes away:
        // what stays is swept by the next run.
        let _ = sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *server)
            .await;
    }
}

async fn connect(url: &str) -> PgConnection {
    let connected = PgConnection::connect(url).await;
    connected.expect("the test's PostgreSQL answers")
}

async fn run(connection: &mut PgConnection, statement: String) {
    let done = sqlx::query(AssertSqlSafe(statement.clone()))
        .execute(connection)
        .await;
    if let Err(error) = done {
        panic!("{statement}: {error}");
    }
}

/// Changes when any migration changes, so that an old template is never taken for the new one.
fn migrations_digest() -> String {
    let folder = root().join("migrations");
    let listed = std::fs::read_dir(&folder).expect("the folder of the migrations");
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "sql"))
    {
        hash.update(std::fs::read(file).expect("a migration can be read"));
    }
    hex::encode(&hash.finalize()[..8])
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let server = server.rsplit_once('/').map_or(server, |(server, _)| server);
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    };
    format!("{server}/{name}{query}")
}

/// The address with another host and port.
pub(super) fn by_way_of(url: &str, listener: std::net::SocketAddr) -> String {
    url.replacen(
        &format!("{}/", host_and_port(url)),
        &format!("{listener}/"),
        1,
    )
}

/// `host:port` of an address with user, password, host, port and path.
pub(super) fn host_and_port(url: &str) -> String {
    let (_, rest) = url.split_once("://").expect("an address has a scheme");
    let authority = rest.split('/').next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}
