//! One publish, from the checkout of a channel to the broker's answer.
//!
//! The channel belongs to the flight alone. It goes back to the pool after a clean confirm; after
//! anything else it is dropped, which closes it: a channel that was refused once can stay refused
//! while a new one works, and a late answer must never meet the next message.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, ErrorKind, PublisherConfirm};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::envelope::Envelope;
use super::link::Live;
use super::publisher::{PublishError, Route};

/// A connection on which a publish waited this long while nothing at all was answered is given up.
const SILENCE: Duration = Duration::from_secs(1);

/// The idle channels of one connection, and how it is doing.
pub(super) struct Pool {
    idle: Mutex<Vec<Channel>>,
    in_flight: AtomicUsize,
    since: Instant,
    answered_ms: AtomicU64,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            since: Instant::now(),
            answered_ms: AtomicU64::new(0),
        }
    }
}

impl Pool {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The channel used last comes first: few channels stay warm when there is little to do.
    fn take(&self) -> Option<Channel> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|channel| channel.status().connected())
    }

    fn put(&self, channel: Channel) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(channel);
    }

    fn note_answer(&self) {
        let millis = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered_ms.store(millis, Ordering::Relaxed);
    }

    fn answered_at(&self) -> Instant {
        self.since + Duration::from_millis(self.answered_ms.load(Ordering::Relaxed))
    }
}

/// One publish under way.
pub(super) struct Flight {
    live: Arc<Live<Pool>>,
    permit: Option<OwnedSemaphorePermit>,
    pending: Option<(Channel, PublisherConfirm)>,
    deadline: Instant,
    runtime: Handle,
}

impl Flight {
    pub(super) fn new(
        live: Arc<Live<Pool>>,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
        runtime: Handle,
    ) -> Self {
        live.kept.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            live,
            permit: Some(permit),
            pending: None,
            deadline,
            runtime,
        }
    }

    pub(super) async fn fly(
        mut self,
        route: Route,
        envelope: &Envelope,
    ) -> Result<(), PublishError> {
        let started = Instant::now();
        let deadline = self.deadline;
        if let Ok(outcome) = timeout_at(deadline, self.publish(route, envelope)).await {
            return outcome;
        }
        self.pending = None;
        // An alarm is announced and ends by itself; silence without one means a frozen broker.
        let pool = &self.live.kept;
        let silent = started.elapsed() >= SILENCE && pool.answered_at() < started;
        if silent && !self.live.connection.status().blocked() {
            tracing::warn!("broker answers nothing, connection given up");
            self.live.give_up();
        }
        Err(PublishError::Timeout)
    }

    async fn publish(&mut self, route: Route, envelope: &Envelope) -> Result<(), PublishError> {
        let channel = match self.live.kept.take() {
            Some(channel) => channel,
            None => self.open().await.map_err(PublishError::Amqp)?,
        };
        let options = BasicPublishOptions {
            mandatory: route.mandatory,
            immediate: false,
        };
        let properties = envelope.headers.properties();
        let confirm = channel
            .basic_publish(
                route.exchange,
                route.key,
                options,
                &envelope.body,
                properties,
            )
            .await
            .map_err(PublishError::Amqp)?;
        let (_, confirm) = self.pending.insert((channel, confirm));
        let answer = confirm.await;
        let channel = self.pending.take().map(|(channel, _)| channel);
        let confirmation = answer.map_err(PublishError::Amqp)?;
        self.live.kept.note_answer();
        match confirmation {
            Confirmation::Ack(None) => {
                channel
                    .into_iter()
                    .for_each(|channel| self.live.kept.put(channel));
                Ok(())
            }
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Returned),
            // Without confirm mode nobody knows anything; that must never pass for success.
            Confirmation::Nack(None) | Confirmation::NotRequested => Err(PublishError::Nacked),
        }
    }

    async fn open(&self) -> lapin::Result<Channel> {
        let channel = self.live.connection.create_channel().await;
        let channel = channel.inspect_err(|error| {
            // The client library keeps the places of channels that the broker closed: once none is
            // left, only another connection has any.
            if matches!(error.kind(), ErrorKind::ChannelsLimitReached) {
                self.live.give_up();
            }
        })?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(channel)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.live.kept.in_flight.fetch_sub(1, Ordering::Relaxed);
        // The caller went away before the answer. Somebody has to take it, or the client library
        // would keep it for ever; and the channel stays taken until then.
        if let Some((channel, confirm)) = self.pending.take() {
            let (live, permit, deadline) = (self.live.clone(), self.permit.take(), self.deadline);
            self.runtime.spawn(async move {
                if let Ok(Ok(Confirmation::Ack(None))) = timeout_at(deadline, confirm).await {
                    live.kept.put(channel);
                }
                drop(permit);
            });
        }
    }
}
