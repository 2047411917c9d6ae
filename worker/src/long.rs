//! Work that takes its time: the lane that took its message goes on with others meanwhile, and the
//! message is acknowledged by itself when the work is done.

use futures::future::BoxFuture;
use shared::broker::Delivery;
use shared::fault;
use tokio::task::JoinSet;

use crate::batch::GiveBack;
use crate::in_hand::InHand;

/// Work on one delivery of a group.
pub struct Long {
    /// Its place in the group.
    pub index: usize,
    /// To be done.
    pub work: BoxFuture<'static, Result<(), GiveBack>>,
}

impl Long {
    /// Does the work and acknowledges the delivery.
    pub async fn settle(self, delivery: Delivery, in_hand: InHand) -> Result<(), GiveBack> {
        self.work.await?;
        in_hand.put_down(&delivery).await?;
        fault::point("worker.before_ack").await;
        delivery.tag.ack().await;
        Ok(())
    }
}

/// What a subscription holds beside the batch in hand.
#[derive(Default)]
pub struct Held {
    /// Suspects are left to the queue.
    pub suspects: bool,
    longs: JoinSet<Result<(), GiveBack>>,
}

impl Held {
    /// Whether all deliveries before the batch in hand are acknowledged.
    pub fn is_nothing(&self) -> bool {
        !self.suspects && self.longs.is_empty()
    }

    /// Begins long work.
    pub fn begin(&mut self, long: Long, delivery: Delivery, in_hand: InHand) {
        self.longs.spawn(long.settle(delivery, in_hand));
    }

    /// Waits until some long work has ended; for ever when there is none.
    pub async fn one_ended(&mut self) -> Result<(), GiveBack> {
        match self.longs.join_next().await {
            Some(ended) => ended.unwrap_or_else(|error| {
                tracing::error!(%error, "long work panicked");
                Err(GiveBack)
            }),
            None => std::future::pending().await,
        }
    }

    /// Waits until all of it has ended.
    pub async fn all_ended(&mut self) -> Result<(), GiveBack> {
        while !self.longs.is_empty() {
            self.one_ended().await?;
        }
        Ok(())
    }
}
