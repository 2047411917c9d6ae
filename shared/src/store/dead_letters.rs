//! Dead letters: keeping them and settling them by hand. Reading them is in
//! [`dead_letters_read`](super::dead_letters_read), publishing them again in
//! [`replays`](super::replays).

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::columns::columns;
use super::events::NewEvent;
use super::{Store, StoreError, Txn};

/// A dead letter to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDeadLetter<'a> {
    /// Names this death of this message; SHA-256 in hexadecimal.
    pub letter_key: String,
    /// The work queue it died in.
    pub queue: Option<String>,
    /// Where a replay publishes it.
    pub routing_key: String,
    /// The body, untouched.
    pub payload: &'a [u8],
    /// Everything else it carried.
    pub headers: Map<String, Value>,
    /// Why it is dead: a code.
    pub reason: String,
    /// The error and its causes.
    pub error_chain: Option<String>,
    /// Equal for letters that died of the same thing.
    pub fingerprint: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The order's code, when the payload names it.
    pub order_code: Option<String>,
    /// Midtrans' order id, when the payload names it.
    pub session_id: Option<String>,
    /// The session id without the number of its attempt, when it has one.
    pub session_stem: Option<String>,
    /// Rupiah, when the payload names them.
    pub amount: Option<i64>,
    /// When it first failed; now, when that is not known.
    pub first_failed_at: Option<OffsetDateTime>,
    /// When it last failed; now, when that is not known.
    pub last_failed_at: Option<OffsetDateTime>,
}

impl Store {
    /// Keeps dead letters; answers the keys of those that were not there yet. The order's code is
    /// that of the order the session belongs to, or else the session id.
    pub async fn dead_letters_insert_in_txn(
        &self,
        txn: &mut Txn,
        letters: &[NewDeadLetter<'_>],
    ) -> Result<Vec<String>, StoreError> {
        columns!(letters,
            keys: |l| l.letter_key.as_str(),
            queues: |l| l.queue.as_deref(),
            routes: |l| l.routing_key.as_str(),
            payloads: |l| l.payload,
            headers: |l| Value::Object(l.headers.clone()),
            reasons: |l| l.reason.as_str(),
            errors: |l| l.error_chain.as_deref(),
            prints: |l| l.fingerprint.as_str(),
            attempts: |l| l.attempts,
            orders: |l| l.order_code.as_deref(),
            sessions: |l| l.session_id.as_deref(),
            stems: |l| l.session_stem.as_deref(),
            amounts: |l| l.amount,
            first: |l| l.first_failed_at,
            last: |l| l.last_failed_at,
        );
        sqlx::query_scalar!(
            r#"
            INSERT INTO dead_letters (
                letter_key, queue, routing_key, payload, headers, reason, error_chain, fingerprint,
                attempts, order_code, session_id, amount, first_failed_at, last_failed_at)
            SELECT l.key, l.queue, l.route, l.payload, l.headers, l.reason, l.error, l.print,
                   l.attempts, coalesce(l.order_code,
                       (SELECT o.order_code FROM payments p JOIN orders o ON o.id = p.order_id
                        WHERE p.session_id = l.session),
                       (SELECT max(o.order_code) FROM orders o
                        WHERE o.order_code IN (l.session, l.stem)), l.session),
                   l.session, l.amount,
                   least(coalesce(l.first_at, l.last_at, now()), coalesce(l.last_at, now())),
                   coalesce(l.last_at, now())
            FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::jsonb[], $6::text[],
                        $7::text[], $8::text[], $9::int[], $10::text[], $11::text[], $12::text[],
                        $13::bigint[], $14::timestamptz[], $15::timestamptz[]) WITH ORDINALITY
                AS l (key, queue, route, payload, headers, reason, error, print, attempts,
                      order_code, session, stem, amount, first_at, last_at, arrival)
            ORDER BY l.arrival
            ON CONFLICT (letter_key) DO NOTHING RETURNING letter_key
            "#,
            keys as _,
            queues as _,
            routes as _,
            payloads as _,
            &headers,
            reasons as _,
            errors as _,
            prints as _,
            &attempts,
            orders as _,
            sessions as _,
            stems as _,
            amounts as _,
            first as _,
            last as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("keeping dead letters"))
    }

    /// Stores notifications that died before they were ever recorded, so that every accepted
    /// notification has a verdict and a replay is processed rather than taken for a repetition.
    /// Those that are recorded already stay as they are.
    ///
    /// The sessions' payments are locked, as for every writer of this table. A session that has no
    /// payment yet offers nothing to lock; then a second row can only come from a worker that
    /// records the same notification at the same moment.
    pub async fn dead_letters_record_events_in_txn(
        &self,
        txn: &mut Txn,
        events: &[NewEvent<'_>],
    ) -> Result<(), StoreError> {
        columns!(events,
            keys: |e| e.event_key,
            received: |e| e.received_at,
            orders: |e| e.order_id,
            transactions: |e| e.midtrans_transaction_id,
            bodies: |e| e.raw_body,
            signatures: |e| e.signature_key,
            errors: |e| e.processing_error,
        );
        self.payments_lock_in_txn(txn, &orders, &[]).await?;
        sqlx::query!(
            r#"
            INSERT INTO payment_webhook_events (
                event_key, received_at, order_id, midtrans_transaction_id, raw_body,
                signature_key, verdict, processing_error, processed)
            SELECT DISTINCT ON (e.key)
                   e.key, e.received_at, e.order_id, e.transaction_id, e.body::jsonb,
                   e.signature, 'dead', e.error, false
            FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::text[],
                        $6::text[], $7::text[])
                AS e (key, received_at, order_id, transaction_id, body, signature, error)
            WHERE NOT EXISTS (
                SELECT FROM payment_webhook_events known WHERE known.event_key = e.key)
            ORDER BY e.key, e.received_at
            ON CONFLICT DO NOTHING
            "#,
            keys as _,
            &received,
            orders as _,
            transactions as _,
            bodies as _,
            signatures as _,
            errors as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("recording notifications that died"))?;
        Ok(())
    }

    /// Discards those of the given letters that are dead, with an action row each; answers which.
    pub async fn dead_letters_discard(
        &self,
        ids: &[i64],
        actor: &str,
        why: &str,
    ) -> Result<Vec<i64>, StoreError> {
        sqlx::query_scalar!(
            r#"
            WITH discarded AS (
                UPDATE dead_letters
                SET status = 'discarded', discarded_at = now(), updated_at = now()
                WHERE id = ANY($1::bigint[]) AND status = 'dead'
                RETURNING id)
            INSERT INTO dead_letter_actions (dead_letter_id, action, actor, why, result)
            SELECT id, 'discard', $2, $3, 'discarded' FROM discarded ORDER BY id
            RETURNING dead_letter_id
            "#,
            ids,
            actor,
            why,
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::of("discarding dead letters"))
    }
}
