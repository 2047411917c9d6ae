//! What can go wrong with a request to Midtrans, and what each means for the message in hand.

use std::time::Duration;

use super::address::AddressError;
use super::breaker::Open;
use super::budget::Exhausted;
use crate::domain::DecodeError;
use crate::domain::outcome::{Class, Classify};

/// Why a request got no answer that can be used. Texts carry no body, key or URL.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Several requests failed in a row; none is sent for a while.
    #[error("the circuit to Midtrans is open")]
    CircuitOpen {
        /// Until a request may try again.
        retry_after: Duration,
    },
    /// Our own requests per second are used up for longer than a caller waits.
    #[error("the request budget of the gateway is used up")]
    BudgetExhausted {
        /// Until a request would be allowed.
        retry_after: Duration,
    },
    /// Midtrans limits us (429).
    #[error("Midtrans limits our requests")]
    Limited {
        /// What its `Retry-After` says.
        retry_after: Option<Duration>,
    },
    /// Midtrans or a bank behind it has trouble (5xx, 408).
    #[error("Midtrans answered that it is unavailable ({status})")]
    Unavailable {
        /// HTTP status, or the code in the body.
        status: u16,
    },
    /// No whole answer in time.
    #[error("Midtrans did not answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the connection to Midtrans failed")]
    Connection(#[source] reqwest::Error),
    /// The network in front of Midtrans blocks us (403, not of the API).
    #[error("access to Midtrans is blocked")]
    Blocked,
    /// Midtrans does not accept our key (401): wrong key, or key of the other environment.
    #[error("Midtrans refused our server key")]
    KeyRefused,
    /// No key is configured for the merchant of this transaction.
    #[error("there is no server key for this merchant")]
    NoKey,
    /// No path can carry this id.
    #[error("the id cannot be asked for")]
    BadId,
    /// The address is not one of Midtrans' (a 404 of the router): an id it cannot route, or a
    /// wrong base URL. Not the same as "no such transaction".
    #[error("Midtrans does not know the address of the question")]
    UnknownRoute,
    /// Midtrans refuses the question for another reason.
    #[error("Midtrans refused the question ({})", code.map_or("no code".to_owned(), |c| c.to_string()))]
    Refused {
        /// The code in the body.
        code: Option<u16>,
    },
    /// Not an answer of the API: a redirect, or an error page of something in between.
    #[error("the answer is not one of Midtrans' API (HTTP {status})")]
    Foreign {
        /// HTTP status.
        status: u16,
    },
    /// Larger than an answer can be.
    #[error("the answer is too large")]
    TooLarge,
    /// An answer that does not describe a transaction.
    #[error("the answer cannot be read")]
    Undecodable(#[source] DecodeError),
    /// The answer describes another transaction than the one asked for.
    #[error("the answer is about another transaction")]
    OtherTransaction,
}

impl GatewayError {
    /// How long to leave Midtrans alone, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { retry_after } | Self::BudgetExhausted { retry_after } => {
                Some(*retry_after)
            }
            Self::Limited { retry_after } => *retry_after,
            Self::Unavailable { .. }
            | Self::Timeout
            | Self::Connection(_)
            | Self::Blocked
            | Self::KeyRefused
            | Self::NoKey
            | Self::BadId
            | Self::UnknownRoute
            | Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::TooLarge
            | Self::Undecodable(_)
            | Self::OtherTransaction => None,
        }
    }

    /// Whether the same request may succeed in a moment, and does no harm when it was done already.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Timeout
            | Self::Connection(_)
            | Self::Limited { .. } => true,
            Self::CircuitOpen { .. }
            | Self::BudgetExhausted { .. }
            | Self::Blocked
            | Self::KeyRefused
            | Self::NoKey
            | Self::BadId
            | Self::UnknownRoute
            | Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::TooLarge
            | Self::Undecodable(_)
            | Self::OtherTransaction => false,
        }
    }

    /// Whether Midtrans may have done what it was asked to do. Of a page of the network in front
    /// of it nobody can tell.
    pub(super) fn may_be_done(&self) -> bool {
        match self {
            Self::Connection(error) => !error.is_connect(),
            Self::Unavailable { .. }
            | Self::Timeout
            | Self::Blocked
            | Self::Foreign { .. }
            | Self::TooLarge
            | Self::Undecodable(_)
            | Self::OtherTransaction => true,
            Self::CircuitOpen { .. }
            | Self::BudgetExhausted { .. }
            | Self::Limited { .. }
            | Self::KeyRefused
            | Self::NoKey
            | Self::BadId
            | Self::UnknownRoute
            | Self::Refused { .. } => false,
        }
    }

    /// Whether a request that must not be done twice may be sent again: it was not done.
    pub(super) fn may_be_sent_again(&self) -> bool {
        self.may_pass() && !self.may_be_done()
    }

    /// The shortest pause before the next try that Midtrans asks for.
    pub(super) const fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// The word in `lunas_gateway_requests_total`.
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Limited { .. } | Self::BudgetExhausted { .. } => "limited",
            Self::CircuitOpen { .. }
            | Self::Unavailable { .. }
            | Self::Connection(_)
            | Self::Blocked => "unavailable",
            Self::Timeout => "timeout",
            Self::KeyRefused
            | Self::NoKey
            | Self::BadId
            | Self::UnknownRoute
            | Self::Refused { .. } => "refused",
            Self::Foreign { .. }
            | Self::TooLarge
            | Self::Undecodable(_)
            | Self::OtherTransaction => "invalid",
        }
    }

    /// Whether the gateway as a whole is in trouble, as opposed to this question.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Timeout | Self::Connection(_) | Self::Blocked
        )
    }
}

