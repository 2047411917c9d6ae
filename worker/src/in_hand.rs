//! Tells the message that kills workers from those that were only held beside it.
//!
//! When a worker dies, the broker counts a return for every message it held. So whoever handles a
//! message that came back notes so in the database first, and takes the note back when it is done.
//! A message that comes with such a note was in hand when a worker died: a suspect. All others are
//! innocent, however often they came back.

use shared::broker::Delivery;
use shared::domain::outcome::Failure;

use crate::batch::{Applier, GiveBack, until_answered};

/// Notes of one queue.
#[derive(Clone)]
pub struct InHand {
    applier: Applier,
    queue: &'static str,
}

impl InHand {
    /// Notes about messages of this queue.
    pub fn new(applier: Applier, queue: &'static str) -> Self {
        Self { applier, queue }
    }

    /// Notes that a message is being handled if it came back; `false` for a suspect. A note that
    /// cannot be made keeps nobody from handling the message.
    pub async fn take(&self, delivery: &Delivery) -> Result<bool, GiveBack> {
        if !came_back(delivery) {
            return Ok(true);
        }
        let store = self.applier.store();
        let note = || store.in_hand_take(self.queue, &delivery.body);
        let noted = until_answered(&self.applier, note).await?;
        Ok(noted.unwrap_or_else(|failure| {
            complain(&failure);
            true
        }))
    }

    /// Takes the note back.
    pub async fn put_down(&self, delivery: &Delivery) -> Result<(), GiveBack> {
        if !came_back(delivery) {
            return Ok(());
        }
        let store = self.applier.store();
        let note = || store.in_hand_put_down(self.queue, &delivery.body);
        let noted = until_answered(&self.applier, note).await?;
        noted.unwrap_or_else(|failure| complain(&failure));
        Ok(())
    }
}

/// Whether somebody held it before and did not acknowledge it.
pub fn came_back(delivery: &Delivery) -> bool {
    delivery.delivery_count > 0
}

fn complain(failure: &Failure) {
    tracing::warn!(error = %failure.chain(), "what is in hand cannot be noted");
}
