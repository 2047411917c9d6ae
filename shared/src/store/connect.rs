//! Opening the pool: one or several hosts, and a time-out on everything.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::timeout;

use super::Store;

/// A statement may take this long; whatever runs longer is cut off by the server.
const STATEMENT_TIMEOUT: &str = "10s";
/// Waiting for a row lock may take this long before the attempt starts anew.
const LOCK_TIMEOUT: &str = "5s";
/// No transaction here waits for anything but the database. One that stands still belongs to a
/// process that vanished, and the locks it holds stop everybody else.
const IDLE_TIMEOUT: &str = "15s";
/// A connection must be had within this time, else the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection answers within this time when it is taken or given back, or it is thrown away.
/// The pool itself would wait for ever for the answer of a server that fell silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that answered so shortly ago is taken without being asked again.
const FRESH: Duration = Duration::from_secs(1);

/// A scan is the last resort, and nothing is worth compiling.
const BY_KEY: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

/// How a process connects.
#[derive(Debug, Clone, Copy)]
pub struct ConnectOptions {
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
    /// The most connections the pool opens.
    pub max_connections: u32,
    /// Its statements look rows up by key. A plan that was made while a table was nearly empty
    /// would otherwise go on scanning it, for as long as the connection keeps the plan.
    pub by_key: bool,
}

/// Why `DATABASE_URL` is not usable. Never contains the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Not of the form `postgres://user:password@host:port[,host:port]/database`.
    #[error("not a PostgreSQL URL (postgres://user:password@host:port[,host:port…]/database)")]
    NotAUrl,
}

impl Store {
    /// Prepares a pool for the given URL, which may name several hosts, comma separated. Opens no
    /// connection yet: a service must start while the database is away.
    pub fn connect_lazy(url: &str, options: ConnectOptions) -> Result<Self, DatabaseUrlError> {
        let hosts = hosts(url)?
            .into_iter()
            .map(|host| {
                let host = host.application_name(options.application_name).options([
                    ("statement_timeout", STATEMENT_TIMEOUT),
                    ("lock_timeout", LOCK_TIMEOUT),
                    ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
                ]);
                if options.by_key {
                    host.options(BY_KEY)
                } else {
                    host
                }
            })
            .collect::<Vec<_>>();
        let first = hosts.first().cloned().ok_or(DatabaseUrlError::NotAUrl)?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                let fresh = state.idle_for < FRESH;
                Box::pin(async move {
                    if fresh {
                        Ok(true)
                    } else {
                        answers(connection).await
                    }
                })
            })
            .after_release(|connection, _| Box::pin(answers(connection)))
            .connect_lazy_with(first);
        Ok(Self {
            pool,
            hosts: hosts.into(),
            current: Arc::new(AtomicUsize::new(0)),
        })
    }
}

/// An error makes the pool drop the connection without a word to the server.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match timeout(ANSWER_TIMEOUT, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// One set of options per host of the URL.
fn hosts(url: &str) -> Result<Vec<PgConnectOptions>, DatabaseUrlError> {
    split_hosts(url)?
        .iter()
        .map(|url| PgConnectOptions::from_str(url).map_err(|_| DatabaseUrlError::NotAUrl))
        // Before each line about a statement the driver asks whether anybody listens; where the
        // answer is no, tracing loses what comes next in that thread. Slow statements are logged.
        .map(|host| Ok(host?.log_statements(log::LevelFilter::Off)))
        .collect()
}

/// `postgres://u:p@a:1,b:2/db` becomes `postgres://u:p@a:1/db` and `postgres://u:p@b:2/db`.
fn split_hosts(url: &str) -> Result<Vec<String>, DatabaseUrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(DatabaseUrlError::NotAUrl)?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(DatabaseUrlError::NotAUrl);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    Ok(hosts
        .split(',')
        .map(|host| format!("{scheme}://{user}{host}{tail}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::split_hosts;

    #[test]
    fn every_host_of_the_url_becomes_a_url_of_its_own() {
        assert_eq!(
            split_hosts("postgres://u:p@a:1,b:2/db?sslmode=disable").unwrap(),
            [
                "postgres://u:p@a:1/db?sslmode=disable",
                "postgres://u:p@b:2/db?sslmode=disable"
            ]
        );
        assert_eq!(
            split_hosts("postgres:///db?host=%2Ftmp").unwrap(),
            ["postgres:///db?host=%2Ftmp"]
        );
    }

    #[test]
    fn another_scheme_is_refused_without_repeating_the_url() {
        let error = split_hosts("mysql://u:secret@a/db").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
