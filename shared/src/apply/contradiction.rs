//! What an item may say that cannot be true beside what is stored.

/// A contradiction between an observation and the database.
#[derive(Debug, thiserror::Error)]
pub enum Contradiction {
    /// Midtrans' transaction ids are unique: one cannot belong to two sessions.
    #[error("transaction {transaction_id} belongs to another session than {session_id}")]
    TransactionOfAnotherSession {
        /// The transaction.
        transaction_id: String,
        /// The session that claims it.
        session_id: String,
    },
}
