//! The one reader of the outbox in this process; it tells everybody who listens.
//!
//! It goes up to the horizon and publishes the horizon before the events behind it. So whoever
//! subscribes first and looks at the horizon then finds each event in the database or hears it
//! live, and perhaps both, never neither.

use std::sync::Arc;
use std::time::Duration;

use shared::store::feed::Fence;
use shared::store::relay::DomainEvent;
use shared::store::{Store, StoreError};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::horizon::Horizon;

/// Events kept for listeners who are a little behind; others read the database again.
const KEPT: usize = 1024;

/// Events read at once.
const PAGE: i64 = 256;

/// How long an event may wait to be seen.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The first pause while something waits behind a gap: most writers take milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Pause when the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Where listeners hear of events; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    live: broadcast::Sender<Arc<DomainEvent>>,
    /// `None` until it is known for the first time.
    horizon: watch::Sender<Option<i64>>,
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            live: broadcast::Sender::new(KEPT),
            horizon: watch::Sender::new(None),
        }
    }

    pub(super) fn live(&self) -> broadcast::Receiver<Arc<DomainEvent>> {
        self.live.subscribe()
    }

    /// Up to where events were told.
    pub(super) fn horizon(&self) -> watch::Receiver<Option<i64>> {
        self.horizon.subscribe()
    }

    /// Reads until `stop` is cancelled, whether the database is there or not.
    pub(crate) async fn run(self, store: Store, stop: CancellationToken) {
        let mut reader = Reader {
            feed: self,
            store,
            horizon: None,
            fence: None,
            wait: LOOK_AGAIN,
        };
        let mut away = false;
        loop {
            let pause = match reader.look().await {
                Ok(pause) => {
                    if away {
                        info!("Events are read again");
                    }
                    away = false;
                    pause
                }
                Err(failed) => {
                    if !away {
                        warn!(error = %failed, "Events cannot be read");
                    }
                    away = true;
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

struct Reader {
    feed: Feed,
    store: Store,
    /// Unknown before the first fence was passed.
    horizon: Option<Horizon>,
    /// Set up where a gap was met.
    fence: Option<Fence>,
    /// The next pause behind this fence.
    wait: Duration,
}

impl Reader {
    /// Tells what may be told now; answers how long to wait before the next look.
    async fn look(&mut self) -> Result<Duration, StoreError> {
        if let Some(fence) = self.fence
            && self.store.feed_is_past(fence).await?
        {
            self.fence = None;
            self.decided(fence.last);
        }
        let Some(horizon) = &mut self.horizon else {
            return self.wait_behind_fence().await;
        };
        let events = self
            .store
            .feed_after(horizon.reached(), i64::MAX, PAGE)
            .await?;
        let taken = horizon.take(events.iter().map(|event| event.id));
        let all = taken == events.len();
        let full = events.len() == usize::try_from(PAGE).unwrap_or(usize::MAX);
        let reached = horizon.reached();
        self.tell(reached, events.into_iter().take(taken));
        match (all, full) {
            (true, true) => Ok(Duration::ZERO),
            (true, false) => Ok(LOOK_EVERY),
            (false, _) => self.wait_behind_fence().await,
        }
    }

    fn decided(&mut self, id: i64) {
        match &mut self.horizon {
            Some(horizon) => horizon.decide(id),
            // What was there before this process is history: listeners ask for it by id.
            None => {
                self.horizon = Some(Horizon::at(id));
                self.feed.horizon.send_replace(Some(id));
            }
        }
    }

    async fn wait_behind_fence(&mut self) -> Result<Duration, StoreError> {
        if self.fence.is_none() {
            self.fence = Some(self.store.feed_fence().await?);
            self.wait = LOOK_AGAIN;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(LOOK_EVERY);
        Ok(wait)
    }

    fn tell(&self, reached: i64, events: impl Iterator<Item = DomainEvent>) {
        self.feed.horizon.send_if_modified(|told| {
            let further = *told != Some(reached);
            *told = Some(reached);
            further
        });
        for event in events {
            // Nobody listens: nothing to do.
            let _ = self.feed.live.send(Arc::new(event));
        }
    }
}
