//! Dead letters that are notifications other than the classic one: each gets its row, as the
//! classic ones do.

use tracing::warn;

use super::keep::{chain, is_waited_for};
use crate::broker::{Delivery, Headers, topology};
use crate::domain::notice::bi_snap::{self, Payment, Product};
use crate::domain::notice::{self, NoticeKind, NoticeReading};
use crate::domain::{Observation, Source};
use crate::notices::{Incoming, record};
use crate::store::dead_letters::NewDeadLetter;
use crate::store::{Store, StoreError};

/// The kind that the headers of a dead letter name, when it came from the queue of notifications.
pub(super) fn kind(headers: &Headers, routing_key: &str) -> Option<NoticeKind> {
    if headers.version == 0 || routing_key != topology::WEBHOOK_KEY {
        return None;
    }
    NoticeKind::parse(headers.kind.as_deref()?)
}

/// A BI-SNAP payment that says enough to be applied: it is treated like a classic notification.
pub(super) fn observation(kind: NoticeKind, body: &[u8], headers: &Headers) -> Option<Observation> {
    let NoticeKind::BiSnap(product) = kind else {
        return None;
    };
    if product == Product::Account {
        return None;
    }
    match bi_snap::observe(product, body, headers.received_at, Source::Replay) {
        Ok(Payment::Seen(seen)) => Some(*seen),
        Ok(Payment::Ask(_)) | Err(_) => None,
    }
}

/// A notice that died, when it can be read.
pub(super) struct DeadNotice<'a> {
    kind: NoticeKind,
    reading: NoticeReading,
    delivery: &'a Delivery,
    reason: &'a str,
}

impl<'a> DeadNotice<'a> {
    /// `None` for every other message, and for BI-SNAP payments, which are recorded like classic
    /// notifications.
    pub(super) fn read(delivery: &'a Delivery, letter: &'a NewDeadLetter<'_>) -> Option<Self> {
        let kind = kind(&delivery.headers, &letter.routing_key)?;
        if observation(kind, &delivery.body, &delivery.headers).is_some() {
            return None;
        }
        Some(Self {
            kind,
            reading: notice::read(kind, &delivery.body).ok()?,
            delivery,
            reason: &letter.reason,
        })
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            kind: self.kind,
            reading: &self.reading,
            body: &self.delivery.body,
            received_at: self.delivery.headers.received_at,
            dead: Some(self.reason),
        }
    }
}

/// Gives every notice that died before it was recorded a row with verdict `dead`.
pub(super) async fn record_dead(
    store: &Store,
    deliveries: &[Delivery],
    letters: &[NewDeadLetter<'_>],
) -> Result<(), StoreError> {
    let pairs = deliveries.iter().zip(letters);
    for dead in pairs.filter_map(|(delivery, letter)| DeadNotice::read(delivery, letter)) {
        match record(store, &[dead.incoming()]).await {
            Err(error) if is_waited_for(&error) => return Err(error),
            Err(error) => warn!(
                notice.kind = dead.kind.as_str(),
                error = %chain(&error),
                "Notice of a dead letter not recorded"
            ),
            Ok(_) => {}
        }
    }
    Ok(())
}
