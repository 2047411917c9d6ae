//! The only way to consume: batches of what is waiting, held until they are acknowledged.
//!
//! A consumer that loses its channel subscribes again by itself. What it handed out before comes
//! again then, and acknowledging the old deliveries does nothing.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::connection::{BrokerState, BrokerUrls, pause_after};
use super::delivery::{Delivery, Tag};
use super::link::{Link, Live, Purpose};

/// How long the broker may take to answer when a consumer leaves.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long the broker may take to subscribe a consumer before it is tried again.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(5);

/// One subscription to one queue, over a channel of its own.
pub struct Consumer {
    connection: ConsumerConnection,
    queue: String,
    prefetch: u16,
    lane: Option<Lane>,
    /// Goes on when the one who waits for it goes away: a subscription that is given up half-way
    /// would return what had arrived by then, and count it.
    opening: Option<JoinHandle<Result<Lane, Option<lapin::Error>>>>,
    failures: u32,
    not_before: Instant,
    draining: bool,
}

struct Lane {
    live: Arc<Live<()>>,
    channel: Channel,
    stream: lapin::Consumer,
    ended: bool,
}

impl Consumer {
    /// A consumer with a connection of its own. Needs a tokio runtime.
    #[must_use]
    pub fn subscribe(urls: &BrokerUrls, queue: &str, prefetch: u16) -> Self {
        ConsumerConnection::start(urls, queue).subscribe(queue, prefetch)
    }

    /// Waits for a delivery and takes with it all that is buffered by then, `max` at most.
    ///
    /// It never waits to fill a batch, and it waits through outages of the broker. `None` when
    /// the consumer was drained or its connection closed. It may be dropped at any moment without
    /// losing a delivery.
    pub async fn next_batch(&mut self, max: usize) -> Option<Vec<Delivery>> {
        loop {
            if self.draining && self.lane.as_ref().is_none_or(|lane| lane.ended) {
                return None;
            }
            self.lane.take_if(|lane| lane.ended);
            let Some(lane) = &mut self.lane else {
                self.open().await?;
                continue;
            };
            let next = tokio::select! {
                biased;
                () = lane.live.over().cancelled() => None,
                next = lane.stream.next() => next,
            };
            match next {
                Some(Ok(first)) => {
                    self.failures = 0;
                    return Some(lane.take_waiting(first, max));
                }
                ended => {
                    lane.ended = true;
                    if !self.draining {
                        self.note_failure();
                        let error = ended.and_then(Result::err).map(|error| error.to_string());
                        tracing::warn!(broker.queue = self.queue, error, "subscription ended");
                    }
                }
            }
        }
    }

    /// Acknowledges one delivery: [`Tag::ack`].
    pub async fn ack(&self, tag: &Tag) -> bool {
        tag.ack().await
    }

    /// Acknowledges a delivery and all before it: [`Tag::ack_through`].
    pub async fn ack_through(&self, tag: &Tag) -> bool {
        tag.ack_through().await
    }

