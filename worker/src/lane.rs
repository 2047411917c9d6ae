//! A lane: one subscription, one batch at a time, acknowledged together once every message of it
//! is settled. Several lanes of a role work side by side.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use shared::broker::{Consumer, ConsumerConnection, Delivery};
use shared::fault;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::batch::{GiveBack, panic_text};
use crate::gate::{Gate, Passage};
use crate::in_hand::{InHand, came_back};
use crate::long::{Held, Long};
use crate::pace::{Counted, Pace};

/// A queue that is empty for this long has nothing suspicious at its head.
const CALM: Duration = Duration::from_millis(200);

/// What a lane does with deliveries.
pub trait Role: Send + Sync + 'static {
    /// Settles every delivery of the group but those whose work takes its time. `Err`: none of
    /// them may be acknowledged.
    fn handle(
        &self,
        group: &[Delivery],
    ) -> impl Future<Output = Result<Vec<Long>, GiveBack>> + Send;
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
    /// Which message kills workers.
    pub in_hand: InHand,
    /// The gate before the database.
    pub gate: Gate,
    /// Cancelled when the worker stops.
    pub stop: CancellationToken,
}

/// After a subscription: another one, or the end because the worker stops. What the consumer still
/// holds then goes back when the process lets go of all its consumers at once: earlier it would
/// only move on to a lane that is about to stop too, and count once more.
type Next = ControlFlow<Option<Consumer>>;

/// Many messages on their way to a lane.
struct Flow {
    consumer: Consumer,
    /// As long as more may come.
    taking: Option<Counted>,
}

impl Flow {
    fn is_on(&self) -> bool {
        self.taking.is_some()
    }

    /// No more come, but for those that are here.
    async fn stop(&mut self) {
        self.consumer.drain().await;
        self.taking = None;
    }

    fn ended(self) -> Consumer {
        self.consumer
    }
}

