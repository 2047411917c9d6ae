//! How many messages a worker may hold at once.
//!
//! When a worker dies the broker counts a delivery for every message it held, the culprit and its
//! neighbours alike, of whatever queue; and it may count once for each lane, because it hands what
//! one channel held on to the next one that is about to go. So a worker starts carefully: one role
//! after the other takes one message at a time, while the process holds nothing else, until it
//! meets a message that never came back; then that role goes to full pace. When a lane meets a
//! message that was in hand when a worker died ([`in_hand`](crate::in_hand)) it leaves it to the
//! queue, and its role is careful again. Messages that came back are at the head of the queue.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

/// What the roles of one process share; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Hands {
    /// Read by lanes that hold many messages, written by the one that holds a single one.
    held: Arc<RwLock<()>>,
    /// How many lanes wait until the process holds nothing.
    waiting: Arc<watch::Sender<usize>>,
}

impl Hands {
    /// The pace of one role: careful, as every role starts.
    pub fn pace(&self) -> Pace {
        Pace {
            full: Arc::new(watch::Sender::new(false)),
            taking: Arc::default(),
            hands: self.clone(),
        }
    }
}

/// The pace of one role; clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    full: Arc<watch::Sender<bool>>,
    /// How many lanes messages flow to.
    taking: Arc<watch::Sender<usize>>,
    hands: Hands,
}

impl Pace {
    /// Whether every lane may take as much as it likes.
    pub fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Nothing suspicious at the head of the queue.
    pub fn go_full(&self) {
        self.full.send_replace(true);
    }

    /// A suspect was met.
    pub fn slow_down(&self) {
        if self.full.send_replace(false) {
            tracing::warn!("a worker died with a message in hand: handling one at a time");
        }
    }

    /// Waits for full pace.
    pub async fn full(&self) {
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = self.full.subscribe().wait_for(|full| *full).await;
    }

    /// The right to hold many messages.
    pub async fn many(&self) -> OwnedRwLockReadGuard<()> {
        self.hands.held.clone().read_owned().await
    }

    /// Waits until those who hold many messages should hold none.
    pub async fn interrupted(&self) {
        let mut full = self.full.subscribe();
        let mut waiting = self.hands.waiting.subscribe();
        tokio::select! {
            _ = full.wait_for(|full| !full) => {}
            _ = waiting.wait_for(|waiting| *waiting > 0) => {}
        }
    }

    /// A lane to which messages flow, until dropped.
    pub fn taking(&self) -> Counted {
        Counted::one(&self.taking)
    }

    /// Waits until messages flow to no lane. What a lane gives back before would only go on to the
    /// next one, which gives it back as well: each time counts.
    pub async fn still(&self) {
        let mut taking = self.taking.subscribe();
        // The sender lives as long as this value, so waiting cannot fail.
        let _ = taking.wait_for(|taking| *taking == 0).await;
    }

    /// The right to hold a single message, once the process holds no other.
    pub async fn single(&self) -> OwnedRwLockWriteGuard<()> {
        let _waiting = Counted::one(&self.hands.waiting);
        self.hands.held.clone().write_owned().await
    }
}

/// One more, until dropped.
#[derive(Debug)]
pub struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn one(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|number| *number += 1);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}
