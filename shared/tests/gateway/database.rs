//! A database that has the gateway's budget and nothing else. Its name lets the test suites' ground
//! sweep it once this process is gone.

use std::sync::atomic::{AtomicU32, Ordering};

use shared::store::{ConnectOptions, Store};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const BUDGET: &str = include_str!("../../../migrations/0009_gateway_budget.sql");

static MADE: AtomicU32 = AtomicU32::new(0);

#[allow(
    clippy::disallowed_methods,
    reason = "where the tests' servers are is no setting of a process"
)]
/// A store of its own on the server of `LUNAS_TEST_DATABASE_URL`.
pub(super) async fn store() -> Store {
    let server = std::env::var("LUNAS_TEST_DATABASE_URL")
        .expect("LUNAS_TEST_DATABASE_URL is set: run tests/run.sh");
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let name = format!("lunas_test_{}_gateway{number}", std::process::id());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let store = store_at(&with_database(&server, &name));
    sqlx::raw_sql(BUDGET).execute(store.pool()).await.unwrap();
    store
}

/// A store at a port where nobody listens.
pub(super) fn store_that_is_away() -> Store {
    store_at("postgres://nobody@127.0.0.1:9/nothing")
}

fn store_at(url: &str) -> Store {
    let options = ConnectOptions {
        application_name: "lunas-tests",
        max_connections: 4,
        by_key: true,
    };
    Store::connect_lazy(url, options).unwrap()
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = server.rsplit_once('/').unwrap();
    if query.is_empty() {
        format!("{server}/{name}")
    } else {
        format!("{server}/{name}?{query}")
    }
}
