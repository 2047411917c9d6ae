//! The only way to publish: `Ok` means that the message is on a durable queue.
//!
//! A channel of the client library that is shared by tasks hands confirms to the wrong publisher
//! under load, so each has a task of its own that writes to it: see `flight`. Waiting is bounded, and what
//! cannot work now is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{join_all, select_all};
use lapin::types::ShortString;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{BrokerState, BrokerUrls};
use super::envelope::{Envelope, Headers};
use super::flight::{self, Parcel, Pool};
use super::link::{Link, Live, Purpose};
use super::topology::{self, DelayLevel};

/// Publishes with confirms, many at once. Clones share the connections, which close when the last
/// clone is gone.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    links: Vec<Link<Pool>>,
    permits: Arc<Semaphore>,
    limit: u32,
    closing: AtomicBool,
    runtime: Handle,
}

impl Publisher {
    /// Starts connecting in the background; publishing fails with [`PublishError::Down`] until
    /// the broker has answered. Needs a tokio runtime.
    #[must_use]
    pub fn start(urls: &BrokerUrls, options: &PublisherOptions) -> Self {
        let links = (0..options.connections.max(1))
            .map(|_| Link::start(urls, &options.name, Purpose::Publish))
            .collect();
        let limit = options.in_flight.max(1);
        Self(Arc::new(Inner {
            links,
            permits: Arc::new(Semaphore::new(usize::from(limit))),
            limit: u32::from(limit),
            closing: AtomicBool::new(false),
            runtime: Handle::current(),
        }))
    }

    /// Publishes one message and waits until the broker has it, never longer than `within`.
    ///
    /// At most half of `within` is spent waiting for others' answers, so that what is left suffices
    /// for the broker. A caller that goes away does not undo the publish.
    ///
    /// # Errors
    /// [`PublishError`]: the message must not be counted as stored. Whether the broker has it
    /// all the same tells [`PublishError::outcome_unknown`].
    pub async fn publish(
        &self,
        to: &Destination<'_>,
        envelope: Envelope,
        within: Duration,
    ) -> Result<(), PublishError> {
        let now = Instant::now();
        let route = to.route(&envelope.headers).ok_or(PublishError::Returned)?;
        let permit = self.permit(now + within / 2).await?;
        let live = self.pick()?;
        let (answer, answered) = oneshot::channel();
        let deadline = now + within;
        let parcel = Parcel {
            route,
            envelope,
            deadline,
            answer,
            permit,
        };
        if live.kept.accept(parcel) {
            self.0.runtime.spawn(flight::serve(live.clone()));
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_unanswered)) => Err(PublishError::Lost),
            Err(_) => {
                flight::not_answered(&live, now);
                Err(PublishError::Timeout)
            }
        }
    }

    /// Up when at least one connection is, else blocked when at least one is, else down.
    #[must_use]
    pub fn state(&self) -> BrokerState {
        match self.pick() {
            Ok(_) => BrokerState::Up,
            Err(PublishError::Blocked) => BrokerState::Blocked,
            Err(_) => BrokerState::Down,
        }
    }

    /// Publishes that wait for the broker's answer right now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        (self.0.limit as usize).saturating_sub(self.0.permits.available_permits())
    }

    /// Waits until a connection is up or blocked; `false` when there is none within the time.
    pub async fn connected(&self, within: Duration) -> bool {
        let any = select_all(self.0.links.iter().map(|link| Box::pin(link.connected())));
        matches!(timeout(within, any).await, Ok((Some(_), ..)))
    }

    /// Refuses new messages, waits for the answers to those in flight, at most `within`, and
    /// closes the connections.
    pub async fn close(&self, within: Duration) {
        self.0.closing.store(true, Ordering::Relaxed);
        if timeout(within, self.0.permits.acquire_many(self.0.limit))
            .await
            .is_err()
        {
            tracing::warn!(
                broker.in_flight = self.in_flight(),
                "publisher closed with messages in flight"
            );
        }
        self.0.permits.close();
        join_all(self.0.links.iter().map(Link::close)).await;
    }

    /// The right to send one message. Refused at once when there is no connection to send it on.
    async fn permit(&self, patience: Instant) -> Result<OwnedSemaphorePermit, PublishError> {
        match self.0.permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::Closed) => Err(PublishError::Down),
            Err(TryAcquireError::NoPermits) => {
                self.pick()?;
                match timeout_at(patience, self.0.permits.clone().acquire_owned()).await {
                    Ok(Ok(permit)) => Ok(permit),
                    Ok(Err(_closed)) => Err(PublishError::Down),
                    Err(_) => Err(PublishError::Busy),
                }
            }
        }
    }

    /// The usable connection with the fewest messages in flight.
    fn pick(&self) -> Result<Arc<Live<Pool>>, PublishError> {
        if self.0.closing.load(Ordering::Relaxed) {
            return Err(PublishError::Down);
        }
        let mut refusal = PublishError::Down;
        let mut best: Option<Arc<Live<Pool>>> = None;
        for live in self.0.links.iter().filter_map(Link::live) {
            match live.state() {
                BrokerState::Down => {}
                BrokerState::Blocked => refusal = PublishError::Blocked,
                BrokerState::Up => {
                    let load = live.kept.in_flight();
                    if best
                        .as_ref()
                        .is_none_or(|best| load < best.kept.in_flight())
                    {
                        best = Some(live);
                    }
                }
            }
        }
        best.ok_or(refusal)
    }
}

