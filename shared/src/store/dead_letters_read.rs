//! Reading dead letters: by filter, in groups, one with all its details.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Store, StoreError};

/// Which dead letters are meant; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only these.
    pub ids: Option<Vec<i64>>,
    /// `dead`, `replaying`, `replayed` or `discarded`.
    pub status: Option<String>,
    /// Why they died.
    pub reason: Option<String>,
    /// What they died of.
    pub fingerprint: Option<String>,
    /// The order's code, or the id of one of its sessions.
    pub order_code: Option<String>,
    /// Last failed at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Last failed before this time.
    pub until: Option<OffsetDateTime>,
    /// A text in the order's code, the session, the error or the payload.
    pub q: Option<String>,
    /// In this replay, and not handled by it yet.
    pub pending_in: Option<Uuid>,
}

/// A dead letter without its payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetterRow {
    /// Primary key.
    pub id: i64,
    /// `dead`, `replaying`, `replayed` or `discarded`.
    pub status: String,
    /// Why it died: a code.
    pub reason: String,
    /// What it died of.
    pub fingerprint: String,
    /// The error and its causes.
    pub error_chain: Option<String>,
    /// How often it was tried.
    pub attempts: i32,
    /// The work queue it died in.
    pub queue: Option<String>,
    /// Where a replay publishes it.
    pub routing_key: String,
    /// The order, as far as it is known.
    pub order_code: Option<String>,
    /// Midtrans' order id, as far as it is known.
    pub session_id: Option<String>,
    /// Rupiah, as far as they are known.
    pub amount: Option<i64>,
    /// Size of the payload.
    pub payload_bytes: i32,
    /// When it first failed.
    #[serde(with = "time::serde::rfc3339")]
    pub first_failed_at: OffsetDateTime,
    /// When it last failed.
    #[serde(with = "time::serde::rfc3339")]
    pub last_failed_at: OffsetDateTime,
    /// The replay that has it or had it last.
    pub replay_id: Option<Uuid>,
    /// When it was kept.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// Dead letters that died of the same thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetterGroup {
    /// What they died of.
    pub fingerprint: String,
    /// Why they died: a code.
    pub reason: String,
    /// How many they are.
    pub count: i64,
    /// Rupiah in them, as far as they are known.
    pub amount: i64,
    /// The newest one's error and its causes.
    pub error_chain: Option<String>,
    /// The newest one.
    pub newest_id: i64,
    /// When the first of them failed first.
    #[serde(with = "time::serde::rfc3339")]
    pub first_failed_at: OffsetDateTime,
    /// When the last of them failed last.
    #[serde(with = "time::serde::rfc3339")]
    pub last_failed_at: OffsetDateTime,
}

/// What a message was, besides its row.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterContent {
    /// Primary key.
    pub id: i64,
    /// Where a replay publishes it.
    pub routing_key: String,
    /// The body, untouched.
    pub payload: Vec<u8>,
    /// Everything else it carried.
    pub headers: Value,
}

/// What an operator did with a dead letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetterAction {
    /// `replay` or `discard`.
    pub action: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub why: String,
    /// What came of it.
    pub result: String,
    /// By which replay.
    pub replay_id: Option<Uuid>,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// What an order and a payment are now that a dead letter speaks of.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterPresent {
    /// The dead letter.
    pub id: i64,
    /// The order it belongs to.
    pub order_code: Option<String>,
    /// What the order is.
    pub order_status: Option<String>,
    /// What the session is.
    pub payment_status: Option<String>,
}

/// A query over the dead letters that a filter names: `select`, then what follows the `WHERE`,
/// then the parameters from `$10` on. The macro keeps one text of the condition for all of them.
macro_rules! filtered {
    ($macro:ident[$($row:ident)?], $select:tt, $tail:tt, $filter:expr $(, $more:expr)*) => {
        sqlx::$macro!(
            $($row,)?
            $select + r#"
            FROM dead_letters d
            WHERE ($1::bigint[] IS NULL OR d.id = ANY($1))
              AND ($2::text IS NULL OR d.status = $2)
              AND ($3::text IS NULL OR d.reason = $3)
              AND ($4::text IS NULL OR d.fingerprint = $4)
              AND ($5::text IS NULL OR d.order_code = $5 OR d.session_id = $5)
              AND ($6::timestamptz IS NULL OR d.last_failed_at >= $6)
              AND ($7::timestamptz IS NULL OR d.last_failed_at < $7)
              AND ($8::text IS NULL
                   OR strpos(lower(concat_ws(' ', d.order_code, d.session_id, d.reason,
                                             d.error_chain)), lower($8)) > 0
                   OR position(convert_to($8, 'UTF8') IN d.payload) > 0)
              AND ($9::uuid IS NULL OR EXISTS (
                   SELECT FROM dead_letter_replay_items i
                   WHERE i.replay_id = $9 AND i.dead_letter_id = d.id AND i.state = 'pending'))
            "# + $tail,
            $filter.ids.as_deref(),
            $filter.status.as_deref(),
            $filter.reason.as_deref(),
            $filter.fingerprint.as_deref(),
            $filter.order_code.as_deref(),
            $filter.since,
            $filter.until,
            $filter.q.as_deref(),
            $filter.pending_in
            $(, $more)*
        )
    };
}

