//! Which order a session could belong to: the look-up that comes before any lock.

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// One way a session may name its order, in order of preference (`rank`, lowest first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkCandidate<'a> {
    /// The Midtrans order id that asks.
    pub session_id: &'a str,
    /// The order of preference among the session's candidates.
    pub rank: i32,
    /// What names the order.
    pub key: LinkKey<'a>,
    /// Named by a field that no signature protects.
    pub unsigned: bool,
}

/// What names an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKey<'a> {
    /// An order's code.
    Code(&'a str),
    /// An order's id.
    Id(i64),
    /// The order whose `session_id` this session is.
    OwnSession,
}

/// What is known of a session before locking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkFound {
    /// The session.
    pub session_id: String,
    /// The candidate's rank; -1 for the session's own payment row.
    pub rank: i32,
    /// The order found. `None`: the payment exists without an order.
    pub order_id: Option<i64>,
    /// Where the session's payment comes from, in the row of rank -1.
    pub origin: Option<String>,
    /// Named by a field that no signature protects.
    pub unsigned: bool,
}

/// What a stored notification says about its order; no signature protects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkHint {
    /// The session.
    pub session_id: String,
    /// `metadata.order_id`.
    pub metadata_order_id: Option<String>,
    /// `custom_field1`.
    pub custom_field1: Option<String>,
}

impl Store {
    /// Looks every candidate up. A session with a payment answers a row of rank -1, also when that
    /// payment has no order yet.
    pub async fn links_find_in_txn(
        &self,
        txn: &mut Txn,
        sessions: &[&str],
        candidates: &[LinkCandidate<'_>],
    ) -> Result<Vec<LinkFound>, StoreError> {
        columns!(candidates,
            asking: |c| c.session_id,
            ranks: |c| c.rank,
            codes: |c| match c.key { LinkKey::Code(code) => Some(code), LinkKey::Id(_) | LinkKey::OwnSession => None },
            ids: |c| match c.key { LinkKey::Id(id) => Some(id), LinkKey::Code(_) | LinkKey::OwnSession => None },
            unsigned: |c| c.unsigned,
        );
        sqlx::query_as!(
            LinkFound,
            r#"
            WITH candidate AS (
                SELECT * FROM unnest($2::text[], $3::int[], $4::text[], $5::bigint[], $6::bool[])
                    AS c (session_id, rank, code, order_id, unsigned)
            )
            SELECT p.session_id AS "session_id!", -1 AS "rank!", p.order_id, p.origin,
                   false AS "unsigned!"
            FROM unnest($1::text[]) AS s (session_id)
            JOIN payments p ON p.session_id = s.session_id
            UNION ALL
            SELECT c.session_id, c.rank, o.id, NULL, c.unsigned
            FROM candidate c JOIN orders o ON o.order_code = c.code
            UNION ALL
            SELECT c.session_id, c.rank, o.id, NULL, c.unsigned
            FROM candidate c JOIN orders o ON o.id = c.order_id
            UNION ALL
            SELECT c.session_id, c.rank, o.id, NULL, c.unsigned
            FROM candidate c JOIN orders o ON o.session_id = c.session_id
            WHERE c.code IS NULL AND c.order_id IS NULL
            "#,
            sessions as _,
            asking as _,
            &ranks,
            codes as _,
            ids as _,
            &unsigned,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for the sessions' orders"))
    }

    /// What the stored notifications of these sessions say in the merchant's own fields.
    pub async fn links_hints_in_txn(
        &self,
        txn: &mut Txn,
        sessions: &[&str],
    ) -> Result<Vec<LinkHint>, StoreError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query_as!(
            LinkHint,
            r#"
            SELECT order_id AS session_id, raw_body -> 'metadata' ->> 'order_id' AS metadata_order_id,
                   coalesce(raw_body ->> 'custom_field1',
                            raw_body #>> '{additionalInfo,customField,1}') AS custom_field1
            FROM payment_webhook_events
            WHERE order_id = ANY($1::text[])
              AND (raw_body -> 'metadata' ->> 'order_id' IS NOT NULL
                   OR raw_body ->> 'custom_field1' IS NOT NULL
                   OR raw_body #>> '{additionalInfo,customField,1}' IS NOT NULL)
            ORDER BY received_at, event_key
            "#,
            sessions as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading what notifications say about their orders"))
    }
}
