//! When a payment is asked about next (design section 8): Midtrans tells at most five times what
//! happened, and nothing at all when a page runs out (`midtrans.md` 3).

use time::{Duration, OffsetDateTime};

use super::TransactionState;

/// After the end of its time a payment is asked about when Midtrans has had time to notice too:
/// its own expiry notification may take 90 s (`midtrans.md` 3.2).
const AFTER_EXPIRY: Duration = Duration::minutes(2);

/// Nothing is asked about less often than daily while it may still change.
const RAREST: Duration = Duration::hours(24);

/// A capture settles on the next day at 16:00 WIB; so many days it is asked about.
const CAPTURE_CHECKS: u32 = 4;

/// A payment as far as its next check depends on it.
#[derive(Debug, Clone, Copy)]
pub struct CheckFacts<'a> {
    /// What its session is.
    pub state: TransactionState,
    /// Midtrans' word for how it is paid, once known.
    pub payment_type: Option<&'a str>,
    /// Until when it can be paid, once known.
    pub expires_at: Option<OffsetDateTime>,
    /// How often it was asked about since it last changed.
    pub checks: u32,
    /// The database's clock.
    pub now: OffsetDateTime,
    /// The time from its creation to the first check.
    pub first: Duration,
}

/// When to ask next; `None` when it cannot change any more without telling.
pub fn next_check(facts: &CheckFacts<'_>) -> Option<OffsetDateTime> {
    match facts.state {
        TransactionState::Created
        | TransactionState::Pending
        | TransactionState::Authorize
        | TransactionState::Challenge => Some(while_open(facts)),
        // In a page the customer may try again until its time is over.
        TransactionState::Deny => {
            let open = facts
                .expires_at
                .is_some_and(|end| end + AFTER_EXPIRY > facts.now);
            open.then(|| while_open(facts))
        }
        // Paid already: what is missing is the word that it settled.
        TransactionState::Capture => (facts.checks < CAPTURE_CHECKS).then(|| facts.now + RAREST),
        TransactionState::Settlement
        | TransactionState::Reversed
        | TransactionState::Cancel
        | TransactionState::Expire
        | TransactionState::Failure
        | TransactionState::PartialRefund
        | TransactionState::Refund
        | TransactionState::PartialChargeback
        | TransactionState::Chargeback => None,
    }
}

fn while_open(facts: &CheckFacts<'_>) -> OffsetDateTime {
    let doubled = |most: Duration| {
        let factor = 1_i32 << facts.checks.min(20);
        facts
            .first
            .saturating_mul(factor)
            .min(most.max(facts.first))
    };
    match facts.expires_at.map(|end| end + AFTER_EXPIRY) {
        Some(end) if end > facts.now => {
            let next = facts.now + doubled(rarest_while_payable(facts.payment_type));
            // The one check that matters most is on time.
            next.min(end)
        }
        // Over here, and still open there: Midtrans lags.
        Some(_) => facts.now + doubled(RAREST),
        None => facts.now + doubled(rarest_while_payable(facts.payment_type)),
    }
}

/// What is paid within minutes is asked about within minutes; a bank transfer may take a day
/// (`midtrans.md` 4.7).
fn rarest_while_payable(payment_type: Option<&str>) -> Duration {
    match payment_type {
        Some("gopay" | "qris" | "shopeepay" | "dana" | "ovo" | "credit_card") => {
            Duration::minutes(10)
        }
        _ => Duration::hours(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-03-14 10:00 UTC);

    fn facts(state: TransactionState) -> CheckFacts<'static> {
        CheckFacts {
            state,
            payment_type: Some("bank_transfer"),
            expires_at: Some(NOW + Duration::hours(24)),
            checks: 0,
            now: NOW,
            first: Duration::minutes(5),
        }
    }

    fn minutes(facts: &CheckFacts<'_>) -> Option<i64> {
        next_check(facts).map(|at| (at - NOW).whole_minutes())
    }

    #[test]
    fn an_open_payment_is_asked_about_more_and_more_rarely() {
        let waits = [0, 1, 2, 3, 4, 30].map(|checks| {
            let facts = CheckFacts {
                checks,
                ..facts(TransactionState::Pending)
            };
            minutes(&facts)
        });
        assert_eq!(waits, [5, 10, 20, 40, 60, 60].map(Some));
    }

    #[test]
    fn what_is_paid_quickly_is_asked_about_often() {
        let qris = CheckFacts {
            payment_type: Some("qris"),
            checks: 9,
            ..facts(TransactionState::Pending)
        };
        assert_eq!(minutes(&qris), Some(10));
    }

    #[test]
    fn the_check_after_the_end_is_on_time() {
        let ending = CheckFacts {
            expires_at: Some(NOW + Duration::minutes(3)),
            checks: 9,
            ..facts(TransactionState::Pending)
        };
        assert_eq!(minutes(&ending), Some(5));
    }

    #[test]
    fn a_gateway_that_lags_is_asked_daily_in_the_end() {
        let over = CheckFacts {
            expires_at: Some(NOW - Duration::hours(1)),
            checks: 30,
            ..facts(TransactionState::Pending)
        };
        assert_eq!(minutes(&over), Some(24 * 60));
    }

    #[test]
    fn only_what_may_still_change_is_asked_about() {
        for state in TransactionState::ALL {
            let asked = next_check(&facts(state)).is_some();
            let open = state.is_alive()
                || matches!(state, TransactionState::Capture | TransactionState::Deny);
            assert_eq!(asked, open, "{state:?}");
        }
        let old = CheckFacts {
            checks: 4,
            ..facts(TransactionState::Capture)
        };
        assert_eq!(next_check(&old), None);
    }

    #[test]
    fn a_denied_page_is_left_alone_after_its_end() {
        let over = CheckFacts {
            expires_at: Some(NOW - Duration::hours(1)),
            ..facts(TransactionState::Deny)
        };
        assert_eq!(next_check(&over), None);
    }
}
