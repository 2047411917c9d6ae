//! The books of a run: what was sent and accepted beside what became of it.
//!
//! The loss ledger (design 11) from two independent sides: the simulator's log of what ingest
//! answered, and the rows of the database with what the broker still holds.

use std::time::Duration;

use anyhow::Context as _;
use shared::broker::topology;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::order::Order;
use super::scene::Scene;

/// Both sides of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Books {
    /// Requests to ingest.
    pub sent: i64,
    /// Of these, retries of one that failed.
    pub retried: i64,
    /// Forged ones that ingest refused.
    pub turned_away: i64,
    /// Answered with 200.
    pub accepted: i64,
    /// Recorded and acted on.
    pub applied: i64,
    /// Deliveries beyond the first of a notification.
    pub duplicate: i64,
    /// Recorded, changing nothing.
    pub stale: i64,
    /// Waiting for the status API.
    pub unconfirmed: i64,
    /// Contradicted by the status API.
    pub refused: i64,
    /// The dashboard's tests.
    pub test: i64,
    /// Given up.
    pub dead: i64,
    /// Still in a queue of the broker.
    pub in_flight: i64,
    /// Transactions that the status API has confirmed.
    pub confirmed: i64,
    /// Notifications that the simulator has yet to deliver.
    pub outstanding: i64,
}

impl Books {
    pub(super) async fn read(
        scene: &Scene,
        sessions: &[String],
        direct: &[u16],
    ) -> anyhow::Result<Self> {
        let accepted = count(direct.iter().filter(|status| **status == 200).count());
        let mut books = Self {
            sent: count(direct.len()),
            turned_away: count(direct.len()) - accepted,
            accepted,
            in_flight: waiting(&scene.broker).await?,
            dead: dead_letters(&scene.pool, scene.began).await?,
            confirmed: confirmed(&scene.pool, sessions).await?,
            ..Self::default()
        };
        let log = scene.sim.get("/sim/log").await?;
        let outstanding = log.body["traffic"]["outstanding"].as_i64();
        books.outstanding = outstanding.context("the simulator shows no traffic")?;
        let attempts = log.body["attempts"].as_array();
        for attempt in attempts.context("the simulator shows no log")? {
            let session = attempt["order_id"].as_str().unwrap_or_default();
            let number = attempt["attempt"].as_u64().unwrap_or_default();
            if number == 0 || !sessions.iter().any(|known| known == session) {
                continue;
            }
            books.sent += 1;
            books.retried += i64::from(number > 1);
            books.accepted += i64::from(attempt["http_status"] == 200);
        }
        for (verdict, rows, deliveries) in verdicts(&scene.pool, sessions).await? {
            books.duplicate += deliveries - rows;
            match verdict.as_str() {
                "applied" => books.applied += rows,
                "stale" => books.stale += rows,
                "unconfirmed" => books.unconfirmed += rows,
                "refused" => books.refused += rows,
                "test" => books.test += rows,
                other => anyhow::bail!("a notification has the verdict {other}"),
            }
        }
        Ok(books)
    }

    /// Everything that became of what was accepted.
    pub fn accounted(&self) -> i64 {
        self.applied
            + self.duplicate
            + self.stale
            + self.unconfirmed
            + self.refused
            + self.test
            + self.dead
            + self.in_flight
    }

    /// Whether what was accepted is accounted for, with nothing left to happen.
    ///
    /// # Errors
    /// What is wrong.
    pub fn balance(&self) -> Result<(), &'static str> {
        if self.accepted != self.accounted() {
            return Err("the loss ledger does not close");
        }
        if self.unconfirmed + self.in_flight + self.outstanding > 0 {
            return Err("something is still under way");
        }
        if self.dead > 0 {
            return Err("there are dead letters");
        }
        Ok(())
    }
}

/// The database's clock.
pub(super) async fn now(pool: &PgPool) -> anyhow::Result<OffsetDateTime> {
    let now = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool);
    now.await.context("the database does not answer")
}

/// From the customer's payment to the transaction that stored its notification, both by the
/// database's clock; `None` where nobody paid.
pub(super) async fn lag(pool: &PgPool, order: &Order<'_>) -> anyhow::Result<Option<Duration>> {
    let Some(paid_at) = order.paid_at() else {
        return Ok(None);
    };
    let stored: Option<OffsetDateTime> = sqlx::query_scalar(
        "SELECT min(created_at) FROM payment_webhook_events
         WHERE order_id = $1 AND created_at >= $2
           AND raw_body ->> 'transaction_status' IN ('settlement', 'capture')",
    )
    .bind(order.session())
    .bind(paid_at)
    .fetch_one(pool)
    .await?;
    Ok(stored.and_then(|stored| Duration::try_from(stored - paid_at).ok()))
}

async fn verdicts(pool: &PgPool, sessions: &[String]) -> sqlx::Result<Vec<(String, i64, i64)>> {
    let counted = sqlx::query_as(
        "SELECT verdict, count(*), sum(deliveries)::bigint FROM payment_webhook_events
         WHERE order_id = ANY($1) GROUP BY verdict",
    );
    counted.bind(sessions).fetch_all(pool).await
}

async fn confirmed(pool: &PgPool, sessions: &[String]) -> sqlx::Result<i64> {
    let counted = sqlx::query_scalar(
        "SELECT count(*) FROM payment_transactions t JOIN payments p ON p.id = t.payment_id
         WHERE t.confirmed_at IS NOT NULL AND p.session_id = ANY($1)",
    );
    counted.bind(sessions).fetch_one(pool).await
}

async fn dead_letters(pool: &PgPool, since: OffsetDateTime) -> sqlx::Result<i64> {
    let counted = sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE created_at >= $1");
    counted.bind(since).fetch_one(pool).await
}

/// Messages in the queues that a notification passes through; jobs have a queue of their own.
async fn waiting(broker: &lapin::Connection) -> anyhow::Result<i64> {
    let mut waiting = 0;
    for queue in topology::queue_names() {
        if queue == topology::JOBS_QUEUE {
            continue;
        }
        let depth = topology::queue_depth(broker, &queue).await?;
        waiting += i64::from(depth.context("a queue is missing")?.ready);
    }
    Ok(waiting)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_closes_only_when_all_is_accounted_for_and_over() {
        let books = Books {
            accepted: 7,
            applied: 3,
            duplicate: 2,
            stale: 1,
            test: 1,
            ..Books::default()
        };
        assert_eq!(books.balance(), Ok(()));
        let lost = Books {
            accepted: 8,
            ..books
        };
        assert!(lost.balance().is_err());
        let waiting = Books {
            in_flight: 1,
            ..lost
        };
        assert!(waiting.balance().is_err());
        let dead = Books { dead: 1, ..lost };
        assert!(dead.balance().is_err());
    }
}