/// How a [`Publisher`] spreads its work.
#[derive(Debug, Clone)]
pub struct PublisherOptions {
    /// What operators see in the broker's list of connections.
    pub name: String,
    /// Connections; one client thread each.
    pub connections: u8,
    /// Messages that may wait for the broker's answer, over all connections. Between 64 and 512 is
    /// fast; more adds latency.
    pub in_flight: u16,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            name: "lunas".to_owned(),
            connections: 1,
            in_flight: 256,
        }
    }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// The queue of verified notifications.
    Webhooks,
    /// The job queue; the job's name, without dots.
    Job(&'a str),
    /// A delay queue, to come back with the given routing key.
    Retry(DelayLevel, &'a str),
    /// The dead-letter queue. The routing key is the one in the headers.
    Dead,
    /// Outgoing domain events, by type, such as `order.paid`. Nobody need listen.
    Event(&'a str),
}

impl<'a> Destination<'a> {
    /// Where a message with this routing key belongs, such as one that is replayed.
    #[must_use]
    pub fn of_routing_key(key: &'a str) -> Option<Self> {
        if key == topology::WEBHOOK_KEY {
            return Some(Self::Webhooks);
        }
        key.strip_prefix(topology::JOB_KEY_PREFIX).map(Self::Job)
    }

    /// `None` when the routing key is longer than AMQP allows.
    fn route(&self, headers: &Headers) -> Option<Route> {
        let route = |exchange: &str, key: ShortString| Route {
            exchange: exchange.into(),
            key,
            mandatory: true,
        };
        Some(match self {
            Self::Webhooks => route(topology::EXCHANGE, topology::WEBHOOK_KEY.into()),
            Self::Job(name) => {
                let key = format!("{}{name}", topology::JOB_KEY_PREFIX);
                route(topology::EXCHANGE, ShortString::try_new(key).ok()?)
            }
            Self::Retry(level, key) => route(level.queue(), ShortString::try_new(*key).ok()?),
            Self::Dead => {
                // A dead letter must never fail for the sake of its routing key: the exchange is a
                // fanout, and the headers have the key too.
                let key = headers.routing_key.as_deref().unwrap_or_default();
                route(
                    topology::DEAD_EXCHANGE,
                    ShortString::try_new(key).unwrap_or_default(),
                )
            }
            Self::Event(kind) => Route {
                mandatory: false,
                ..route(topology::EVENTS_EXCHANGE, ShortString::try_new(*kind).ok()?)
            },
        })
    }
}

pub(super) struct Route {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) mandatory: bool,
}

/// Why a message must not be counted as published.
#[derive(Debug, Clone, Error)]
pub enum PublishError {
    /// There is no connection. Answered at once; the message was not sent.
    #[error("the broker is not reachable")]
    Down,
    /// A memory or disk alarm is on. Answered at once; the message was not sent.
    #[error("the broker blocks publishing because of a memory or disk alarm")]
    Blocked,
    /// Too many wait already. The message was not sent.
    #[error("too many messages wait for the broker's answer")]
    Busy,
    /// No answer in time. The broker may have the message.
    #[error("the broker did not confirm in time")]
    Timeout,
    /// No queue is bound for it. The message was dropped.
    #[error("the broker has no queue for the message")]
    Returned,
    /// The broker refused it.
    #[error("the broker refused the message")]
    Nacked,
    /// The connection was lost before the answer. The broker may have the message.
    #[error("the connection was lost before the broker confirmed")]
    Lost,
    /// The channel failed before the answer. The broker may have the message.
    #[error("the channel failed before the broker confirmed")]
    Amqp(#[from] lapin::Error),
}

impl PublishError {
    /// Whether the broker may have the message all the same.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        match self {
            Self::Timeout | Self::Nacked | Self::Lost | Self::Amqp(_) => true,
            Self::Down | Self::Blocked | Self::Busy | Self::Returned => false,
        }
    }

    /// The word for metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Blocked => "blocked",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Returned => "returned",
            Self::Nacked => "nacked",
            Self::Lost => "lost",
            Self::Amqp(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn a_routing_key_leads_back_to_its_destination() {
        assert_eq!(
            Destination::of_routing_key("webhook.midtrans"),
            Some(Destination::Webhooks)
        );
        assert_eq!(
            Destination::of_routing_key("job.alerts"),
            Some(Destination::Job("alerts"))
        );
        assert_eq!(Destination::of_routing_key("other"), None);
    }

    #[test]
    fn a_routing_key_that_is_too_long_keeps_no_letter_out_of_the_dead_letter_queue() {
        let long = "k".repeat(300);
        let mut headers = Headers::new("webhook", OffsetDateTime::UNIX_EPOCH);
        headers.routing_key = Some(long.clone());
        assert!(
            Destination::Dead
                .route(&headers)
                .unwrap()
                .key
                .as_str()
                .is_empty()
        );
        assert!(Destination::Job(&long).route(&headers).is_none());
    }
}
