//! Mending links that are missing: `payments.order_id` from the orders, `orders.session_id` from the
//! payments (design 4.2), page by page.
//!
//! What is found goes the one way, as a question for the order of a session, in the transaction that
//! found it and that logs who asked. What is mended is not found again, so a run that was cut off is
//! simply started anew, or goes on from where it was.

use std::str::FromStr;

use serde::Serialize;
use serde_json::json;

use super::asked_orders;
use super::{ApplyError, CONTENTION_RETRIES, Input, Item, apply_in_txn};
use crate::domain::linking::reason;
use crate::domain::{ConfirmPolicy, Source};
use crate::store::backfill::{Linkable, Sessionless, Unlinked};
use crate::store::logs::NewLog;
use crate::store::{Store, Txn};

/// Which way a link is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// `payments.order_id`, from what names the order.
    PaymentToOrder,
    /// `orders.session_id`, from the order's newest payment.
    OrderToSession,
}

impl Direction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentToOrder => "payment_to_order",
            Self::OrderToSession => "order_to_session",
        }
    }
}

/// One link that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackfillItem {
    /// The order.
    pub order_code: String,
    /// The session.
    pub session_id: String,
    /// Which row is changed.
    pub direction: Direction,
    /// What says that they belong together.
    pub why: &'static str,
}

/// How far a backfill has come: first the orders, then the payments, each by id. In this order an
/// order that has payments already names its newest one before further ones are linked to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// Payments after this id are next.
    Payments(i64),
    /// Orders after this id are next.
    Orders(i64),
}

impl Cursor {
    /// The beginning.
    pub const START: Self = Self::Orders(0);

    /// As text, for whoever goes on later.
    #[must_use]
    pub fn to_text(self) -> String {
        match self {
            Self::Payments(id) => format!("payments-{id}"),
            Self::Orders(id) => format!("orders-{id}"),
        }
    }
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of a backfill")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (stage, id) = text.split_once('-').ok_or(NoCursor)?;
        let id = id.parse().ok().filter(|id| *id >= 0).ok_or(NoCursor)?;
        match stage {
            "payments" => Ok(Self::Payments(id)),
            "orders" => Ok(Self::Orders(id)),
            _ => Err(NoCursor),
        }
    }
}

/// What one page found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The links that are missing, or that were missing and have been mended.
    pub items: Vec<BackfillItem>,
    /// Rows that were looked at.
    pub looked_at: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// Who mends, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Mending<'a> {
    /// The rules of the one path.
    pub policy: ConfirmPolicy,
    /// By which way: an operator's backfill, or the reconciler.
    pub source: Source,
    /// Who asked for it, where somebody did; goes into the log.
    pub actor: Option<&'a str>,
}

/// One page of at most `limit` rows, each in a transaction of its own: looked at, and mended when
/// `mending` says by whom. Contention starts the page anew, bounded.
///
/// # Errors
/// [`ApplyError`]: the page changed nothing.
pub async fn page(
    store: &Store,
    from: Cursor,
    limit: i64,
    mending: Option<Mending<'_>>,
) -> Result<Page, ApplyError> {
    let mut retries = 0;
    loop {
        match page_once(store, from, limit, mending).await {
            Err(error) if error.is_contention() && retries < CONTENTION_RETRIES => retries += 1,
            answer => return answer,
        }
    }
}

