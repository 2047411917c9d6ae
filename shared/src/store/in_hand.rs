//! Messages that came back and are being handled. A row that is still there when its message comes
//! again tells that whoever handled it died of it, or at least meanwhile.

use super::columns::columns;
use super::dead_letters::NewDeadLetter;
use super::{Store, StoreError, Txn};

impl Store {
    /// Notes that a message is being handled; `false` when somebody noted it before and did not
    /// finish.
    pub async fn in_hand_take(&self, queue: &str, body: &[u8]) -> Result<bool, StoreError> {
        let noted = sqlx::query!(
            r#"
            INSERT INTO messages_in_hand (queue, digest) VALUES ($1, sha256($2))
            ON CONFLICT DO NOTHING
            "#,
            queue,
            body,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("noting a message that came back"))?;
        Ok(noted.rows_affected() > 0)
    }

    /// Notes that a message was handled, whatever came of it.
    pub async fn in_hand_put_down(&self, queue: &str, body: &[u8]) -> Result<(), StoreError> {
        sqlx::query!(
            "DELETE FROM messages_in_hand WHERE queue = $1 AND digest = sha256($2)",
            queue,
            body,
        )
        .execute(self.pool())
        .await
        .map_err(StoreError::of("noting that a message was handled"))?;
        Ok(())
    }

    /// The same for messages that nobody handled to the end.
    pub async fn in_hand_put_down_in_txn(
        &self,
        txn: &mut Txn,
        letters: &[NewDeadLetter<'_>],
    ) -> Result<(), StoreError> {
        columns!(letters,
            queues: |l| l.queue.as_deref(),
            payloads: |l| l.payload,
        );
        sqlx::query!(
            r#"
            DELETE FROM messages_in_hand h
            USING unnest($1::text[], $2::bytea[]) AS l (queue, payload)
            WHERE h.queue = l.queue AND h.digest = sha256(l.payload)
            "#,
            queues as _,
            payloads as _,
        )
        .execute(&mut **txn)
        .await
        .map_err(StoreError::of("noting that messages died"))?;
        Ok(())
    }
}
