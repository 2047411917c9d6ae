//! What one listener hears: first what it missed, from the database, then what happens.
//!
//! Nothing is kept for a listener but one page: while it does not read, nothing is fetched for it,
//! and when it has fallen behind what the feed keeps, it catches up from the database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use serde_json::Value;
use shared::store::relay::DomainEvent;
use shared::store::{Store, StoreError};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tracing::warn;

use super::feed::Feed;
use super::streams::Seat;

/// Events read at once for one listener.
const PAGE: i64 = 128;

/// Pause when the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Which events a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those of one order.
    Order(String),
    /// Those of every order.
    Orders,
    /// All of them, also those of payments without order.
    Everything,
}

impl Scope {
    fn hears(&self, event: &DomainEvent) -> bool {
        match self {
            Self::Order(code) => event.order_code.as_deref() == Some(code),
            Self::Orders => event.order_code.is_some(),
            Self::Everything => true,
        }
    }
}

/// A listener.
pub(super) struct Listener {
    store: Store,
    scope: Scope,
    live: broadcast::Receiver<Arc<DomainEvent>>,
    horizon: watch::Receiver<Option<i64>>,
    /// Everything up to here was heard.
    heard: i64,
    /// Everything up to here is read from the database.
    missed: i64,
    page: VecDeque<Arc<DomainEvent>>,
    _seat: Seat,
}

impl Listener {
    /// Listens from after the given id, or from now. Answers once the place is known: what is
    /// committed later will be heard.
    pub(super) async fn begin(
        feed: &Feed,
        store: Store,
        scope: Scope,
        after: Option<i64>,
        seat: Seat,
    ) -> Result<Self, StoreError> {
        let live = feed.live();
        let mut horizon = feed.horizon();
        // The sender lives as long as the feed, so there is always a value in the end.
        let now = horizon.wait_for(Option::is_some).await;
        let now = now.ok().and_then(|now| *now).unwrap_or(0);
        let heard = match after {
            Some(after) if after > now => known_or(&store, after, now).await?,
            Some(after) => after,
            None => now,
        };
        Ok(Self {
            store,
            scope,
            live,
            horizon,
            heard,
            missed: now,
            page: VecDeque::new(),
            _seat: seat,
        })
    }

    /// The next event; `None` when the feed has ended.
    pub(super) async fn next(&mut self) -> Option<Arc<DomainEvent>> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Some(event);
            }
            if self.heard < self.missed {
                if let Err(failed) = self.catch_up().await {
                    warn!(error = %failed, "A listener waits for the database");
                    tokio::time::sleep(PAUSE).await;
                }
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.id <= self.heard => {}
                Ok(event) => {
                    self.heard = event.id;
                    if self.scope.hears(&event) {
                        return Some(event);
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.missed = self.horizon.borrow().unwrap_or(self.missed);
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let (heard, missed) = (self.heard, self.missed);
        let events = match &self.scope {
            Scope::Order(code) => {
                let read = self.store.feed_of_order_after(code, heard, missed, PAGE);
                read.await?
            }
            Scope::Orders | Scope::Everything => self.store.feed_after(heard, missed, PAGE).await?,
        };
        let full = events.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        self.heard = match events.last() {
            Some(last) if full => last.id,
            _ => missed,
        };
        let heard = events.into_iter().filter(|event| self.scope.hears(event));
        self.page = heard.map(Arc::new).collect();
        Ok(())
    }
}

/// An id behind the horizon: another process was further when it told of it. An id that is not
/// there at all is of a database that was restored from a backup since; then it begins from now.
async fn known_or(store: &Store, after: i64, now: i64) -> Result<i64, StoreError> {
    let found = store.feed_after(after - 1, after, 1).await?;
    Ok(if found.is_empty() { now } else { after })
}

/// An event as it goes over the line.
pub(super) fn wire(event: &DomainEvent) -> Event {
    // A line break would end the field.
    let event_type = event.event_type.replace(['\r', '\n'], " ");
    Event::default()
        .id(event.id.to_string())
        .event(event_type)
        .data(Value::Object(event.body()).to_string())
}
