//! What became of a message: settled, or one of three failures.

/// Whatever can fail says whose fault it is.
pub trait Classify {
    /// The class of this failure.
    fn classify(&self) -> Failure;
}

/// Why a message can never succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadReason {
    /// A constraint or a cast refused the values.
    ConstraintViolation,
    /// The schema is not the one this code was written for.
    SchemaMismatch,
}

/// A failure and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure(Option<Option<DeadReason>>);

impl Failure {
    /// Infrastructure is away: nobody's fault.
    pub fn wait() -> Self {
        Self(None)
    }
    /// This message failed and may succeed later.
    pub fn retry() -> Self {
        Self(Some(None))
    }
    /// This message can never succeed.
    pub fn dead(reason: DeadReason) -> Self {
        Self(Some(Some(reason)))
    }
}
