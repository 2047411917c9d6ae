//! The request budget of the gateway: one row that all processes of the fleet take tokens from.
//!
//! It is a token bucket by the database's clock (the generic cell rate algorithm): `due_at` is when
//! the next token is due at an even pace. Whoever takes some moves it on by as many paces, in one
//! statement, so that a process that stands still holds nothing that others wait for. How long the
//! rate stays reduced follows from the clock, so nothing needs to run to restore it.

use std::time::Duration;

use super::lease::interval;
use super::{Store, StoreError};

/// How long the rate takes from what is left of it to all of it, in seconds.
const RECOVERY: f64 = 60.0;

/// Nobody takes tokens for so late, and no pause is so long: a time beyond was written by a server
/// whose clock was ahead of this one's, and counts as now.
const FURTHEST: Duration = Duration::from_secs(10 * 60);

/// Tokens that a process asks for.
#[derive(Debug, Clone, Copy)]
pub struct TokensWanted {
    /// The full rate, tokens per second.
    pub per_second: u32,
    /// At most so many.
    pub count: u32,
    /// None that is due later than this from now.
    pub horizon: Duration,
    /// After a quiet time, tokens of so long a time are due at once.
    pub burst: Duration,
}

/// Tokens that a process was given, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokensGiven {
    /// How many.
    pub count: u32,
    /// Tokens per second at present.
    pub rate: f64,
    /// When the first of them is due, in seconds; below zero after a quiet time.
    first_in: f64,
}

impl TokensGiven {
    /// When the n-th of them is due, counted from zero; without any, when the next one would be.
    pub fn due_in(&self, n: u32) -> Duration {
        seconds((self.first_in + f64::from(n) / self.rate).max(0.0))
    }

    /// The time from one to the next.
    pub fn pace(&self) -> Duration {
        seconds(1.0 / self.rate)
    }
}

impl Store {
    /// Takes tokens; `None` when the row is missing.
    pub async fn gateway_budget_take(
        &self,
        wanted: TokensWanted,
    ) -> Result<Option<TokensGiven>, StoreError> {
        // The clock is read after the lock was had: a later statement never sees an earlier time.
        let given = sqlx::query!(
            r#"
            WITH locked AS MATERIALIZED (
                SELECT due_at, closed_until, share FROM gateway_budget FOR UPDATE
            ), timed AS MATERIALIZED (
                SELECT due_at, closed_until, share, clock_timestamp() AS now FROM locked
            ), possible AS (
                SELECT share, now,
                       CASE WHEN due_at < now + $6::interval THEN due_at ELSE now END AS due_at,
                       CASE WHEN closed_until < now + $6::interval THEN closed_until ELSE now END
                           AS closed_until
                FROM timed
            ), paced AS (
                SELECT due_at, closed_until, now,
                       $1::float8 * least(1, share + (1 - share) * greatest(0,
                           extract(epoch FROM now - closed_until)::float8 / $5::float8)) AS rate
                FROM possible
            ), due AS (
                SELECT now, rate, closed_until,
                       greatest(due_at, closed_until,
                           now - make_interval(secs => greatest(0, $4::float8 - 1 / rate)))
                           AS first_at
                FROM paced
            ), offered AS (
                SELECT now, rate, closed_until, first_at,
                       greatest(0, least($2::float8, 1 + floor(rate * ($3::float8
                           - extract(epoch FROM first_at - now)::float8))))::int AS count
                FROM due
            ), taken AS (
                UPDATE gateway_budget
                SET due_at = first_at + make_interval(secs => count / rate),
                    closed_until = offered.closed_until
                FROM offered WHERE count > 0
            )
            SELECT count AS "count!", rate AS "rate!",
                   extract(epoch FROM first_at - now)::float8 AS "first_in!"
            FROM offered
            "#,
            f64::from(wanted.per_second.max(1)),
            f64::from(wanted.count),
            wanted.horizon.as_secs_f64(),
            wanted.burst.as_secs_f64(),
            RECOVERY,
            interval(FURTHEST),
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("taking from the gateway's budget"))?;
        Ok(given.map(|given| TokensGiven {
            count: u32::try_from(given.count).unwrap_or(0),
            rate: given.rate,
            first_in: given.first_in,
        }))
    }

    /// Makes the row anew when it is gone, as after a restore of some tables.
    pub async fn gateway_budget_restore(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO gateway_budget (due_at, closed_until) VALUES (now(), now())
             ON CONFLICT DO NOTHING"
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("making the gateway's budget anew"))?;
        Ok(())
    }

    /// Gives no token out for a while, and afterwards half as many a second, but never fewer than
    /// one. The refused request was sent `age` ago: if the rate was halved since, it says nothing
    /// about the rate there is now. Answers whether it was halved now.
    pub async fn gateway_budget_reduce(
        &self,
        per_second: u32,
        pause: Duration,
        age: Duration,
    ) -> Result<bool, StoreError> {
        let halved = sqlx::query_scalar!(
            r#"
            WITH locked AS MATERIALIZED (
                SELECT due_at, closed_until, share, reduced_at FROM gateway_budget FOR UPDATE
            ), timed AS MATERIALIZED (
                SELECT *, clock_timestamp() AS now FROM locked
            ), possible AS (
                SELECT share, reduced_at, now,
                       CASE WHEN due_at < now + $5::interval THEN due_at ELSE now END AS due_at,
                       CASE WHEN closed_until < now + $5::interval THEN closed_until ELSE now END
                           AS closed_until
                FROM timed
            ), judged AS (
                SELECT *, now + make_interval(secs => $2::float8) AS reopens_at,
                       coalesce(reduced_at > now
                           OR reduced_at < now - make_interval(secs => $3::float8), true)
                           AS halved,
                       least(1, share + (1 - share) * greatest(0,
                           extract(epoch FROM now - closed_until)::float8 / $4::float8)) AS left_now
                FROM possible
            ), reduced AS (
                UPDATE gateway_budget b
                SET closed_until = greatest(j.closed_until, reopens_at),
                    due_at = greatest(j.due_at, reopens_at),
                    share = CASE WHEN halved
                        THEN least(1, greatest(left_now / 2, 1 / $1::float8)) ELSE left_now END,
                    reduced_at = CASE WHEN halved THEN now ELSE j.reduced_at END
                FROM judged j
            )
            SELECT halved AS "halved!" FROM judged
            "#,
            f64::from(per_second.max(1)),
            pause.as_secs_f64(),
            age.as_secs_f64(),
            RECOVERY,
            interval(FURTHEST),
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("reducing the gateway's budget"))?;
        Ok(halved == Some(true))
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or_default()
}
