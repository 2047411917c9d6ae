//! Notifications as they came, one row per distinct one, with their verdict.

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// What is stored of a notification that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// SHA-256 of what makes it distinct.
    pub event_key: Vec<u8>,
    /// When it first came; with the key it names the row.
    pub received_at: OffsetDateTime,
    /// What was decided.
    pub verdict: String,
}

/// A notification that waits for the status API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnconfirmedEvent {
    /// SHA-256 of what makes it distinct.
    pub event_key: Vec<u8>,
    /// When it first came.
    pub received_at: OffsetDateTime,
    /// The transaction it speaks of.
    pub midtrans_transaction_id: String,
    /// The session it names.
    pub order_id: String,
    /// The body as stored.
    pub raw_body: String,
}

/// A notification to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// SHA-256 of what makes it distinct.
    pub event_key: &'a [u8],
    /// When ingest took it.
    pub received_at: OffsetDateTime,
    /// Midtrans' order id.
    pub order_id: &'a str,
    /// Midtrans' transaction id.
    pub midtrans_transaction_id: &'a str,
    /// The body, JSON.
    pub raw_body: &'a str,
    /// The signature it came with.
    pub signature_key: Option<&'a str>,
    /// What was decided.
    pub verdict: &'static str,
    /// Why, where the verdict needs a word.
    pub processing_error: Option<&'a str>,
    /// How often it came in this batch.
    pub deliveries: i32,
}

/// A change to a stored notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventUpdate {
    /// SHA-256 of what makes it distinct.
    pub event_key: Vec<u8>,
    /// When it first came.
    pub received_at: OffsetDateTime,
    /// What is decided now.
    pub verdict: &'static str,
    /// Why, where the verdict needs a word.
    pub processing_error: Option<String>,
    /// How often it came again in this batch.
    pub more_deliveries: i32,
}

impl Store {
    /// Those of the given keys that came before.
    pub async fn events_find_in_txn(
        &self,
        txn: &mut Txn,
        keys: &[&[u8]],
    ) -> Result<Vec<StoredEvent>, StoreError> {
        sqlx::query_as!(
            StoredEvent,
            r#"
            SELECT event_key, received_at, verdict
            FROM payment_webhook_events WHERE event_key = ANY($1::bytea[])
            "#,
            keys as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for notifications that came before"))
    }

    /// The notifications of the given transactions that wait for the status API.
    pub async fn events_unconfirmed_in_txn(
        &self,
        txn: &mut Txn,
        transactions: &[&str],
    ) -> Result<Vec<UnconfirmedEvent>, StoreError> {
        sqlx::query_as!(
            UnconfirmedEvent,
            r#"
            SELECT event_key, received_at, midtrans_transaction_id, order_id,
                   raw_body::text AS "raw_body!"
            FROM payment_webhook_events
            WHERE verdict = 'unconfirmed' AND midtrans_transaction_id = ANY($1::text[])
            ORDER BY received_at, event_key
            "#,
            transactions as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading unconfirmed notifications"))
    }

    /// Stores notifications that never came before.
    pub async fn events_insert_in_txn(
        &self,
        txn: &mut Txn,
        events: &[NewEvent<'_>],
    ) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        columns!(events,
            keys: |e| e.event_key,
            received: |e| e.received_at,
            orders: |e| e.order_id,
            transactions: |e| e.midtrans_transaction_id,
            bodies: |e| e.raw_body,
            signatures: |e| e.signature_key,
            verdicts: |e| e.verdict,
            errors: |e| e.processing_error,
            deliveries: |e| e.deliveries,
        );
        sqlx::query!(
            r#"
            INSERT INTO payment_webhook_events (
                event_key, received_at, order_id, midtrans_transaction_id, raw_body,
                signature_key, verdict, processing_error, deliveries, processed)
            SELECT e.key, e.received_at, e.order_id, e.transaction_id, e.body::jsonb,
                   e.signature, e.verdict, e.error, e.deliveries,
                   e.verdict NOT IN ('unconfirmed', 'dead')
            FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::text[],
                        $6::text[], $7::text[], $8::text[], $9::int[])
                AS e (key, received_at, order_id, transaction_id, body, signature, verdict,
                      error, deliveries)
            "#,
            keys as _,
            &received,
            orders as _,
            transactions as _,
            bodies as _,
            signatures as _,
            verdicts as _,
            errors as _,
            &deliveries,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("storing notifications"))?;
        Ok(())
    }

    /// Counts repeated deliveries and writes changed verdicts.
    pub async fn events_update_in_txn(
        &self,
        txn: &mut Txn,
        updates: &[EventUpdate],
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        columns!(updates,
            keys: |u| u.event_key.as_slice(),
            received: |u| u.received_at,
            verdicts: |u| u.verdict,
            errors: |u| u.processing_error.as_deref(),
            more: |u| u.more_deliveries,
        );
        sqlx::query!(
            r#"
            UPDATE payment_webhook_events e
            SET verdict = u.verdict,
                processed = u.verdict NOT IN ('unconfirmed', 'dead'),
                processing_error = u.error,
                deliveries = e.deliveries + u.more,
                updated_at = now()
            FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::int[])
                AS u (key, received_at, verdict, error, more)
            WHERE e.event_key = u.key AND e.received_at = u.received_at
            "#,
            keys as _,
            &received,
            verdicts as _,
            errors as _,
            &more,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing verdicts"))?;
        Ok(())
    }
}
