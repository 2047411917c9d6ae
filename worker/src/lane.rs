//! A lane: one subscription, one batch at a time, acknowledged together once every message of it
//! is settled. Several lanes of a role work side by side.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use shared::broker::{Consumer, ConsumerConnection, Delivery};
use shared::fault;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::batch::GiveBack;
use crate::gate::{Gate, Passage};
use crate::pace::{Pace, SUSPECT};

/// A queue that is empty for this long has nothing suspicious at its head.
const CALM: Duration = Duration::from_millis(200);

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

/// After a subscription: another one, or the end because the worker stops. What the consumer still
/// holds then goes back when the process lets go of all its consumers at once: earlier it would
/// only move on to a lane that is about to stop too, and count once more.
type Next = ControlFlow<Option<Consumer>>;

impl<R: Role> Lane<R> {
    /// Runs until the worker stops. What the lane could not settle goes back with the consumer.
    pub async fn run(self) -> Option<Consumer> {
        while !self.stop.is_cancelled() {
            let next = if self.pace.is_full() {
                self.full().await
            } else if self.options.leads {
                self.careful().await
            } else {
                tokio::select! {
                    () = self.pace.full() => continue,
                    () = self.stop.cancelled() => return None,
                }
            };
            match next {
                ControlFlow::Break(consumer) => return consumer,
                ControlFlow::Continue(()) => self.wait_for_database().await,
            }
        }
        None
    }

    /// Takes what is waiting, up to a batch, until something interrupts.
    async fn full(&self) -> Next {
        let _many = tokio::select! {
            many = self.pace.many() => many,
            () = self.stop.cancelled() => return ControlFlow::Break(None),
        };
        let max = self.options.batch_max;
        // Half of the next batch is here when the present one is committed. Not more: what a worker
        // holds when it dies counts as delivered once more.
        let prefetch = u16::try_from(max + max / 2).unwrap_or(u16::MAX);
        let mut consumer = self.connection.subscribe(self.options.queue, prefetch);
        let mut all_acked = true;
        loop {
            let batch = tokio::select! {
                biased;
                () = self.interrupted(), if !consumer.is_draining() => {
                    consumer.drain().await;
                    continue;
                }
                batch = consumer.next_batch(max) => batch,
            };
            let Some(batch) = batch else { break };
            let work = self.settle(&batch, &mut all_acked);
            if self.settle_or_drain(work, &mut consumer).await.is_err() {
                break;
            }
        }
        self.end(consumer).await
    }

    /// One message in hand at a time, until one comes that never came back, or none comes.
    async fn careful(&self) -> Next {
        let _single = tokio::select! {
            single = self.pace.single() => single,
            () = self.stop.cancelled() => return ControlFlow::Break(None),
        };
        let mut consumer = self.connection.subscribe(self.options.queue, 1);
        tokio::select! {
            () = consumer.ready() => {}
            () = self.stop.cancelled() => {}
        }
        loop {
            let next = tokio::select! {
                next = timeout(CALM, consumer.next_batch(1)) => next,
                () = self.stop.cancelled() => Ok(None),
            };
            let calm = match next {
                Err(_) => true,
                Ok(None) => break,
                Ok(Some(batch)) => {
                    if self.settle_alone(&batch, true).await.is_err() {
                        return self.end(consumer).await;
                    }
                    batch.iter().all(|delivery| delivery.delivery_count == 0)
                }
            };
            if calm {
                self.pace.go_full();
                break;
            }
        }
        consumer.drain().await;
        // What arrived before the flow stopped is settled in the same way.
        while let Some(batch) = consumer.next_batch(1).await {
            if self.settle_alone(&batch, true).await.is_err() {
                break;
            }
        }
        self.end(consumer).await
    }

    /// Waits until a lane that holds many messages must stop the flow: the worker stops, a suspect
    /// is at large, or the database is away. The last because what one lane gives back in a long
    /// outage would go to the next one, which gives it back as well: each time counts, and the
    /// outage would end in dead letters.
    async fn interrupted(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.pace.interrupted() => {}
            () = self.gate.closed() => {}
        }
    }

    /// Stops the flow as soon as something interrupts, also in the middle of a batch.
    async fn settle_or_drain(
        &self,
        work: impl Future<Output = Result<(), GiveBack>>,
        consumer: &mut Consumer,
    ) -> Result<(), GiveBack> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            settled = &mut work => return settled,
            () = self.interrupted(), if !consumer.is_draining() => {}
        }
        consumer.drain().await;
        work.await
    }

    /// Settles a batch. Messages that came back are handled alone, so that one that kills the
    /// worker takes no neighbour with it; suspects are left unacknowledged, and from then on each
    /// message must be acknowledged by itself.
    async fn settle(&self, batch: &[Delivery], all_acked: &mut bool) -> Result<(), GiveBack> {
        let came_back = |delivery: &Delivery| delivery.delivery_count > 0;
        let suspect = |delivery: &Delivery| delivery.delivery_count >= SUSPECT;
        for group in batch.chunk_by(|a, b| !came_back(a) && !came_back(b)) {
            if group.iter().any(suspect) {
                *all_acked = false;
                self.pace.slow_down();
            } else {
                self.settle_alone(group, *all_acked).await?;
            }
        }
        Ok(())
    }

    async fn settle_alone(&self, group: &[Delivery], through: bool) -> Result<(), GiveBack> {
        fault::point("worker.received").await;
        self.role.handle(group).await?;
        fault::point("worker.before_ack").await;
        // A channel that is gone means that all of it comes again, which changes nothing.
        match group.last() {
            Some(last) if through => {
                last.tag.ack_through().await;
            }
            _ => {
                for delivery in group {
                    delivery.tag.ack().await;
                }
            }
        }
        Ok(())
    }

    /// Gives back what is left, at once or with the end of the process.
    async fn end(&self, mut consumer: Consumer) -> Next {
        if self.stop.is_cancelled() {
            consumer.drain().await;
            return ControlFlow::Break(Some(consumer));
        }
        consumer.close().await;
        ControlFlow::Continue(())
    }

    async fn wait_for_database(&self) {
        while self.gate.pass(Duration::from_secs(60)).await == Passage::StillClosed {}
    }
}
