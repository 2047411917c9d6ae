//! PostgreSQL: the only home of SQL.
//!
//! Functions are grouped by table, noun first, and answer with rows or domain words. Those whose
//! name ends in `_in_txn` work inside the caller's transaction, so that an effect and its marker
//! commit together. What the rows mean is decided elsewhere (`domain`, `apply`).

mod columns;
mod connect;
mod error;

pub mod alert_messages;
pub mod alerts;
pub mod alerts_conditions;
pub mod alerts_read;
pub mod alerts_tallies;
pub mod backfill;
pub mod catalog;
pub mod checkout_orders;
pub mod checkout_payments;
pub mod checkout_read;
pub mod counter;
pub mod dead_letters;
pub mod dead_letters_read;
pub mod doctor;
pub mod doctor_counters;
pub mod events;
pub mod feed;
pub mod gateway_budget;
pub mod holdings;
pub mod in_hand;
pub mod inventory;
pub mod job_admin;
pub mod job_runs;
pub mod lease;
pub mod links;
pub mod logs;
pub mod monitor;
pub mod notices;
pub mod orders;
pub mod outbox;
pub mod payments;
pub mod read;
pub mod read_timeline;
pub mod reconcile;
pub mod reconcile_effects;
pub mod recover;
pub mod relay;
pub mod replays;
pub mod report;
pub mod retention;
pub mod retention_rows;
pub mod runs;
pub mod schema;
pub mod summary;
pub mod sync;
pub mod transactions;

pub use connect::{ConnectOptions, DatabaseUrlError};
pub use error::{StoreError, StoreErrorKind};

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{PgPool, Postgres};
use time::OffsetDateTime;

/// A transaction of the store; it rolls back when dropped without [`Store::commit`].
pub type Txn = sqlx::Transaction<'static, Postgres>;

/// A pool of connections to PostgreSQL, cheap to clone.
///
/// With several hosts configured the pool points at one of them; [`Store::probe`] moves on to the
/// next when that one no longer answers as a writable primary.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    hosts: Arc<[PgConnectOptions]>,
    current: Arc<AtomicUsize>,
}

impl Store {
    /// The pool behind the store, for the suites that read rows on their own.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction: the one place that does.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub async fn begin(&self) -> Result<Txn, StoreError> {
        self.pool
            .begin()
            .await
            .map_err(StoreError::of("beginning a transaction"))
    }

    /// Commits a transaction: the one place that does.
    pub async fn commit(&self, txn: Txn) -> Result<(), StoreError> {
        txn.commit()
            .await
            .map_err(StoreError::of("committing a transaction"))
    }

    /// Asks the database whether it is there and writable; on failure points the pool at the next
    /// configured host, so that the next call may find the new primary.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let answer = sqlx::query_scalar!(r#"SELECT NOT pg_is_in_recovery() AS "writable!""#)
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::of("probing the database"));
        match answer {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.next_host();
                Err(StoreError::read_only())
            }
            Err(error) => {
                self.next_host();
                Err(error)
            }
        }
    }

    /// The database's clock, the only one that decisions are made by.
    pub async fn now_in_txn(&self, txn: &mut Txn) -> Result<OffsetDateTime, StoreError> {
        sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
            .fetch_one(&mut **txn)
            .await
            .map_err(StoreError::of("reading the clock"))
    }

    /// Closes every connection; used when a process ends.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn next_host(&self) {
        if self.hosts.len() > 1 {
            let next = (self.current.fetch_add(1, Ordering::Relaxed) + 1) % self.hosts.len();
            self.pool.set_connect_options(self.hosts[next].clone());
        }
    }
}
