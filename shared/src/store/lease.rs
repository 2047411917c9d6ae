//! Leases: at most one process does a thing at a time, by the database's clock.
//!
//! A lease is held until a moment, renewed while its holder lives, and taken by another once that
//! moment has passed. Its token grows with every change of hands; whoever writes under a lease has
//! its token compared in the same statement, so that a holder who was asleep for too long cannot
//! write over its successor. Who wants a lease and what for is not decided here.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use super::{Store, StoreError, Txn};

/// A lease that this process was given, and the proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    name: &'static str,
    holder: String,
    token: i64,
}

impl Lease {
    /// What the lease is for.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Who holds it.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Grows with every change of hands.
    pub const fn token(&self) -> i64 {
        self.token
    }
}

/// Whether a lease still belongs to its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It does.
    Held,
    /// It ran out, or another process has it.
    Lost,
}

impl Hold {
    pub(super) const fn of(held: bool) -> Self {
        if held { Self::Held } else { Self::Lost }
    }
}

impl Store {
    /// Takes the lease for `term` when nobody holds it; `None` when somebody does.
    pub async fn lease_acquire(
        &self,
        name: &'static str,
        holder: &str,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let token = sqlx::query_scalar!(
            r#"
            INSERT INTO scheduler_lease AS l (name, holder, expires_at)
            VALUES ($1, $2, clock_timestamp() + $3::interval)
            ON CONFLICT (name) DO UPDATE
            SET holder = EXCLUDED.holder, token = l.token + 1,
                expires_at = EXCLUDED.expires_at
            WHERE l.expires_at <= clock_timestamp()
            RETURNING token
            "#,
            name,
            holder,
            interval(term),
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("acquiring a lease"))?;
        Ok(token.map(|token| Lease {
            name,
            holder: holder.to_owned(),
            token,
        }))
    }

    /// Holds the lease for another `term` from now. One that ran out is lost, even when nobody
    /// took it: its holder has stepped down already.
    pub async fn lease_renew(&self, lease: &Lease, term: Duration) -> Result<Hold, StoreError> {
        let renewed = sqlx::query!(
            r#"
            UPDATE scheduler_lease SET expires_at = clock_timestamp() + $4::interval
            WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > clock_timestamp()
            "#,
            lease.name,
            lease.holder,
            lease.token,
            interval(term),
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("renewing a lease"))?;
        Ok(Hold::of(renewed.rows_affected() == 1))
    }

    /// Gives the lease back, so that another process need not wait for its end.
    pub async fn lease_release(&self, lease: Lease) -> Result<Hold, StoreError> {
        let released = sqlx::query!(
            r#"
            UPDATE scheduler_lease SET expires_at = clock_timestamp()
            WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > clock_timestamp()
            "#,
            lease.name,
            lease.holder,
            lease.token,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("releasing a lease"))?;
        Ok(Hold::of(released.rows_affected() == 1))
    }

    /// Keeps the lease from changing hands until the transaction ends, if it is still held:
    /// what is written in the same transaction is written under the lease.
    pub async fn lease_guard_in_txn(
        &self,
        txn: &mut Txn,
        lease: &Lease,
    ) -> Result<Hold, StoreError> {
        let found = sqlx::query_scalar!(
            r#"
            SELECT token FROM scheduler_lease
            WHERE name = $1 AND holder = $2 AND token = $3 AND expires_at > clock_timestamp()
            FOR SHARE
            "#,
            lease.name,
            lease.holder,
            lease.token,
        )
        .fetch_optional(&mut **txn)
        .await
        .map_err(StoreError::of("checking a lease"))?;
        Ok(Hold::of(found.is_some()))
    }
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
