//! Which change may follow which (`midtrans.md` 5), applied to one transaction.
//!
//! Every function either changes the transaction and returns `Ok`, or leaves it untouched and
//! says with which body code the gateway refuses. Sending notifications is the caller's affair.

use time::OffsetDateTime;

use super::model::{CardVerdict, Fraud, Refund, Status, Transaction};

/// Why a change was refused: the gateway's body code and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) message: &'static str,
}

impl Refusal {
    /// No such transaction.
    pub(crate) const UNKNOWN: Refusal = Refusal {
        code: 404,
        message: "Transaction doesn't exist.",
    };
}

type Moved = Result<(), Refusal>;

/// The customer pays, or completes 3DS; a card then ends as its token decided.
pub(crate) fn pay(txn: &mut Transaction, now: OffsetDateTime) -> Moved {
    require(txn.status == Status::Pending)?;
    match txn.card.as_ref() {
        Some(card) => {
            (txn.status, txn.fraud) = decided(card.verdict, card.authorize_only);
        }
        None => {
            txn.status = Status::Settlement;
            txn.settled = Some(now);
        }
    }
    Ok(())
}

/// Status and fraud status of a card once bank and fraud system have spoken.
pub(crate) fn decided(verdict: CardVerdict, authorize_only: bool) -> (Status, Option<Fraud>) {
    let charged = if authorize_only {
        Status::Authorize
    } else {
        Status::Capture
    };
    match verdict {
        CardVerdict::Accept => (charged, Some(Fraud::Accept)),
        CardVerdict::Challenge => (charged, Some(Fraud::Challenge)),
        CardVerdict::BankDeny => (Status::Deny, Some(Fraud::Accept)),
        CardVerdict::FraudDeny => (Status::Deny, Some(Fraud::Deny)),
    }
}

/// Time runs out: pending methods, or a pre-authorisation nobody captured.
pub(crate) fn expire(txn: &mut Transaction) -> Moved {
    require(matches!(txn.status, Status::Pending | Status::Authorize))?;
    txn.status = Status::Expire;
    Ok(())
}

/// The merchant or Midtrans voids it.
pub(crate) fn cancel(txn: &mut Transaction) -> Moved {
    require(matches!(
        txn.status,
        Status::Pending | Status::Authorize | Status::Capture
    ))?;
    txn.status = Status::Cancel;
    if txn.card.is_none() {
        txn.fraud = None;
    }
    Ok(())
}

/// The provider refuses a pending payment; `fraud` says who refused.
pub(crate) fn deny(txn: &mut Transaction, fraud: Option<Fraud>) -> Moved {
    require(txn.status == Status::Pending)?;
    txn.status = Status::Deny;
    txn.fraud = fraud.or(txn.fraud);
    Ok(())
}

/// A human passes a challenged card.
pub(crate) fn approve_challenge(txn: &mut Transaction) -> Moved {
    require(is_challenged(txn))?;
    txn.fraud = Some(Fraud::Accept);
    Ok(())
}

/// A human refuses a challenged card.
pub(crate) fn deny_challenge(txn: &mut Transaction) -> Moved {
    require(is_challenged(txn))?;
    txn.status = Status::Deny;
    txn.fraud = Some(Fraud::Deny);
    Ok(())
}

/// Captures a pre-authorisation, wholly or a lower amount.
pub(crate) fn capture(txn: &mut Transaction, amount: Option<i64>) -> Moved {
    require(txn.status == Status::Authorize)?;
    let amount = amount.unwrap_or(txn.gross);
    if amount <= 0 || amount > txn.gross {
        return Err(Refusal {
            code: 400,
            message: "the captured amount is not within the authorized amount",
        });
    }
    txn.gross = amount;
    txn.status = Status::Capture;
    txn.fraud = Some(Fraud::Accept);
    Ok(())
}

