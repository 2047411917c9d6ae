//! At the counter and at the gate: a pickup code is compared and the goods handed over once, a
//! ticket admits once. Everything is logged with who did it, also what was refused.

use serde_json::json;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;

use super::RETRIES;
use crate::domain::projection::OrderStatus;
use crate::store::{Store, StoreError, Txn};

/// What came of a pickup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pickup {
    /// The goods are the customer's.
    HandedOver {
        /// When they were handed over.
        at: OffsetDateTime,
        /// Whether that was an earlier request.
        duplicate: bool,
    },
    /// The code is another one.
    WrongCode,
    /// The order is not fulfilled, or no more.
    NotFulfilled {
        /// Its state.
        status: String,
    },
    /// The order has nothing to be picked up.
    NothingToPickUp,
    /// There is no such order.
    Unknown,
}

/// What came of showing a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Whoever shows it may come in.
    Admitted {
        /// When.
        at: OffsetDateTime,
        /// The order it belongs to.
        order_code: String,
        /// The slot it admits to.
        slot_id: String,
        /// Which of its line's tickets it is.
        seq: i64,
    },
    /// Somebody came in with it before.
    UsedBefore {
        /// When.
        at: OffsetDateTime,
    },
    /// It is no ticket any more.
    Voided {
        /// Since when.
        at: OffsetDateTime,
    },
    /// There is no such ticket.
    Unknown,
}

/// Hands the goods of an order over to somebody who says its pickup code.
///
/// # Errors
/// When the database fails.
pub async fn hand_over(
    store: &Store,
    order_code: &str,
    said: &str,
    actor: &str,
) -> Result<Pickup, StoreError> {
    let mut retries = 0;
    loop {
        match hand_over_once(store, order_code, said, actor).await {
            Err(error) if error.is_contention() && retries < RETRIES => retries += 1,
            ended => return ended,
        }
    }
}

async fn hand_over_once(
    store: &Store,
    order_code: &str,
    said: &str,
    actor: &str,
) -> Result<Pickup, StoreError> {
    let mut txn = store.begin().await?;
    let order = store
        .counter_lock_order_in_txn(&mut txn, order_code)
        .await?;
    let Some(order) = order else {
        return Ok(Pickup::Unknown);
    };
    if !is_fulfilled(&order.status) {
        let status = order.status;
        return Ok(Pickup::NotFulfilled { status });
    }
    let Some(code) = &order.pickup_code else {
        return Ok(Pickup::NothingToPickUp);
    };
    let log = async |txn: &mut Txn, event| {
        let nothing = json!({});
        let log = store.counter_log_in_txn(txn, order_code, event, actor, &nothing);
        log.await
    };
    if !is_same(said, code) {
        log(&mut txn, "pickup_refused").await?;
        store.commit(txn).await?;
        return Ok(Pickup::WrongCode);
    }
    if let Some(at) = order.picked_up_at {
        let duplicate = true;
        return Ok(Pickup::HandedOver { at, duplicate });
    }
    let at = store.counter_hand_over_in_txn(&mut txn, order.id).await?;
    log(&mut txn, "picked_up").await?;
    store.commit(txn).await?;
    Ok(Pickup::HandedOver {
        at,
        duplicate: false,
    })
}

/// Lets somebody in who shows a ticket.
///
/// # Errors
/// When the database fails.
pub async fn admit(store: &Store, code: &str, actor: &str) -> Result<Admission, StoreError> {
    let mut retries = 0;
    loop {
        match admit_once(store, code, actor).await {
            Err(error) if error.is_contention() && retries < RETRIES => retries += 1,
            ended => return ended,
        }
    }
}

async fn admit_once(store: &Store, code: &str, actor: &str) -> Result<Admission, StoreError> {
    let mut txn = store.begin().await?;
    let Some(ticket) = store.counter_lock_ticket_in_txn(&mut txn, code).await? else {
        return Ok(Admission::Unknown);
    };
    let slot_id = ticket.slot_id.unwrap_or_default();
    // The code admits whoever has it, so the log names the ticket and not the code.
    let detail = json!({ "ticket": ticket.id, "slot_id": slot_id, "seq": ticket.seq });
    let (event, admission) = match (ticket.voided_at, ticket.used_at) {
        (Some(at), _) => ("ticket_refused", Admission::Voided { at }),
        (None, Some(at)) => ("ticket_refused", Admission::UsedBefore { at }),
        (None, None) => {
            let at = store.counter_use_ticket_in_txn(&mut txn, ticket.id).await?;
            let order_code = ticket.order_code.clone();
            let seq = ticket.seq;
            let admitted = Admission::Admitted {
                at,
                order_code,
                slot_id,
                seq,
            };
            ("ticket_used", admitted)
        }
    };
    let log = store.counter_log_in_txn(&mut txn, &ticket.order_code, event, actor, &detail);
    log.await?;
    store.commit(txn).await?;
    Ok(admission)
}

fn is_fulfilled(status: &str) -> bool {
    matches!(
        OrderStatus::parse(status),
        Some(OrderStatus::Paid | OrderStatus::PartiallyRefunded)
    )
}

/// Compares in constant time, so that nobody learns a code letter by letter. Codes are said and
/// typed by people: case and blanks around do not count.
fn is_same(said: &str, code: &str) -> bool {
    let plain = |text: &str| text.trim().to_ascii_uppercase();
    plain(said).as_bytes().ct_eq(plain(code).as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn a_pickup_code_may_be_typed_small_and_must_be_whole() {
        assert!(is_same(" k7fq3x ", "K7FQ3X"));
        for other in ["", "K7FQ3", "K7FQ3XX", "K7FQ3Y", "K7F Q3X"] {
            assert!(!is_same(other, "K7FQ3X"), "{other}");
        }
    }
}
