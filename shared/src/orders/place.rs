//! Placing an order: at most once per idempotency key, with everything it needs reserved.
//!
//! Prices and what is left are read without a lock. The transaction then takes the key, writes the
//! order, and at its very end reserves, provided that nothing has changed meanwhile; else it rolls
//! back and starts anew. So a ware that everybody wants is locked for one statement and a commit.

use std::time::Duration;

use tracing::debug;

use super::RETRIES;
use super::gates::Gates;
use crate::apply::{ApplyError, Input, Item, apply_in_txn};
use crate::codes;
use crate::domain::cart::{Cart, Line, TotalFault, Ware};
use crate::domain::{ConfirmPolicy, Source};
use crate::store::checkout_orders::{
    Claimed, FirstOrder, KEY_UNIQUE, NewKeyedOrder, Quote, QuotedLine,
};
use crate::store::inventory::{Reservation, Reserved};
use crate::store::{Store, StoreError, Txn};

/// What holds for new orders.
#[derive(Debug, Clone)]
pub struct Terms<'a> {
    /// Order codes begin with it.
    pub prefix: &'a str,
    /// How long an order may stay unpaid.
    pub ttl: Duration,
    /// What is confirmed before it is acted on, for a payment that came before its order.
    pub policy: ConfirmPolicy,
    /// Where the orders of this process queue.
    pub gates: Gates,
}

/// Where an order's code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code<'a> {
    /// Drawn here: no payment can have named it before it existed.
    Drawn(&'a str),
    /// The caller's: payments may wait for it.
    Given(&'a str),
}

/// An order that a request stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The shop's name of it.
    pub order_code: String,
    /// Whether an earlier request with the same key made it.
    pub duplicate: bool,
}

/// A ware of which there is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Which.
    pub ware: Ware,
    /// How many could be had.
    pub available: i64,
    /// How many were wanted.
    pub requested: i64,
}

/// Why no order was placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The key stands for an order with other contents.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// There is no such ware.
    #[error("there is no {} {}", .0.kind(), .0.key())]
    Unknown(Ware),
    /// The event has begun.
    #[error("the event has begun")]
    Begun(Ware),
    /// Not enough is left.
    #[error("not enough is left")]
    Short(Shortage),
    /// The total cannot be paid.
    #[error(transparent)]
    Total(TotalFault),
    /// Others were faster every time.
    #[error("too much was changing at the same time")]
    Busy,
    /// The database failed.
    #[error("placing an order failed")]
    Store(#[from] StoreError),
    /// A payment that came before the order does not fit it.
    #[error("taking in an earlier payment failed")]
    Apply(#[source] ApplyError),
}

impl PlaceError {
    /// Deadlocks and their kin, and a code that another order has already.
    fn starts_anew(&self) -> bool {
        match self {
            Self::Store(error) => error.is_contention() || error.violates("orders_order_code_key"),
            Self::Apply(error) => error.is_contention(),
            Self::KeyReused
            | Self::Unknown(_)
            | Self::Begun(_)
            | Self::Short(_)
            | Self::Total(_)
            | Self::Busy => false,
        }
    }
}

impl From<ApplyError> for PlaceError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            other => Self::Apply(other),
        }
    }
}

/// One try.
enum Tried {
    Placed,
    /// What was read is not so any more.
    Overtaken,
}

/// Places an order, or finds the one that the same key made.
///
/// # Errors
/// [`PlaceError`]; nothing is held and the key is free.
pub async fn place(store: &Store, terms: &Terms<'_>, cart: &Cart) -> Result<Placed, PlaceError> {
    place_under(store, terms, cart, None).await
}

/// The same under a code that the shop gives, which must be new. Payments that came before the
/// order are linked, and make it what they are, in the transaction that creates it.
///
/// # Errors
/// As [`place`].
pub async fn place_named(
    store: &Store,
    terms: &Terms<'_>,
    cart: &Cart,
    code: &str,
) -> Result<Placed, PlaceError> {
    place_under(store, terms, cart, Some(code)).await
}

async fn place_under(
    store: &Store,
    terms: &Terms<'_>,
    cart: &Cart,
    given: Option<&str>,
) -> Result<Placed, PlaceError> {
    for _ in 0..RETRIES {
        let quote = store.checkout_quote(cart).await?;
        if let Some(first) = quote.first {
            return repeated(cart, first);
        }
        let prices = prices(cart, &quote)?;
        let order_code = given.map_or_else(|| codes::order(terms.prefix), str::to_owned);
        let code = match given {
            Some(code) => Code::Given(code),
            None => Code::Drawn(&order_code),
        };
        let tried = place_as(store, terms, cart, &prices, code);
        match tried.await {
            Ok(Tried::Placed) => {
                return Ok(Placed {
                    order_code,
                    duplicate: false,
                });
            }
            Ok(Tried::Overtaken) => {}
            Err(error) if error.starts_anew() => {
                debug!(error = %error, "placing an order starts anew");
            }
            Err(error) => return Err(error),
        }
    }
    Err(PlaceError::Busy)
}

