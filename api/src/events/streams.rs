//! How many streams are open, of each token and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Streams of all tokens together: half of what a listener accepts, so that requests get through.
const MOST: usize = 512;

/// Open streams; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<Arc<str>, usize>>>,
    per_token: usize,
}

/// The place of one open stream, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    streams: Streams,
    token: Arc<str>,
}

impl Streams {
    pub(crate) fn new(per_token: usize) -> Self {
        Self {
            open: Arc::default(),
            per_token,
        }
    }

    /// A seat for one more stream of this token, if there is one.
    pub(super) fn take(&self, token: &Arc<str>) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(token).copied().unwrap_or(0);
        if all >= MOST || own >= self.per_token {
            return None;
        }
        open.insert(Arc::clone(token), own + 1);
        Some(Seat {
            streams: self.clone(),
            token: Arc::clone(token),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let open = &self.streams.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.token) {
            *own = own.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_seats_and_gets_them_back() {
        let streams = Streams::new(2);
        let (web, ana): (Arc<str>, Arc<str>) = ("web".into(), "ana".into());
        let first = streams.take(&web);
        let second = streams.take(&web);
        assert!(first.is_some() && second.is_some());
        assert!(streams.take(&web).is_none());
        assert!(streams.take(&ana).is_some());
        drop(first);
        assert!(streams.take(&web).is_some());
    }

    #[test]
    fn all_tokens_together_leave_room_for_requests() {
        let streams = Streams::new(MOST + 1);
        let web: Arc<str> = "web".into();
        let seats: Vec<_> = (0..MOST).map_while(|_| streams.take(&web)).collect();
        assert_eq!(seats.len(), MOST);
        assert!(streams.take(&"ana".into()).is_none());
    }
}
