//! Who goes first when there are more questions than the budget allows.

use std::time::Duration;

use super::limits::Limits;

/// How far ahead those who come last may take tokens: whoever waits for an answer comes after this
/// much of them at most.
const LAST: Duration = Duration::from_millis(250);

/// Who asks. All take their tokens from one row of due times; what sets them apart is how far ahead
/// they may: those who may look further find a token while the others wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Somebody waits for the answer: a customer who pays, a shop that looks, an operator.
    Waiting,
    /// A notification waits to be vouched for. Money is behind it and nobody in front of a screen;
    /// it goes before what is periodic, and a flood of it leaves half of the horizon to people.
    Confirm,
    /// The reconciler, which comes again anyway: it takes what the others leave.
    Periodic,
}

impl Priority {
    /// The word in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Confirm => "confirm",
            Self::Periodic => "periodic",
        }
    }

    /// How far ahead of now a token may be taken.
    pub(super) fn horizon(self, limits: &Limits) -> Duration {
        match self {
            Self::Waiting => limits.budget_wait,
            Self::Confirm => limits.budget_wait / 2,
            Self::Periodic => LAST,
        }
    }

    /// How long a token is waited for.
    pub(super) const fn patience(self, limits: &Limits) -> Duration {
        match self {
            Self::Waiting | Self::Confirm => limits.budget_wait,
            Self::Periodic => limits.periodic_wait,
        }
    }

    /// Whether it waits for a circuit to close; everybody else is told at once.
    pub(super) fn waits_for_circuit(self) -> bool {
        self == Self::Periodic
    }
}