    /// Stops the flow. [`next_batch`](Self::next_batch) still hands out what had arrived, then
    /// `None`; acknowledging works until the consumer is closed or dropped.
    ///
    /// Work on what is left where time allows: a delivery that goes back counts as one more.
    pub async fn drain(&mut self) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.opened().await;
        if let Some(lane) = &mut self.lane {
            let options = BasicCancelOptions { nowait: false };
            let cancel = lane.channel.basic_cancel(lane.stream.tag(), options);
            if !matches!(timeout(ANSWER_LIMIT, cancel).await, Ok(Ok(()))) {
                lane.ended = true;
            }
        }
    }

    /// Whether the flow was stopped.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Gives back to the queue whatever was not acknowledged.
    pub async fn close(mut self) {
        if let Some(lane) = self.lane.take() {
            let close = lane.channel.close(200, "OK".into());
            // A channel that is gone has given everything back already.
            let _ = timeout(ANSWER_LIMIT, close).await;
        }
    }

    /// The queue it listens to.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Waits until the subscription is there, or never will be because its connection was closed.
    pub async fn ready(&mut self) {
        if self.lane.is_none() {
            self.open().await;
        }
    }

    /// Subscribes, however often it takes. `None` when the connection was closed for good.
    async fn open(&mut self) -> Option<()> {
        loop {
            if self.opening.is_none() {
                tokio::time::sleep_until(self.not_before).await;
                let live = self.connection.link.connected().await?;
                let (queue, prefetch) = (self.queue.clone(), self.prefetch);
                self.opening = Some(tokio::spawn(Lane::open_in_time(live, queue, prefetch)));
            }
            if self.opened().await {
                return Some(());
            }
        }
    }

    /// Waits for the subscription that is being opened, if there is one.
    async fn opened(&mut self) -> bool {
        let Some(opening) = &mut self.opening else {
            return false;
        };
        let opened = opening.await;
        self.opening = None;
        let error = match opened {
            Ok(Ok(lane)) => {
                self.lane = Some(lane);
                return true;
            }
            Ok(Err(error)) => error.map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        // A missing queue is waited for: whoever declares the topology may be late.
        if self.failures == 0 {
            tracing::warn!(broker.queue = self.queue, error, "subscription refused");
        }
        self.note_failure();
        false
    }

    /// The pause is a point in time, so that a caller who gives up waiting for a batch and asks
    /// again does not begin it anew.
    fn note_failure(&mut self) {
        self.not_before = Instant::now() + pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
    }
}

impl Lane {
    /// An error without a cause: it took too long.
    async fn open_in_time(
        live: Arc<Live<()>>,
        queue: String,
        prefetch: u16,
    ) -> Result<Self, Option<lapin::Error>> {
        match timeout(SUBSCRIBE_LIMIT, Self::open(live, &queue, prefetch)).await {
            Ok(opened) => opened.map_err(Some),
            Err(_) => Err(None),
        }
    }

    async fn open(live: Arc<Live<()>>, queue: &str, prefetch: u16) -> lapin::Result<Self> {
        let channel = live.connection.create_channel().await?;
        channel
            .basic_qos(prefetch, BasicQosOptions::default())
            .await?;
        let options = BasicConsumeOptions::default();
        let stream = channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await?;
        Ok(Self {
            live,
            channel,
            stream,
            ended: false,
        })
    }

    fn take_waiting(&mut self, first: lapin::message::Delivery, max: usize) -> Vec<Delivery> {
        let over = self.live.over();
        let mut batch = vec![Delivery::from_lapin(first, over)];
        while batch.len() < max {
            match self.stream.next().now_or_never() {
                Some(Some(Ok(next))) => batch.push(Delivery::from_lapin(next, over)),
                Some(Some(Err(_)) | None) => {
                    self.ended = true;
                    break;
                }
                None => break,
            }
        }
        batch
    }
}

/// A connection that several consumers share. It is for consuming only: a connection that also
/// publishes cannot acknowledge while an alarm blocks it.
#[derive(Clone)]
pub struct ConsumerConnection {
    link: Arc<Link<()>>,
}

impl ConsumerConnection {
    /// Starts connecting in the background. `name` is what operators see in the broker's list of
    /// connections. Needs a tokio runtime.
    #[must_use]
    pub fn start(urls: &BrokerUrls, name: &str) -> Self {
        Self {
            link: Arc::new(Link::start(urls, name, Purpose::Consume)),
        }
    }

    /// A consumer of one queue that holds up to `prefetch` deliveries. It subscribes with its
    /// first [`next_batch`](Consumer::next_batch), and waits for a queue that does not exist yet.
    #[must_use]
    pub fn subscribe(&self, queue: &str, prefetch: u16) -> Consumer {
        Consumer {
            connection: self.clone(),
            queue: queue.to_owned(),
            prefetch,
            lane: None,
            opening: None,
            failures: 0,
            not_before: Instant::now(),
            draining: false,
        }
    }

    /// Whether the connection is there.
    #[must_use]
    pub fn state(&self) -> BrokerState {
        self.link.state()
    }

    /// Waits until the connection is there; `false` when it is not within the time.
    pub async fn connected(&self, within: Duration) -> bool {
        matches!(timeout(within, self.link.connected()).await, Ok(Some(_)))
    }

    /// Closes the connection under all its consumers; what they hold goes back to the queues.
    pub async fn close(&self) {
        self.link.close().await;
    }
}