impl Classify for GatewayError {
    fn classify(&self) -> Class {
        match self {
            // Away, or closed to all of us: no message is to blame. A refused key is one of them,
            // because otherwise a wrong setting would turn every question into a dead letter.
            Self::CircuitOpen { .. }
            | Self::BudgetExhausted { .. }
            | Self::Limited { .. }
            | Self::Unavailable { .. }
            | Self::Timeout
            | Self::Connection(_)
            | Self::Blocked
            | Self::KeyRefused => Class::Wait,
            // About this question only, and the next answer may be another one. A key missing for
            // one merchant must not hold up the others.
            Self::NoKey
            | Self::BadId
            | Self::UnknownRoute
            | Self::Refused { .. }
            | Self::Foreign { .. }
            | Self::TooLarge
            | Self::OtherTransaction => Class::Retry,
            Self::Undecodable(error) => match error {
                DecodeError::NotDecodable(_)
                | DecodeError::NotText(_)
                | DecodeError::Missing { .. } => Class::Retry,
                // What the transaction is will not change by asking again.
                DecodeError::WrongCurrency | DecodeError::Amount { .. } => error.classify(),
            },
        }
    }
}

impl From<Open> for GatewayError {
    fn from(open: Open) -> Self {
        let retry_after = open.retry_after;
        Self::CircuitOpen { retry_after }
    }
}

impl From<Exhausted> for GatewayError {
    fn from(exhausted: Exhausted) -> Self {
        let retry_after = exhausted.retry_after;
        Self::BudgetExhausted { retry_after }
    }
}

/// Why something was not done, as far as anybody can tell.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not done: asking again is safe.
    #[error("nothing was done at Midtrans")]
    NotDone(#[source] GatewayError),
    /// It may have been done: only the status API can tell.
    #[error("it is not known whether Midtrans did it")]
    Unknown(#[source] GatewayError),
}

impl CallError {
    /// What happened.
    pub const fn cause(&self) -> &GatewayError {
        match self {
            Self::NotDone(error) | Self::Unknown(error) => error,
        }
    }
}

impl From<GatewayError> for CallError {
    fn from(error: GatewayError) -> Self {
        if error.may_be_done() {
            Self::Unknown(error)
        } else {
            Self::NotDone(error)
        }
    }
}

impl Classify for CallError {
    fn classify(&self) -> Class {
        self.cause().classify()
    }
}

/// Why a client cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `MIDTRANS_API_URL`.
    #[error("MIDTRANS_API_URL cannot be used")]
    Address(#[source] AddressError),
    /// `MIDTRANS_SNAP_URL`.
    #[error("MIDTRANS_SNAP_URL cannot be used")]
    SnapAddress(#[source] AddressError),
    /// The TLS set-up of this machine.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::DeadReason;
    use crate::domain::rupiah::RupiahError;

    #[test]
    fn outages_and_limits_blame_no_message() {
        let retry_after = Duration::from_secs(1);
        for error in [
            GatewayError::CircuitOpen { retry_after },
            GatewayError::BudgetExhausted { retry_after },
            GatewayError::Limited { retry_after: None },
            GatewayError::Unavailable { status: 503 },
            GatewayError::Timeout,
            GatewayError::Blocked,
            GatewayError::KeyRefused,
        ] {
            assert_eq!(error.classify(), Class::Wait, "{error}");
        }
    }

    #[test]
    fn odd_answers_are_tried_again_and_wrong_money_is_not() {
        let odd = [
            GatewayError::UnknownRoute,
            GatewayError::Refused { code: Some(400) },
            GatewayError::Foreign { status: 302 },
            GatewayError::TooLarge,
            GatewayError::OtherTransaction,
            GatewayError::NoKey,
            GatewayError::BadId,
            GatewayError::Undecodable(DecodeError::Missing {
                field: "transaction_id",
            }),
        ];
        for error in odd {
            assert_eq!(error.classify(), Class::Retry, "{error}");
        }
        let fraction = GatewayError::Undecodable(DecodeError::Amount {
            field: "gross_amount",
            source: RupiahError::Fraction,
        });
        assert_eq!(
            fraction.classify(),
            Class::Dead(DeadReason::FractionalAmount)
        );
    }
}
