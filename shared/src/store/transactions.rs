//! Midtrans' transactions of the payment sessions.

use time::OffsetDateTime;

use super::columns::columns;
use super::{Store, StoreError, Txn};

/// One Midtrans `transaction_id`, as stored and as written.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionRow {
    /// The session it belongs to.
    pub payment_id: i64,
    /// Midtrans' id; text, not a UUID.
    pub midtrans_transaction_id: String,
    /// Midtrans' word.
    pub status: String,
    /// Midtrans' word.
    pub fraud_status: Option<String>,
    /// Midtrans' word.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// Rupiah.
    pub gross_amount: i64,
    /// Rupiah, of all refunds so far.
    pub refunded_amount: i64,
    /// Rupiah before the gateway's fee, where it says so.
    pub original_amount: Option<i64>,
    /// When it was created.
    pub transaction_time: Option<OffsetDateTime>,
    /// When the money was booked.
    pub settlement_time: Option<OffsetDateTime>,
    /// When it ends unpaid.
    pub expiry_time: Option<OffsetDateTime>,
    /// When the status API last said so.
    pub confirmed_at: Option<OffsetDateTime>,
    /// When what the row says was true at the latest.
    pub as_of: Option<OffsetDateTime>,
}

impl Store {
    /// The transactions of the given payments, and those of the given ids wherever they belong.
    pub async fn transactions_find_in_txn(
        &self,
        txn: &mut Txn,
        payments: &[i64],
        ids: &[&str],
    ) -> Result<Vec<TransactionRow>, StoreError> {
        sqlx::query_as!(
            TransactionRow,
            r#"
            SELECT payment_id, midtrans_transaction_id, status, fraud_status, payment_type,
                   payment_channel, gross_amount, refunded_amount, original_amount,
                   transaction_time, settlement_time, expiry_time, confirmed_at, as_of
            FROM payment_transactions
            WHERE payment_id = ANY($1::bigint[]) OR midtrans_transaction_id = ANY($2::text[])
            ORDER BY midtrans_transaction_id
            "#,
            payments,
            ids as _,
        )
        .fetch_all(&mut **txn)
        .await
        .map_err(StoreError::of("reading transactions"))
    }

    /// Writes transactions, new and changed ones alike. One that belongs to another payment is a
    /// contradiction that the caller has ruled out; the payment it is stored under never changes.
    pub async fn transactions_upsert_in_txn(
        &self,
        txn: &mut Txn,
        rows: &[TransactionRow],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        columns!(rows,
            payments: |r| r.payment_id,
            ids: |r| r.midtrans_transaction_id.as_str(),
            statuses: |r| r.status.as_str(),
            frauds: |r| r.fraud_status.as_deref(),
            types: |r| r.payment_type.as_deref(),
            channels: |r| r.payment_channel.as_deref(),
            amounts: |r| r.gross_amount,
            refunded: |r| r.refunded_amount,
            originals: |r| r.original_amount,
            created: |r| r.transaction_time,
            settled: |r| r.settlement_time,
            expiring: |r| r.expiry_time,
            confirmed: |r| r.confirmed_at,
            as_of: |r| r.as_of,
        );
        sqlx::query_file!(
            "src/store/transactions_upsert.sql",
            &payments,
            ids as _,
            statuses as _,
            frauds as _,
            types as _,
            channels as _,
            &amounts,
            &refunded,
            originals as _,
            created as _,
            settled as _,
            expiring as _,
            confirmed as _,
            as_of as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("writing transactions"))?;
        Ok(())
    }
}
