//! What went wrong in PostgreSQL, and whose fault it is.

use crate::domain::outcome::{Class, Classify, DeadReason};

/// A statement that failed. The text names the step; the driver's words are the source.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct StoreError {
    operation: &'static str,
    kind: StoreErrorKind,
    #[source]
    source: sqlx::Error,
}

/// The kinds of failure, by what can be done about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The database is away, starting, stopping, full or read-only: nobody's fault.
    Unavailable,
    /// Deadlock, serialization failure or lock time-out: again at once.
    Contention,
    /// A constraint or a cast refused the values: repeating will not help.
    Refused {
        /// The constraint's name, where there is one.
        constraint: Option<String>,
    },
    /// The schema is not the one this code was written for.
    SchemaMismatch,
    /// Anything else.
    Unclassified,
}

impl StoreError {
    /// For `map_err`: wraps a driver's error with the step it happened in.
    pub(crate) fn of(operation: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self {
            operation,
            kind: StoreErrorKind::of(&source),
            source,
        }
    }

    /// The database answered, but only as a read-only standby.
    pub(crate) fn read_only() -> Self {
        Self {
            operation: "finding a writable database",
            kind: StoreErrorKind::Unavailable,
            source: sqlx::Error::PoolTimedOut,
        }
    }

    /// What can be done about it.
    pub fn kind(&self) -> &StoreErrorKind {
        &self.kind
    }

    /// True for deadlocks and their kin: the same call may succeed at once.
    pub fn is_contention(&self) -> bool {
        self.kind == StoreErrorKind::Contention
    }

    /// True when this constraint refused the values.
    pub fn violates(&self, constraint: &str) -> bool {
        matches!(&self.kind, StoreErrorKind::Refused { constraint: Some(name) } if name == constraint)
    }

    /// True when a constraint forbids it.
    pub fn is_refused(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Refused { .. })
    }

    /// True when the database is away.
    pub fn is_unavailable(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }
}

impl StoreErrorKind {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                Self::of_sqlstate(&code, refusal.constraint())
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable,
            sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::TypeNotFound { .. } => Self::SchemaMismatch,
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) => Self::Refused { constraint: None },
            _ => Self::Unclassified,
        }
    }

    /// By SQLSTATE. Permission denied (42501), read-only (25006), "cancelled" (57014, our own
    /// statement time-out under load) and a transaction that stood still (25P03, 25P04: this process
    /// was frozen) hit every message alike, so no message is blamed for them.
    fn of_sqlstate(code: &str, constraint: Option<&str>) -> Self {
        match code {
            "25006" | "25P03" | "25P04" | "42501" | "57014" | "58030" => return Self::Unavailable,
            "55P03" => return Self::Contention,
            _ => {}
        }
        match code.get(..2) {
            Some("08" | "53" | "57" | "28" | "3D") => Self::Unavailable,
            Some("40") => Self::Contention,
            // 54: a value too long for an index, or too deep.
            Some("22" | "23" | "54") => Self::Refused {
                constraint: constraint.map(str::to_owned),
            },
            Some("42") => Self::SchemaMismatch,
            _ => Self::Unclassified,
        }
    }
}

impl Classify for StoreError {
    fn classify(&self) -> Class {
        match &self.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Contention => Class::Wait,
            StoreErrorKind::Refused { .. } => Class::Dead(DeadReason::ConstraintViolation),
            StoreErrorKind::SchemaMismatch => Class::Dead(DeadReason::SchemaMismatch),
            StoreErrorKind::Unclassified => Class::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StoreErrorKind as Kind;

    #[test]
    fn each_sqlstate_has_the_class_the_rules_name() {
        let refused = |name: &str| Kind::Refused {
            constraint: Some(name.to_owned()),
        };
        let cases = [
            ("08006", Kind::Unavailable),
            ("53100", Kind::Unavailable),
            ("53300", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("57P03", Kind::Unavailable),
            ("25006", Kind::Unavailable),
            ("25P03", Kind::Unavailable),
            ("40001", Kind::Contention),
            ("40P01", Kind::Contention),
            ("55P03", Kind::Contention),
            ("22P05", refused("c")),
            ("23514", refused("c")),
            ("54000", refused("c")),
            ("42703", Kind::SchemaMismatch),
            ("XX000", Kind::Unclassified),
        ];
        for (code, kind) in cases {
            assert_eq!(Kind::of_sqlstate(code, Some("c")), kind, "{code}");
        }
    }
}
