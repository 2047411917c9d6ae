//! The stories: what happens to an order, how it must end, and what must have been seen.

use futures::future::LocalBoxFuture;

use super::account::Account;
use super::acts;
use super::order::Order;
use super::shop::Seen;

/// One story.
#[derive(Debug)]
pub(super) struct Story {
    /// What happens, in few words.
    pub(super) title: &'static str,
    /// Whether the shop has an order in it.
    pub(super) has_order: bool,
    /// Makes it happen; waits only where the next step needs the fleet to have seen the last one.
    pub(super) act: for<'a> fn(&'a Order<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>>,
    end: End,
    /// What else must have been seen, in words and as a check: without it the order would end as
    /// it should although the story was never told.
    shows: (&'static str, fn(&Account) -> bool),
}

/// How an order must end.
#[derive(Debug, Clone, Copy)]
struct End {
    order: &'static str,
    payment: &'static str,
    reason: &'static str,
}

const fn end(order: &'static str, payment: &'static str, reason: &'static str) -> End {
    End {
        order,
        payment,
        reason,
    }
}

/// Shorthand for the table below: the acts are async functions, the table holds pointers.
macro_rules! act {
    ($name:ident) => {
        |order| Box::pin(acts::$name(order))
    };
}

const NOTHING_ELSE: (&str, fn(&Account) -> bool) =
    ("at least one notification", |seen| seen.recorded > 0);

/// Every story.
pub(super) const STORIES: &[Story] = &[
    Story {
        title: "paid by GoPay",
        has_order: true,
        act: act!(paid_by_gopay),
        end: end("PAID", "settlement", ""),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "paid by BCA account",
        has_order: true,
        act: act!(paid_by_bca),
        end: end("PAID", "settlement", ""),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "paid at Permata, reversed",
        has_order: true,
        act: act!(reversed),
        end: end("FAILED", "deny", "reversed"),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "card challenged, accepted",
        has_order: true,
        act: act!(challenge_accepted),
        end: end("PAID", "capture", ""),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "card challenged, denied",
        has_order: true,
        act: act!(challenge_denied),
        end: end("PENDING", "deny", ""),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "QRIS code expired",
        has_order: true,
        act: act!(expired),
        end: end("EXPIRED", "expire", ""),
        shows: NOTHING_ELSE,
    },
    Story {
        title: "denied, then paid",
        has_order: true,
        act: act!(denied_then_paid),
        end: end("PAID", "capture", ""),
        shows: ("two transactions in one session", |seen| {
            seen.transactions == 2
        }),
    },
    Story {
        title: "refunded",
        has_order: true,
        act: act!(refunded),
        end: end("REFUNDED", "refund", ""),
        shows: ("a refund confirmed by the status API", |seen| {
            seen.confirmed == 1 && seen.recorded >= 4
        }),
    },
    Story {
        title: "partly refunded",
        has_order: true,
        act: act!(partly_refunded),
        end: end("PARTIALLY_REFUNDED", "partial_refund", ""),
        shows: ("a refund confirmed by the status API", |seen| {
            seen.confirmed == 1 && seen.recorded >= 4
        }),
    },
    Story {
        title: "settlement before pending",
        has_order: true,
        act: act!(out_of_order),
        end: end("PAID", "settlement", ""),
        shows: ("one stale notification", |seen| seen.stale == 1),
    },
    Story {
        title: "each notification 5 times",
        has_order: true,
        act: act!(duplicated),
        end: end("PAID", "settlement", ""),
        shows: ("two notifications, eight duplicates", |seen| {
            (seen.recorded, seen.duplicates) == (2, 8)
        }),
    },
    Story {
        title: "webhook before the order",
        has_order: true,
        act: act!(webhook_before_order),
        end: end("PAID", "settlement", ""),
        shows: ("a payment older than its order", |seen| seen.linked_later),
    },
    Story {
        title: "forged, and unsigned",
        has_order: true,
        act: act!(forged),
        end: end("PENDING", "", ""),
        shows: ("401 and 400, and no trace", |seen| {
            seen.refused == [401, 400] && seen.recorded == 0 && seen.transactions == 0
        }),
    },
    Story {
        title: "the dashboard's test",
        has_order: false,
        act: act!(dashboard_test),
        end: end("", "", ""),
        shows: ("the verdict test and no payment", |seen| {
            seen.test == 1 && seen.transactions == 0
        }),
    },
    Story {
        title: "less captured",
        has_order: true,
        act: act!(captured_less),
        end: end("REVIEW", "capture", "amount_mismatch"),
        shows: ("a capture confirmed by the status API", |seen| {
            seen.confirmed == 1
        }),
    },
    Story {
        title: "fee on the customer",
        has_order: true,
        act: act!(fee_on_the_customer),
        end: end("PAID", "settlement", ""),
        shows: ("more paid than ordered", |seen| seen.paid > seen.ordered),
    },
    Story {
        title: "settlement never told",
        has_order: true,
        act: act!(never_told),
        end: end("PAID", "settlement", ""),
        shows: ("a payment that the reconciler found", |seen| {
            seen.settled_by.as_deref() == Some("reconcile")
        }),
    },
    Story {
        title: "never told, synced",
        has_order: true,
        act: act!(synced),
        end: end("PAID", "settlement", ""),
        shows: ("a payment that an operator's sync found", |seen| {
            seen.settled_by.as_deref() == Some("admin")
        }),
    },
    Story {
        title: "first delivery failed",
        has_order: true,
        act: act!(first_delivery_failed),
        end: end("PAID", "settlement", ""),
        shows: ("a retry", |seen| seen.retried > 0),
    },
];

impl Story {
    /// Whether the order is where it must end.
    ///
    /// # Errors
    /// What is there instead.
    pub(super) fn has_ended(&self, seen: &Seen) -> Result<(), String> {
        let End {
            order,
            payment,
            reason,
        } = self.end;
        let reasons: Vec<&str> = if reason.is_empty() {
            Vec::new()
        } else {
            vec![reason]
        };
        if seen.order == order && seen.payment == payment && seen.reasons == reasons {
            return Ok(());
        }
        let wanted = [order, payment, reason].join(" ");
        Err(format!("must be {}, is {seen}", wanted.trim()))
    }

    /// Whether it was told: the order's end and what else must have been seen.
    ///
    /// # Errors
    /// What is there instead.
    pub(super) fn judge(&self, seen: &Seen, account: &Account) -> Result<(), String> {
        self.has_ended(seen)?;
        let (words, check) = self.shows;
        if check(account) {
            return Ok(());
        }
        Err(format!("must show {words}; there was: {account}"))
    }
}