/// The daily booking of a captured card; a challenge nobody decided is dropped.
pub(crate) fn settle(txn: &mut Transaction, now: OffsetDateTime) -> Moved {
    require(txn.status == Status::Capture)?;
    if is_challenged(txn) {
        txn.status = Status::Cancel;
    } else {
        txn.status = Status::Settlement;
        txn.settled = Some(now);
    }
    Ok(())
}

/// The payment network takes a settlement back (`settlement` to `deny`).
pub(crate) fn reverse(txn: &mut Transaction) -> Moved {
    require(txn.status == Status::Settlement)?;
    let store = txn.details.always.get("store").and_then(|v| v.as_str());
    let reversible = txn.payment_type == "echannel"
        || txn.details.always.contains_key("permata_va_number")
        || store == Some("indomaret");
    require(reversible)?;
    txn.status = Status::Deny;
    Ok(())
}

/// A card dispute takes `amount` back, or all that is left.
pub(crate) fn charge_back(txn: &mut Transaction, amount: Option<i64>) -> Moved {
    require(txn.card.is_some())?;
    require(matches!(
        txn.status,
        Status::Settlement | Status::PartialChargeback
    ))?;
    let left = txn.gross - txn.charged_back;
    let amount = amount.unwrap_or(left);
    require(amount > 0 && amount <= left)?;
    txn.charged_back += amount;
    txn.status = if txn.charged_back == txn.gross {
        Status::Chargeback
    } else {
        Status::PartialChargeback
    };
    Ok(())
}

/// A refund as asked for.
pub(crate) struct RefundOrder {
    pub(crate) key: String,
    pub(crate) amount: Option<i64>,
    pub(crate) reason: String,
}

/// Refunds all that is left, or a part.
pub(crate) fn refund(txn: &mut Transaction, order: RefundOrder, now: OffsetDateTime) -> Moved {
    if txn.refunds.iter().any(|refund| refund.key == order.key) {
        return Err(Refusal {
            code: 406,
            message: "a refund with this key exists already",
        });
    }
    require(matches!(
        txn.status,
        Status::Settlement | Status::PartialRefund
    ))?;
    require(!matches!(
        txn.payment_type,
        "bank_transfer" | "echannel" | "cstore"
    ))?;
    let left = txn.gross - txn.refunded();
    let amount = order.amount.unwrap_or(left);
    let whole_only = matches!(txn.payment_type, "shopeepay" | "ovo");
    if amount <= 0 || amount > left || (whole_only && amount != txn.gross) {
        return Err(Refusal {
            code: 414,
            message: "the refund amount is not possible for this transaction",
        });
    }
    txn.refunds.push(Refund {
        id: 910_000 + u64::from(rand::random::<u16>()),
        key: order.key,
        amount,
        reason: order.reason,
        created: now,
        confirmed: None,
    });
    txn.status = if txn.refunded() == txn.gross {
        Status::Refund
    } else {
        Status::PartialRefund
    };
    Ok(())
}

/// The bank confirms the oldest refund it has not confirmed yet.
pub(crate) fn confirm_refund(txn: &mut Transaction, now: OffsetDateTime) -> Moved {
    let open = txn.refunds.iter_mut().find(|r| r.confirmed.is_none());
    let refund = open.ok_or(STATE)?;
    refund.confirmed = Some(now);
    Ok(())
}

/// Sets any state, for edges which the documents do not list.
pub(crate) fn force(
    txn: &mut Transaction,
    status: Status,
    fraud: Option<Fraud>,
    now: OffsetDateTime,
) {
    txn.status = status;
    txn.fraud = fraud.or(txn.fraud);
    if status == Status::Settlement {
        txn.settled.get_or_insert(now);
    }
}

fn is_challenged(txn: &Transaction) -> bool {
    txn.status == Status::Capture && txn.fraud == Some(Fraud::Challenge)
}

/// The state does not allow it.
pub(crate) const STATE: Refusal = Refusal {
    code: 412,
    message: "Merchant cannot modify the status of the transaction",
};

fn require(allowed: bool) -> Moved {
    if allowed { Ok(()) } else { Err(STATE) }
}
