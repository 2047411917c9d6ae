//! What happened to one order, counted: by the simulator's log and by the rows.

use std::fmt;

use sqlx::PgPool;

use super::order::Order;
use super::scene::Scene;

/// The counts of one order.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Requests to ingest, retries and copies included.
    pub sent: usize,
    /// Of these, retries of one that failed.
    pub retried: usize,
    /// What ingest answered to what the story posted itself and was not accepted.
    pub refused: Vec<u16>,
    /// Distinct notifications recorded.
    pub recorded: i64,
    /// Deliveries beyond the first of each.
    pub duplicates: i64,
    /// Recorded and changing nothing, because the transaction had gone on.
    pub stale: i64,
    /// The dashboard's tests among the recorded.
    pub test: i64,
    /// Transactions at Midtrans.
    pub transactions: i64,
    /// Transactions that the status API has confirmed.
    pub confirmed: i64,
    /// The payment was stored before its order.
    pub linked_later: bool,
    /// Rupiah of the order.
    pub ordered: i64,
    /// The largest amount of a transaction.
    pub paid: i64,
    /// By which way it first became known that it is paid: `webhook`, `reconcile`, `admin`, …
    pub settled_by: Option<String>,
}

impl Account {
    pub(super) async fn read(scene: &Scene, order: &Order<'_>) -> anyhow::Result<Self> {
        let session = order.session();
        let attempts = scene.attempts_of(&session).await?;
        let tries: Vec<u64> = attempts
            .iter()
            .filter_map(|attempt| attempt["attempt"].as_u64())
            .filter(|number| *number > 0)
            .collect();
        let answers = order.answers();
        let (recorded, duplicates, stale, test) = notifications(&scene.pool, &session).await?;
        let (transactions, confirmed, paid) = transactions(&scene.pool, &session).await?;
        let linked_later = linked_later(&scene.pool, &session).await?;
        Ok(Self {
            sent: tries.len() + answers.len(),
            retried: tries.iter().filter(|number| **number > 1).count(),
            refused: answers
                .into_iter()
                .filter(|status| *status != 200)
                .collect(),
            recorded,
            duplicates,
            stale,
            test,
            transactions,
            confirmed,
            linked_later,
            ordered: order.amount(),
            paid,
            settled_by: settled_by(&scene.pool, &session).await?,
        })
    }
}

impl fmt::Display for Account {
    /// In few words, leaving out what did not happen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sent", self.sent)?;
        let counts = [
            (i64::try_from(self.retried).unwrap_or(i64::MAX), "retried"),
            (self.duplicates, "duplicate"),
            (self.stale, "stale"),
            (self.confirmed, "confirmed"),
        ];
        for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {word}")?;
        }
        if self.linked_later {
            f.write_str(", linked")?;
        }
        self.refused
            .iter()
            .try_for_each(|status| write!(f, ", {status}"))
    }
}

async fn notifications(pool: &PgPool, session: &str) -> sqlx::Result<(i64, i64, i64, i64)> {
    let counted = sqlx::query_as(
        "SELECT count(*), coalesce(sum(deliveries - 1), 0)::bigint,
                count(*) FILTER (WHERE verdict = 'stale'),
                count(*) FILTER (WHERE verdict = 'test')
         FROM payment_webhook_events WHERE order_id = $1",
    );
    counted.bind(session).fetch_one(pool).await
}

async fn transactions(pool: &PgPool, session: &str) -> sqlx::Result<(i64, i64, i64)> {
    let counted = sqlx::query_as(
        "SELECT count(*), count(t.confirmed_at), coalesce(max(t.gross_amount), 0)
         FROM payments p JOIN payment_transactions t ON t.payment_id = p.id
         WHERE p.session_id = $1",
    );
    counted.bind(session).fetch_one(pool).await
}

async fn linked_later(pool: &PgPool, session: &str) -> sqlx::Result<bool> {
    let linked = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM payments p JOIN orders o ON o.id = p.order_id
                        WHERE p.session_id = $1 AND p.created_at < o.created_at)",
    );
    linked.bind(session).fetch_one(pool).await
}

async fn settled_by(pool: &PgPool, session: &str) -> sqlx::Result<Option<String>> {
    let told = sqlx::query_scalar(
        "SELECT sync_type FROM payment_sync_logs
         WHERE session_id = $1 AND to_status IN ('settlement', 'capture')
           AND event_type IN ('status_changed', 'reconcile_status_changed')
         ORDER BY id LIMIT 1",
    );
    told.bind(session).fetch_optional(pool).await
}