/// The deliveries of a group that are settled with it.
fn without<'a>(group: &'a [Delivery], longs: &[Long]) -> Vec<&'a Delivery> {
    let settled = |index: usize| longs.iter().all(|long| long.index != index);
    let group = group.iter().enumerate();
    group
        .filter_map(|(index, delivery)| settled(index).then_some(delivery))
        .collect()
}

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
        let mut flow = Flow {
            consumer: self.connection.subscribe(self.options.queue, prefetch),
            taking: Some(self.pace.taking()),
        };
        let mut held = Held::default();
        let given_back = loop {
            let batch = tokio::select! {
                biased;
                () = self.interrupted(), if flow.is_on() => {
                    flow.stop().await;
                    continue;
                }
                ended = held.one_ended() => match ended {
                    Ok(()) => continue,
                    Err(GiveBack) => break true,
                },
                batch = flow.consumer.next_batch(max) => batch,
            };
            let Some(batch) = batch else { break false };
            let work = self.settle(&batch, &mut held);
            if self.settle_or_stop(work, &mut flow).await.is_err() {
                break true;
            }
        };
        let consumer = flow.ended();
        // What is given back ends the long work too: its messages go back with the others.
        if !given_back && held.all_ended().await.is_ok() && held.suspects {
            self.pace.still().await;
        }
        self.end(consumer).await
    }

    /// One message in hand at a time, until one comes that never came back, or none comes.
    async fn careful(&self) -> Next {
        let single = tokio::select! {
            single = self.pace.single() => single,
            () = self.stop.cancelled() => return ControlFlow::Break(None),
        };
        let mut consumer = self.connection.subscribe(self.options.queue, 1);
        tokio::select! {
            () = consumer.ready() => {}
            () = self.stop.cancelled() => {}
        }
        let (mut fresh, mut calm) = (Vec::new(), false);
        while !calm {
            let next = tokio::select! {
                next = timeout(CALM, consumer.next_batch(1)) => next,
                () = self.stop.cancelled() => Ok(None),
            };
            match next {
                Ok(Some(batch)) => {
                    if self.settle_if_back(batch, &mut fresh).await.is_err() {
                        return self.end(consumer).await;
                    }
                }
                Ok(None) => break,
                Err(_) => calm = true,
            }
            calm |= !fresh.is_empty();
        }
        if calm {
            self.pace.go_full();
        }
        consumer.drain().await;
        // What arrived before the flow stopped.
        while let Some(batch) = consumer.next_batch(1).await {
            if self.settle_if_back(batch, &mut fresh).await.is_err() {
                return self.end(consumer).await;
            }
        }
        // What never came back may take its time, with the others at full pace.
        drop(single);
        let mut held = Held::default();
        if !fresh.is_empty() && self.settle_group(&fresh, &mut held).await.is_ok() {
            // What failed goes back with the consumer.
            let _ = held.all_ended().await;
        }
        self.end(consumer).await
    }

    /// Settles a message that came back, while the process holds no other.
    async fn settle_if_back(
        &self,
        batch: Vec<Delivery>,
        fresh: &mut Vec<Delivery>,
    ) -> Result<(), GiveBack> {
        for delivery in batch {
            if !came_back(&delivery) {
                fresh.push(delivery);
                continue;
            }
            // A suspect is handled like any other here: it takes nobody along.
            self.in_hand.take(&delivery).await?;
            let mut held = Held::default();
            self.settle_group(&[delivery], &mut held).await?;
            held.all_ended().await?;
        }
        Ok(())
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
    async fn settle_or_stop(
        &self,
        work: impl Future<Output = Result<(), GiveBack>>,
        flow: &mut Flow,
    ) -> Result<(), GiveBack> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            settled = &mut work => return settled,
            () = self.interrupted(), if flow.is_on() => {}
        }
        flow.stop().await;
        work.await
    }

    /// Settles a batch. Messages that came back are handled alone, so that one that kills the
    /// worker is known by its note; suspects are left unacknowledged.
    async fn settle(&self, batch: &[Delivery], held: &mut Held) -> Result<(), GiveBack> {
        for group in batch.chunk_by(|a, b| !came_back(a) && !came_back(b)) {
            if let [back] = group
                && !self.in_hand.take(back).await?
            {
                held.suspects = true;
                self.pace.slow_down();
            } else {
                self.settle_group(group, held).await?;
            }
        }
        Ok(())
    }

    /// Settles deliveries together, and begins what takes its time.
    async fn settle_group(&self, group: &[Delivery], held: &mut Held) -> Result<(), GiveBack> {
        fault::point("worker.received").await;
        let through = held.is_nothing();
        let (settled, longs) = self.handle(group).await?;
        fault::point("worker.before_ack").await;
        // A channel that is gone means that all of it comes again, which changes nothing.
        match group.last() {
            Some(last) if through && longs.is_empty() => {
                last.tag.ack_through().await;
            }
            _ => {
                for delivery in settled {
                    delivery.tag.ack().await;
                }
            }
        }
        for long in longs {
            let delivery = group[long.index].clone();
            held.begin(long, delivery, self.in_hand.clone());
        }
        Ok(())
    }

    /// Lets the role handle a group. A panic gives it back with its notes: where it happens again,
    /// nothing else is in hand.
    async fn handle<'a>(
        &self,
        group: &'a [Delivery],
    ) -> Result<(Vec<&'a Delivery>, Vec<Long>), GiveBack> {
        let work = AssertUnwindSafe(self.role.handle(group)).catch_unwind();
        let handled = match work.await {
            Ok(handled) => handled,
            Err(panic) => {
                let error = panic_text(panic.as_ref());
                tracing::error!(error, queue = self.options.queue, "handling panicked");
                return Err(GiveBack);
            }
        };
        let settled = without(group, handled.as_deref().unwrap_or_default());
        if handled.is_ok() || self.gate.is_open() {
            for delivery in &settled {
                self.in_hand.put_down(delivery).await?;
            }
        }
        handled.map(|longs| (settled, longs))
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
