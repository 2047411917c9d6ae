//! Tells the broker what became of a message. The only place where a failure turns into a delay
//! or a dead letter; the message is acknowledged by the lane, after all this.

use std::time::Duration;

use rand::Rng as _;
use shared::broker::topology::{DelayLevel, level_for};
use shared::broker::{Delivery, Destination, Envelope, Headers, PublishError, Publisher};
use shared::domain::outcome::{DeadReason, Failure, Step, next_step};
use shared::fault;
use shared::telemetry::metrics;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The broker has this long to confirm before the publish is tried again.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
/// Pause after a publish that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// The worker stopped before the broker had confirmed; the message goes back to its queue.
#[derive(Debug, thiserror::Error)]
#[error("stopping before the broker confirmed")]
pub struct Stopping;

/// Publishes on behalf of messages in hand.
#[derive(Clone)]
pub struct Settler {
    publisher: Publisher,
    max_attempts: u32,
    stop: CancellationToken,
}

impl Settler {
    /// Messages are given up after `max_attempts`.
    pub fn new(publisher: Publisher, max_attempts: u32, stop: CancellationToken) -> Self {
        Self {
            publisher,
            max_attempts,
            stop,
        }
    }

    /// Sees to a message that failed for its own sake: a delay queue or the dead letters. Failures
    /// that blame nobody are waited out before, so one that comes here counts as an attempt.
    pub async fn failed(
        &self,
        delivery: &Delivery,
        queue: &str,
        failure: Failure,
    ) -> Result<(), Stopping> {
        let attempt = delivery.headers.attempt;
        let chain = failure.chain();
        let jitter = rand::rng().random_range(0.0..1.0);
        match next_step(&Err(failure), attempt, self.max_attempts, jitter) {
            Step::Dead(reason) => self.bury(delivery, queue, reason, &chain).await,
            Step::RetryAfter(delay) => {
                metrics::retried("failed");
                tracing::warn!(
                    message.attempt = attempt,
                    message.delay_ms = delay.as_millis(),
                    error = chain,
                    "attempt failed, trying again later"
                );
                let headers = delivery.headers.clone().retried(OffsetDateTime::now_utc());
                let envelope = Envelope {
                    body: delivery.body.clone(),
                    headers,
                };
                let to = Destination::Retry(level_for(delay), &delivery.routing_key);
                self.publish(&to, envelope).await
            }
            Step::Ack | Step::Wait => self.delay(delivery, DelayLevel::S10).await,
        }
    }

    /// Whether a failure of this message would be its last.
    pub fn is_last(&self, delivery: &Delivery) -> bool {
        delivery.headers.attempt >= self.max_attempts
    }

    /// Puts a message off without blaming it.
    pub async fn delay(&self, delivery: &Delivery, level: DelayLevel) -> Result<(), Stopping> {
        metrics::waited("gateway");
        let to = Destination::Retry(level, &delivery.routing_key);
        self.publish(&to, delivery.envelope()).await
    }

    /// Publishes a new message, however often it takes.
    pub async fn publish(&self, to: &Destination<'_>, envelope: Envelope) -> Result<(), Stopping> {
        loop {
            match self
                .publisher
                .publish(to, envelope.clone(), CONFIRM_LIMIT)
                .await
            {
                Ok(()) => {
                    fault::point("worker.published").await;
                    return Ok(());
                }
                Err(error) => self.pause_after(&error).await?,
            }
        }
    }

    async fn bury(
        &self,
        delivery: &Delivery,
        queue: &str,
        reason: DeadReason,
        chain: &str,
    ) -> Result<(), Stopping> {
        tracing::error!(
            message.reason = reason.as_str(),
            message.attempt = delivery.headers.attempt,
            error = chain,
            "message is dead"
        );
        let now = OffsetDateTime::now_utc();
        let mut headers = delivery.headers.clone();
        headers
            .message_id
            .get_or_insert_with(|| Uuid::now_v7().to_string());
        let headers = headers.dead(reason.as_str(), chain, queue, &delivery.routing_key, now);
        let envelope = Envelope {
            body: delivery.body.clone(),
            headers,
        };
        self.publish(&Destination::Dead, envelope).await?;
        metrics::dead_lettered(reason.as_str());
        Ok(())
    }

    async fn pause_after(&self, error: &PublishError) -> Result<(), Stopping> {
        metrics::waited("broker");
        tracing::warn!(%error, "publish failed, trying again");
        tokio::select! {
            () = self.stop.cancelled() => Err(Stopping),
            () = tokio::time::sleep(PAUSE) => Ok(()),
        }
    }
}

/// Headers of a message that the worker itself begins.
pub fn own_headers(traceparent: Option<String>) -> Headers {
    let mut headers = Headers::new("system", OffsetDateTime::now_utc());
    headers.traceparent = traceparent;
    headers
}
