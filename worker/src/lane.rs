//! A lane: one subscription, one batch at a time, acknowledged together once every message of it
//! is settled. Several lanes of a role work side by side.

use std::future::Future;
use std::time::Duration;

use shared::broker::{Consumer, ConsumerConnection, Delivery};
use shared::fault;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::batch::GiveBack;
use crate::gate::{Gate, Passage};
use crate::pace::{Pace, SUSPECT};

/// A queue that is empty for this long has nothing suspicious at its head.
const CALM: Duration = Duration::from_millis(300);
/// A worker that stops works on what it has in hand for this long, then gives it back.
const DRAIN_LIMIT: Duration = Duration::from_secs(12);

/// What a lane does with deliveries.
pub trait Role: Send + Sync + 'static {
    /// Settles every delivery of the group. `Err`: none of them may be acknowledged.
    fn handle(&self, group: &[Delivery]) -> impl Future<Output = Result<(), GiveBack>> + Send;
}

/// Where a lane takes its messages from and how much.
#[derive(Debug, Clone)]
pub struct LaneOptions {
    /// The queue.
    pub queue: &'static str,
    /// Most messages of a batch.
    pub batch_max: usize,
    /// The first lane of a role goes on alone when the pace is careful.
    pub leads: bool,
}

/// One lane of a role.
pub struct Lane<R> {
    /// What is done with deliveries.
    pub role: R,
    /// Where they come from.
    pub options: LaneOptions,
    /// The connection that the lanes share.
    pub connection: ConsumerConnection,
    /// The pace that the lanes of a role share.
    pub pace: Pace,
    /// The gate before the database.
    pub gate: Gate,
    /// Cancelled when the worker stops.
    pub stop: CancellationToken,
}

/// Why a subscription ended.
enum Ended {
    Stopped,
    PaceChanged,
    GaveBack,
}

impl<R: Role> Lane<R> {
    /// Runs until the worker stops.
    pub async fn run(self) {
        while !self.stop.is_cancelled() {
            if !self.pace.is_full() && !self.options.leads {
                tokio::select! {
                    () = self.pace.full() => {}
                    () = self.stop.cancelled() => return,
                }
            }
            let ended = if self.pace.is_full() {
                self.full().await
            } else {
                self.careful().await
            };
            match ended {
                Ended::Stopped => return,
                Ended::PaceChanged => {}
                Ended::GaveBack => self.wait_for_database().await,
            }
        }
    }

    /// Takes what is waiting, up to a batch.
    async fn full(&self) -> Ended {
        let max = self.options.batch_max;
        // Twice a batch: the next one is here when the present one is committed.
        let prefetch = u16::try_from(max * 2).unwrap_or(u16::MAX);
        let mut consumer = self.connection.subscribe(self.options.queue, prefetch);
        loop {
            let batch = tokio::select! {
                batch = consumer.next_batch(max) => batch,
                () = self.stop.cancelled() => return self.finish(consumer, Ended::Stopped).await,
            };
            let Some(batch) = batch else {
                return Ended::Stopped;
            };
            match self.settle(&batch).await {
                Ok(()) if self.pace.is_full() => {}
                Ok(()) => return close(consumer, Ended::PaceChanged).await,
                Err(GiveBack) if !self.pace.is_full() => {
                    return close(consumer, Ended::PaceChanged).await;
                }
                Err(GiveBack) => return close(consumer, Ended::GaveBack).await,
            }
        }
    }

    /// One message in hand at a time, until one comes that never came back, or none comes.
    async fn careful(&self) -> Ended {
        let mut consumer = self.connection.subscribe(self.options.queue, 1);
        loop {
            let batch = tokio::select! {
                batch = timeout(CALM, consumer.next_batch(1)) => batch,
                () = self.stop.cancelled() => return self.finish(consumer, Ended::Stopped).await,
            };
            let calm = match batch {
                Err(_) => true,
                Ok(None) => return Ended::Stopped,
                Ok(Some(batch)) => {
                    if self.settle_alone(&batch).await.is_err() {
                        return close(consumer, Ended::GaveBack).await;
                    }
                    batch.iter().all(|delivery| delivery.delivery_count == 0)
                }
            };
            if calm {
                self.pace.go_full();
                return self.finish(consumer, Ended::PaceChanged).await;
            }
        }
    }

    /// Settles a batch. Messages that came back are handled alone, so that one that kills the
    /// worker takes no neighbour with it.
    async fn settle(&self, batch: &[Delivery]) -> Result<(), GiveBack> {
        let came_back = |delivery: &Delivery| delivery.delivery_count > 0;
        for group in batch.chunk_by(|a, b| !came_back(a) && !came_back(b)) {
            if group
                .iter()
                .any(|delivery| delivery.delivery_count >= SUSPECT)
            {
                self.pace.slow_down();
                return Err(GiveBack);
            }
            self.settle_alone(group).await?;
        }
        Ok(())
    }

    async fn settle_alone(&self, group: &[Delivery]) -> Result<(), GiveBack> {
        fault::point("worker.received").await;
        self.role.handle(group).await?;
        fault::point("worker.before_ack").await;
        if let Some(last) = group.last() {
            // A channel that is gone means that all of it comes again, which changes nothing.
            last.tag.ack_through().await;
        }
        Ok(())
    }

    /// Stops the flow and works on what had arrived; what time does not allow goes back.
    async fn finish(&self, mut consumer: Consumer, ended: Ended) -> Ended {
        consumer.drain().await;
        let work = async {
            while let Some(batch) = consumer.next_batch(self.options.batch_max).await {
                if self.settle(&batch).await.is_err() {
                    break;
                }
            }
        };
        if timeout(DRAIN_LIMIT, work).await.is_err() {
            tracing::warn!(
                broker.queue = self.options.queue,
                "stopping with messages in hand"
            );
        }
        close(consumer, ended).await
    }

    async fn wait_for_database(&self) {
        while self.gate.pass(Duration::from_secs(60)).await == Passage::StillClosed {}
    }
}

async fn close(consumer: Consumer, ended: Ended) -> Ended {
    consumer.close().await;
    ended
}
