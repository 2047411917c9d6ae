//! Is a notice news? What a payout, an account or a subscription was said to be, against what it is
//! said to be now (`midtrans.md` 2.2, 2.4). Notices come late, twice and in the wrong order.

use super::super::observation::Observation;
use super::super::outcome::Settled;
use super::super::status::TransactionStatus;
use super::super::transition::{Edge, TransactionState, edge};
use super::NoticeKind;

/// What a notice says against what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A step forward, or the same state once more.
    News,
    /// A state that comes before the one that is known, or a word that is not known.
    Stale,
}

/// Compares a state with the one that is known of the same thing.
pub fn progress(kind: NoticeKind, known: Option<&str>, next: Option<&str>) -> Progress {
    let Some(next) = next else {
        // A kind of notice without a state: there is nothing that it could go back from.
        return Progress::News;
    };
    let rank = |word| rank(kind, word);
    let news = match (known, rank(next)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(known), Some(_)) if known == next => true,
        (Some(known), Some(next)) => rank(known).is_none_or(|known| known.leads_to(next)),
    };
    match news {
        true => Progress::News,
        false => Progress::Stale,
    }
}

/// What a notice turns out to be once the status API has answered about its transaction: right, true
/// once and overtaken since, or contradicted.
pub fn vouched(claimed: Option<&str>, answer: &Observation) -> Settled {
    let rail = answer.rail();
    let state =
        |status: &TransactionStatus| TransactionState::of(status, answer.fraud.as_ref(), rail);
    let claimed = claimed.map(|word| state(&TransactionStatus::parse(word)));
    match (claimed, state(&answer.status)) {
        // It claims nothing: that there is such a transaction is all that it says.
        (None, _) => Settled::Applied,
        (Some(Some(claimed)), Some(now)) if claimed == now => Settled::Applied,
        (Some(Some(claimed)), Some(now)) if edge(Some(claimed), now, rail) == Edge::Advance => {
            Settled::Stale
        }
        (Some(_), _) => Settled::Refused,
    }
}

/// How far a state is, and whether anything follows it.
#[derive(Clone, Copy)]
struct Rank {
    step: u8,
    last: bool,
}

impl Rank {
    const fn leads_to(self, next: Self) -> bool {
        !self.last && next.step > self.step
    }
}

/// `None` for a word that is not known: it is recorded and not acted on.
fn rank(kind: NoticeKind, word: &str) -> Option<Rank> {
    let rank = |step, last| Some(Rank { step, last });
    match kind {
        // A payout that is completed may still fail: the bank returns the money. Then it is over.
        NoticeKind::Payout => match word {
            "queued" => rank(0, false),
            "approved" => rank(1, false),
            "processed" => rank(2, false),
            "completed" => rank(3, false),
            "failed" | "rejected" => rank(4, true),
            "topup" => rank(0, true),
            _ => None,
        },
        // Linking once more makes an account with another id.
        NoticeKind::PayAccount | NoticeKind::BiSnap(_) => match word {
            "pending" => rank(0, false),
            "enabled" => rank(1, false),
            "disabled" | "expired" => rank(2, true),
            _ => None,
        },
        // Told by the charges, which the status API vouches for.
        NoticeKind::Subscription => rank(0, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Progress::{News, Stale};

    #[test]
    fn a_payout_goes_forward_only_and_may_fail_after_its_completion() {
        let table = [
            (None, "completed", News),
            (Some("approved"), "processed", News),
            (Some("approved"), "completed", News),
            (Some("processed"), "completed", News),
            (Some("completed"), "failed", News),
            (Some("approved"), "rejected", News),
            (Some("completed"), "completed", News),
            (Some("completed"), "processed", Stale),
            (Some("failed"), "completed", Stale),
            (Some("rejected"), "approved", Stale),
            (Some("rejected"), "failed", Stale),
            (Some("approved"), "paid", Stale),
            (None, "topup", News),
        ];
        for (known, next, expected) in table {
            let judged = progress(NoticeKind::Payout, known, Some(next));
            assert_eq!(judged, expected, "{known:?} to {next}");
        }
    }

    #[test]
    fn an_account_that_was_unlinked_stays_so() {
        let table = [
            (None, "enabled", News),
            (Some("pending"), "enabled", News),
            (Some("pending"), "expired", News),
            (Some("enabled"), "disabled", News),
            (Some("enabled"), "pending", Stale),
            (Some("disabled"), "enabled", Stale),
            (Some("expired"), "enabled", Stale),
            (None, "odd", Stale),
        ];
        for (known, next, expected) in table {
            let judged = progress(NoticeKind::PayAccount, known, Some(next));
            assert_eq!(judged, expected, "{known:?} to {next}");
        }
    }
}