/// The request came before; it must have been the same one.
fn repeated(cart: &Cart, first: FirstOrder) -> Result<Placed, PlaceError> {
    if first.request_hash != cart.fingerprint() {
        return Err(PlaceError::KeyReused);
    }
    Ok(Placed {
        order_code: first.order_code,
        duplicate: true,
    })
}

/// A price for each line, provided that all of it can be sold now.
fn prices(cart: &Cart, quote: &Quote) -> Result<Vec<i64>, PlaceError> {
    let lines = || cart.lines().iter().zip(&quote.lines);
    let mut prices = Vec::with_capacity(quote.lines.len());
    for (line, quoted) in lines() {
        let unknown = || PlaceError::Unknown(line.ware.clone());
        prices.push(quoted.as_ref().ok_or_else(unknown)?.price);
    }
    cart.total(&prices).map_err(PlaceError::Total)?;
    for (line, quoted) in lines() {
        if let Some(quoted) = quoted {
            check(line, quoted)?;
        }
    }
    Ok(prices)
}

fn check(line: &Line, quoted: &QuotedLine) -> Result<(), PlaceError> {
    if quoted.has_begun {
        return Err(PlaceError::Begun(line.ware.clone()));
    }
    if quoted.available < line.quantity {
        return Err(PlaceError::Short(Shortage {
            ware: line.ware.clone(),
            available: quoted.available,
            requested: line.quantity,
        }));
    }
    Ok(())
}

async fn place_as(
    store: &Store,
    terms: &Terms<'_>,
    cart: &Cart,
    prices: &[i64],
    code: Code<'_>,
) -> Result<Tried, PlaceError> {
    let (Code::Drawn(order_code) | Code::Given(order_code)) = code;
    let _turn = match cart.lines().first() {
        Some(line) => terms.gates.pass(&line.ware).await,
        None => None,
    };
    let total = cart.total(prices).map_err(PlaceError::Total)?;
    let order = NewKeyedOrder {
        order_code,
        cart,
        gross_amount: total.get(),
        ttl_seconds: terms.ttl.as_secs_f64(),
    };
    if let (Code::Drawn(_), [line], [price]) = (code, cart.lines(), prices)
        && let Ware::Ticket(_) = line.ware
        && let Some(tried) = place_seats(store, &order, line, price).await?
    {
        return Ok(tried);
    }
    let mut txn = store.begin().await?;
    let Claimed::Ours(order_id) = store.checkout_claim_in_txn(&mut txn, &order).await? else {
        return Ok(Tried::Overtaken);
    };
    let waiting = match code {
        Code::Drawn(_) => Vec::new(),
        Code::Given(code) => store.orders_waiting_sessions_in_txn(&mut txn, code).await?,
    };
    if !waiting.is_empty() {
        // Before anything that is for sale: the order in which everybody locks.
        let sessions: Vec<&str> = waiting.iter().map(String::as_str).collect();
        store.payments_lock_in_txn(&mut txn, &sessions, &[]).await?;
    }
    if reserve(store, &mut txn, order_id, cart, prices).await? == Reserved::NotAll {
        return Ok(Tried::Overtaken);
    }
    if !waiting.is_empty() {
        let links: Vec<Item> = waiting.into_iter().map(link).collect();
        apply_in_txn(store, &mut txn, terms.policy, &links).await?;
    }
    store.commit(txn).await?;
    Ok(Tried::Placed)
}

/// The short way, for what most orders are: seats of one slot. `None` when the key was used
/// before, which the long way looks into.
async fn place_seats(
    store: &Store,
    order: &NewKeyedOrder<'_>,
    line: &Line,
    price: &i64,
) -> Result<Option<Tried>, PlaceError> {
    let seats = reservation((line, price));
    match store.checkout_place_seats(order, &seats).await {
        Ok(true) => Ok(Some(Tried::Placed)),
        Ok(false) => Ok(Some(Tried::Overtaken)),
        Err(error) if error.violates(KEY_UNIQUE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A payment that came before its order.
fn link(session_id: String) -> Item {
    let source = Source::System;
    Item::new(Input::Link { session_id, source })
}

async fn reserve(
    store: &Store,
    txn: &mut Txn,
    order_id: i64,
    cart: &Cart,
    prices: &[i64],
) -> Result<Reserved, StoreError> {
    let lines = cart.lines().iter().zip(prices);
    let (seats, pieces): (Vec<_>, Vec<_>) =
        lines.partition(|(line, _)| matches!(line.ware, Ware::Ticket(_)));
    let seats = reservations(seats);
    let slots = store.inventory_reserve_slots_in_txn(txn, order_id, &seats);
    if slots.await? == Reserved::NotAll {
        return Ok(Reserved::NotAll);
    }
    let pieces = reservations(pieces);
    let variants = store.inventory_reserve_variants_in_txn(txn, order_id, &pieces);
    variants.await
}

fn reservations<'a>(lines: Vec<(&'a Line, &i64)>) -> Vec<Reservation<'a>> {
    lines.into_iter().map(reservation).collect()
}

fn reservation<'a>((line, price): (&'a Line, &i64)) -> Reservation<'a> {
    Reservation {
        key: line.ware.key(),
        quantity: line.quantity,
        price: *price,
    }
}