impl Store {
    /// The newest dead letters that the filter names, before the one with the given id.
    pub async fn dead_letters_list(
        &self,
        filter: &DeadLetterFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<DeadLetterRow>, StoreError> {
        filtered!(
            query_as[DeadLetterRow],
            r#"
                SELECT d.id, d.status, d.reason, d.fingerprint, d.error_chain, d.attempts,
                       d.queue, d.routing_key, d.order_code, d.session_id, d.amount,
                       octet_length(d.payload) AS "payload_bytes!", d.first_failed_at,
                       d.last_failed_at, d.replay_id, d.created_at
                "#,
            r#" AND ($10::bigint IS NULL OR d.id < $10) ORDER BY d.id DESC LIMIT $11"#,
            filter,
            before,
            limit
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("listing dead letters"))
    }

    /// The ids that the filter names, oldest first.
    pub async fn dead_letters_ids(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<i64>, StoreError> {
        filtered!(
            query_scalar[], r#"SELECT d.id"#, r#" ORDER BY d.id"#,
            filter
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("selecting dead letters"))
    }

    /// The dead letters that the filter names by what they died of, the largest group first.
    pub async fn dead_letters_groups(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetterGroup>, StoreError> {
        filtered!(
            query_as[DeadLetterGroup],
            r#"
                SELECT d.fingerprint, d.reason, count(*) AS "count!",
                       coalesce(sum(d.amount), 0)::bigint AS "amount!",
                       (array_agg(d.error_chain ORDER BY d.id DESC))[1] AS error_chain,
                       max(d.id) AS "newest_id!",
                       min(d.first_failed_at) AS "first_failed_at!",
                       max(d.last_failed_at) AS "last_failed_at!"
                "#,
            r#" GROUP BY d.fingerprint, d.reason ORDER BY count(*) DESC, max(d.id) DESC"#,
            filter
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("grouping dead letters"))
    }

    /// Rupiah in dead letters that nobody has settled.
    pub async fn dead_letters_rupiah(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT coalesce(sum(amount), 0)::bigint AS "rupiah!" FROM dead_letters
            WHERE status IN ('dead', 'replaying')
            "#
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::of("adding up dead letters"))
    }

    /// Payloads and headers of the given dead letters, by id.
    pub async fn dead_letters_contents(
        &self,
        ids: &[i64],
    ) -> Result<Vec<DeadLetterContent>, StoreError> {
        sqlx::query_as!(
            DeadLetterContent,
            r#"
            SELECT id, routing_key, payload, headers FROM dead_letters
            WHERE id = ANY($1::bigint[]) ORDER BY id
            "#,
            ids,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("reading dead letters"))
    }

    /// What was done with a dead letter, oldest first.
    pub async fn dead_letters_actions(&self, id: i64) -> Result<Vec<DeadLetterAction>, StoreError> {
        sqlx::query_as!(
            DeadLetterAction,
            r#"
            SELECT action, actor, why, result, replay_id, created_at
            FROM dead_letter_actions WHERE dead_letter_id = $1 ORDER BY id
            "#,
            id,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("reading what was done with a dead letter"))
    }

    /// What the given dead letters' orders and payments are now, by id.
    pub async fn dead_letters_present(
        &self,
        ids: &[i64],
    ) -> Result<Vec<DeadLetterPresent>, StoreError> {
        sqlx::query_as!(
            DeadLetterPresent,
            r#"
            SELECT d.id, d.order_code, o.status AS "order_status?", p.status AS "payment_status?"
            FROM dead_letters d
            LEFT JOIN payments p ON p.session_id = d.session_id
            LEFT JOIN orders o ON o.order_code = d.order_code
            WHERE d.id = ANY($1::bigint[]) ORDER BY d.id
            "#,
            ids,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("reading what dead letters speak of"))
    }
}
