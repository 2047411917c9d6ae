//! The dead-letter keeper: the role of `lunas.dead`. A dead letter stays in the queue until it is
//! committed to `dead_letters`, where operators search and replay it.

use std::time::Duration;

use shared::broker::Delivery;
use shared::dead_letters::{keep, measure};
use shared::fault;
use shared::store::Store;

use crate::batch::{Applier, GiveBack, unless_silent};
use crate::lane::Role;
use crate::long::Long;

/// Pause before letters that the database refuses in every form are met again.
const PAUSE: Duration = Duration::from_secs(5);

/// How often the gauge of what lies in dead letters is renewed.
const MEASURE_PERIOD: Duration = Duration::from_secs(15);

/// Renews the gauge of rupiah in dead letters until the task is dropped. A database that is away
/// leaves it as it is: the gate reports that.
pub async fn measure_for_ever(store: Store) {
    let mut tick = tokio::time::interval(MEASURE_PERIOD);
    loop {
        tick.tick().await;
        if let Err(error) = measure(&store).await {
            tracing::debug!(%error, "dead letters not measured");
        }
    }
}

/// Keeps dead letters.
#[derive(Clone)]
pub struct DeadLetters {
    applier: Applier,
}

impl DeadLetters {
    /// The role with what it works on.
    pub fn new(applier: Applier) -> Self {
        Self { applier }
    }
}

impl Role for DeadLetters {
    async fn handle(&self, group: &[Delivery]) -> Result<Vec<Long>, GiveBack> {
        loop {
            match unless_silent(keep(self.applier.store(), group)).await {
                Ok(kept) if kept.refused.is_empty() => {
                    fault::point("keeper.kept").await;
                    return Ok(Vec::new());
                }
                Ok(kept) => {
                    let refused: Vec<usize> =
                        kept.refused.iter().map(|refused| refused.index).collect();
                    for (index, delivery) in group.iter().enumerate() {
                        if !refused.contains(&index) {
                            delivery.tag.ack().await;
                        }
                    }
                    tracing::error!(
                        dead_letters.refused = refused.len(),
                        "dead letters that cannot be stored stay in the queue"
                    );
                    tokio::time::sleep(PAUSE).await;
                    return Err(GiveBack);
                }
                // Whatever the class: a dead letter is never given up, so the keeper waits.
                Err(failure) => self.applier.wait(&failure).await?,
            }
        }
    }
}