async fn page_once(
    store: &Store,
    from: Cursor,
    limit: i64,
    mending: Option<Mending<'_>>,
) -> Result<Page, ApplyError> {
    let mut txn = store.begin().await?;
    let page = look(store, &mut txn, from, limit).await?;
    let Some(mending) = mending.filter(|_| !page.items.is_empty()) else {
        return Ok(page);
    };
    let mut sessions: Vec<&str> = page.items.iter().map(|i| i.session_id.as_str()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    let ask = |session| question(session, mending.source);
    let questions: Vec<Item> = sessions.into_iter().map(ask).collect();
    apply_in_txn(store, &mut txn, mending.policy, &questions).await?;
    let logs: Vec<NewLog> = page.items.iter().filter_map(|i| log(i, &mending)).collect();
    store.logs_insert_in_txn(&mut txn, &logs).await?;
    store.commit(txn).await?;
    Ok(page)
}

async fn look(store: &Store, txn: &mut Txn, from: Cursor, limit: i64) -> Result<Page, ApplyError> {
    let is_last = |rows: usize| i64::try_from(rows).is_ok_and(|rows| rows < limit);
    match from {
        Cursor::Payments(after) => {
            let rows = store.backfill_payments_in_txn(txn, after, limit).await?;
            let next = rows.last().filter(|_| !is_last(rows.len()));
            Ok(Page {
                items: orders_of(store, txn, &rows).await?,
                looked_at: rows.len(),
                next: next.map(|last| Cursor::Payments(last.id)),
            })
        }
        Cursor::Orders(after) => {
            let rows = store.backfill_sessionless_in_txn(txn, after, limit).await?;
            let next = match rows.last() {
                Some(last) if !is_last(rows.len()) => Cursor::Orders(last.id),
                _ => Cursor::Payments(0),
            };
            Ok(Page {
                next: Some(next),
                looked_at: rows.len(),
                items: rows.into_iter().map(sessionless).collect(),
            })
        }
    }
}

/// The orders of payments without one, by the look-up of the one path. An order that names no
/// session gets this one in the same step.
async fn orders_of(
    store: &Store,
    txn: &mut Txn,
    rows: &[Unlinked],
) -> Result<Vec<BackfillItem>, ApplyError> {
    let questions: Vec<Item> = {
        let ask = |row: &Unlinked| question(&row.session_id, Source::Backfill);
        rows.iter().map(ask).collect()
    };
    let found = asked_orders(store, txn, &questions).await?;
    let mut ids: Vec<i64> = found.values().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let orders = store.backfill_orders_in_txn(txn, &ids).await?;
    let mut items = Vec::new();
    let mut given: Vec<i64> = Vec::new();
    // Newest first: an order without a session gets the newest.
    for row in rows.iter().rev() {
        let Some((id, hints)) = found.get(&row.session_id) else {
            continue;
        };
        let Some(order) = orders.iter().find(|order| order.id == *id) else {
            continue;
        };
        let Linkable {
            order_code,
            session_id: named,
            has_payments,
            ..
        } = order;
        let item = |direction, why| BackfillItem {
            order_code: order_code.clone(),
            session_id: row.session_id.clone(),
            direction,
            why,
        };
        if named.is_none() && !has_payments && !given.contains(id) {
            given.push(*id);
            let why = "the order's newest payment";
            items.push(item(Direction::OrderToSession, why));
        }
        let why = reason(&row.session_id, hints, *id, order_code, named.as_deref());
        items.push(item(Direction::PaymentToOrder, why));
    }
    items.reverse();
    Ok(items)
}

fn sessionless(row: Sessionless) -> BackfillItem {
    BackfillItem {
        order_code: row.order_code,
        session_id: row.session_id,
        direction: Direction::OrderToSession,
        why: "the order's newest payment",
    }
}

fn question(session_id: &str, source: Source) -> Item {
    Item::new(Input::Link {
        session_id: session_id.to_owned(),
        source,
    })
}

/// The row of a link. What the reconciler links is logged by the one path; only an order that names
/// its session again is not.
fn log(item: &BackfillItem, mending: &Mending<'_>) -> Option<NewLog> {
    let repairs = mending.source.repairs();
    if repairs && item.direction == Direction::PaymentToOrder {
        return None;
    }
    Some(NewLog {
        order_code: Some(item.order_code.clone()),
        session_id: Some(item.session_id.clone()),
        sync_type: mending.source.as_str(),
        event_type: match repairs {
            true => "reconcile_link_payment",
            false => "link_mended",
        },
        from_status: None,
        to_status: None,
        actor: mending.actor.map(str::to_owned),
        detail: Some(json!({ "direction": item.direction.as_str(), "why": item.why })),
    })
}
