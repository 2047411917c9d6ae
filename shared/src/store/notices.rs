//! Notifications other than the classic one, one row per distinct notice, with their verdict.

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// A notice that came before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNotice {
    /// SHA-256 of what makes it distinct.
    pub event_key: Vec<u8>,
    /// When it first came; with the key it names the row.
    pub received_at: OffsetDateTime,
    /// What was decided.
    pub verdict: String,
}

/// What a payout, account or subscription was last said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownState {
    /// What kind of notice told.
    pub kind: String,
    /// What it is about.
    pub external_id: String,
    /// A state that was applied.
    pub status: String,
}

/// A notice to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// SHA-256 of what makes it distinct.
    pub event_key: Vec<u8>,
    /// When ingest took it.
    pub received_at: OffsetDateTime,
    /// What kind it is.
    pub kind: &'static str,
    /// What it is about.
    pub external_id: String,
    /// What that is said to be.
    pub status: Option<String>,
    /// What the status API is asked about.
    pub transaction_id: Option<String>,
    /// The body, JSON.
    pub raw_body: String,
    /// Whether a signature vouches for it.
    pub is_verified: bool,
    /// What was decided.
    pub verdict: &'static str,
    /// Why, where the verdict needs a word.
    pub processing_error: Option<String>,
    /// How often it came in this batch.
    pub deliveries: i32,
}

/// A change to a stored notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeUpdate {
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
    /// Holds back everybody else who has notices about one of these, until the transaction ends.
    /// The numbers are locked in their order, so that nobody waits in a circle.
    pub async fn notices_lock_in_txn(
        &self,
        txn: &mut Txn,
        subjects: &[String],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            SELECT pg_advisory_xact_lock(number) FROM (
                SELECT DISTINCT hashtextextended('notice:' || subject, 0) AS number
                FROM unnest($1::text[]) AS s (subject)
                ORDER BY number) AS numbers
            "#,
            subjects,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("locking what notices are about"))?;
        Ok(())
    }

    /// Those of the given keys that came before.
    pub async fn notices_find_in_txn(
        &self,
        txn: &mut Txn,
        keys: &[Vec<u8>],
    ) -> Result<Vec<StoredNotice>, StoreError> {
        sqlx::query_as!(
            StoredNotice,
            r#"
            SELECT event_key, received_at, verdict
            FROM other_notifications WHERE event_key = ANY($1::bytea[])
            "#,
            keys,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("looking for notices that came before"))
    }

    /// Every state that was applied of these things.
    pub async fn notices_states_in_txn(
        &self,
        txn: &mut Txn,
        kinds: &[&str],
        external_ids: &[&str],
    ) -> Result<Vec<KnownState>, StoreError> {
        sqlx::query_as!(
            KnownState,
            r#"
            SELECT DISTINCT n.kind, n.external_id, n.status AS "status!"
            FROM other_notifications n
            JOIN unnest($1::text[], $2::text[]) AS s (kind, external_id)
                ON n.kind = s.kind AND n.external_id = s.external_id
            WHERE n.verdict = 'applied' AND n.status IS NOT NULL
            "#,
            kinds as _,
            external_ids as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading what notices said before"))
    }

    /// Stores notices that never came before.
    pub async fn notices_insert_in_txn(
        &self,
        txn: &mut Txn,
        notices: &[NewNotice],
    ) -> Result<(), StoreError> {
        if notices.is_empty() {
            return Ok(());
        }
        columns!(notices,
            keys: |n| n.event_key.as_slice(),
            received: |n| n.received_at,
            kinds: |n| n.kind,
            ids: |n| n.external_id.as_str(),
            statuses: |n| n.status.as_deref(),
            transactions: |n| n.transaction_id.as_deref(),
            bodies: |n| n.raw_body.as_str(),
            verified: |n| n.is_verified,
            verdicts: |n| n.verdict,
            errors: |n| n.processing_error.as_deref(),
            deliveries: |n| n.deliveries,
        );
        sqlx::query!(
            r#"
            INSERT INTO other_notifications (
                event_key, received_at, kind, external_id, status, transaction_id, raw_body,
                is_verified, verdict, processing_error, deliveries, processed)
            SELECT n.key, n.received_at, n.kind, n.external_id, n.status, n.transaction_id,
                   n.body::jsonb - 'signature_key', n.verified, n.verdict, n.error, n.deliveries,
                   n.verdict NOT IN ('unconfirmed', 'dead')
            FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::text[],
                        $6::text[], $7::text[], $8::bool[], $9::text[], $10::text[], $11::int[])
                AS n (key, received_at, kind, external_id, status, transaction_id, body, verified,
                      verdict, error, deliveries)
            "#,
            keys as _,
            &received,
            kinds as _,
            ids as _,
            statuses as _,
            transactions as _,
            bodies as _,
            &verified,
            verdicts as _,
            errors as _,
            &deliveries,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("storing notices"))?;
        Ok(())
    }

    /// Counts repeated deliveries and writes changed verdicts.
    pub async fn notices_update_in_txn(
        &self,
        txn: &mut Txn,
        updates: &[NoticeUpdate],
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
            UPDATE other_notifications n
            SET verdict = u.verdict,
                processed = u.verdict NOT IN ('unconfirmed', 'dead'),
                processing_error = u.error,
                deliveries = n.deliveries + u.more,
                updated_at = now()
            FROM unnest($1::bytea[], $2::timestamptz[], $3::text[], $4::text[], $5::int[])
                AS u (key, received_at, verdict, error, more)
            WHERE n.event_key = u.key AND n.received_at = u.received_at
            "#,
            keys as _,
            &received,
            verdicts as _,
            errors as _,
            &more,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing verdicts of notices"))?;
        Ok(())
    }

    /// The session that a transaction is stored under: the status API may name the transaction
    /// instead of it.
    pub async fn notices_session_of(
        &self,
        transaction_id: &str,
    ) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar!(
            r#"
            SELECT p.session_id FROM payment_transactions t JOIN payments p ON p.id = t.payment_id
            WHERE t.midtrans_transaction_id = $1
            "#,
            transaction_id,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::of("looking for the session of a transaction"))
    }

    /// Gives a notice that waits for the status API its verdict; one that no longer waits keeps
    /// what it has.
    pub async fn notices_settle(
        &self,
        event_key: &[u8],
        verdict: &str,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            r#"
            UPDATE other_notifications
            SET verdict = $2, processed = true, processing_error = $3, updated_at = now()
            WHERE event_key = $1 AND verdict = 'unconfirmed'
            "#,
            event_key,
            verdict,
            why,
        )
        .execute(&self.pool)
        .await
        .map_err(StoreError::of("settling a notice"))?;
        Ok(())
    }
}
