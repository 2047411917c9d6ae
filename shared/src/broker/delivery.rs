//! One message out of a queue, and the handle that settles it.

use bytes::Bytes;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, FieldTable};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::envelope::{Envelope, Headers};
use super::fields;

/// One message out of a queue. It stays there, held for this consumer, until its tag is
/// acknowledged; if that never happens somebody gets it again.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The original bytes.
    pub body: Bytes,
    /// What is known about the message, whatever its origin.
    pub headers: Headers,
    /// The key it was published with; it survives delay queues.
    pub routing_key: String,
    /// How often it was handed out before and came back without an acknowledgement.
    pub delivery_count: u32,
    /// The dead-letter hops the broker recorded, newest first.
    pub x_death: Vec<Death>,
    /// What acknowledges it.
    pub tag: Tag,
}

impl Delivery {
    /// The message as it would be published again.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope {
            body: self.body.clone(),
            headers: self.headers.clone(),
        }
    }

    /// Why it is dead: what the worker wrote, or else what the broker did last.
    #[must_use]
    pub fn dead_reason(&self) -> Option<&str> {
        let broker = || self.x_death.first().map(|death| death.reason.as_str());
        self.headers.reason.as_deref().or_else(broker)
    }

    /// The queue it died in: what the worker wrote, or else the broker's last hop.
    #[must_use]
    pub fn dead_queue(&self) -> Option<&str> {
        let broker = || self.x_death.first().map(|death| death.queue.as_str());
        self.headers.queue.as_deref().or_else(broker)
    }

    pub(super) fn from_lapin(delivery: lapin::message::Delivery, over: &CancellationToken) -> Self {
        let headers = Headers::from_properties(&delivery.properties);
        let table = delivery.properties.headers().as_ref();
        let count = table.and_then(|table| table.inner().get("x-delivery-count"));
        let count = count.and_then(fields::number).unwrap_or(0);
        Self {
            headers,
            routing_key: delivery.routing_key.as_str().to_owned(),
            delivery_count: u32::try_from(count).unwrap_or(u32::MAX),
            x_death: table.map(Death::list).unwrap_or_default(),
            body: Bytes::from(delivery.data),
            tag: Tag {
                acker: delivery.acker,
                over: over.clone(),
            },
        }
    }
}

/// What settles a delivery. It belongs to the channel that brought the delivery: once that is
/// gone the broker hands the message out again, and acknowledging does nothing.
#[derive(Debug, Clone)]
pub struct Tag {
    acker: lapin::Acker,
    over: CancellationToken,
}

impl Tag {
    /// Acknowledges this delivery. `false` when its channel is gone: it will be delivered again.
    pub async fn ack(&self) -> bool {
        self.settle(false).await
    }

    /// Acknowledges this delivery and every earlier one of its consumer. `false` when the channel
    /// is gone: all of them will be delivered again.
    pub async fn ack_through(&self) -> bool {
        self.settle(true).await
    }

    /// Whether the channel is still there. It may be gone a moment later.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.acker.usable() && !self.over.is_cancelled()
    }

    async fn settle(&self, multiple: bool) -> bool {
        let options = BasicAckOptions { multiple };
        let answer = tokio::select! {
            biased;
            answer = self.acker.ack(options) => answer,
            // One that is asked for while the connection dies is sometimes never answered.
            () = self.over.cancelled() => return false,
        };
        answer.unwrap_or_else(|error| {
            tracing::debug!(%error, "acknowledgement lost with its channel");
            false
        })
    }
}

/// One dead-letter hop, as the broker recorded it in `x-death`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `expired`, `rejected`, `delivery_limit` or `maxlen`.
    pub reason: String,
    /// The queue it left.
    pub queue: String,
    /// How often it left that queue for that reason.
    pub count: u64,
    /// The routing keys it had.
    pub routing_keys: Vec<String>,
    /// When it did so first.
    pub at: Option<OffsetDateTime>,
}

impl Death {
    fn list(headers: &FieldTable) -> Vec<Self> {
        let Some(AMQPValue::FieldArray(hops)) = headers.inner().get("x-death") else {
            return Vec::new();
        };
        hops.as_slice().iter().filter_map(Self::read).collect()
    }

    fn read(hop: &AMQPValue) -> Option<Self> {
        let AMQPValue::FieldTable(hop) = hop else {
            return None;
        };
        let get = |key: &str| hop.inner().get(key);
        let keys = match get("routing-keys") {
            Some(AMQPValue::FieldArray(keys)) => {
                keys.as_slice().iter().filter_map(fields::text).collect()
            }
            _ => Vec::new(),
        };
        Some(Self {
            reason: get("reason").and_then(fields::text)?,
            queue: get("queue").and_then(fields::text)?,
            count: get("count")
                .and_then(fields::number)
                .map_or(1, |n| n.unsigned_abs()),
            routing_keys: keys,
            at: get("time").and_then(fields::time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::FieldArray;

    #[test]
    fn hops_are_read_and_nonsense_among_them_is_skipped() {
        let mut hop = FieldTable::default();
        hop.insert("reason".into(), AMQPValue::LongString("expired".into()));
        hop.insert(
            "queue".into(),
            AMQPValue::LongString("lunas.retry.2s".into()),
        );
        hop.insert("count".into(), AMQPValue::LongLongInt(3));
        hop.insert("time".into(), AMQPValue::Timestamp(86_400));
        let keys = vec![AMQPValue::LongString("job.alerts".into()), AMQPValue::Void];
        hop.insert(
            "routing-keys".into(),
            AMQPValue::FieldArray(FieldArray::from(keys)),
        );
        let hops = vec![AMQPValue::Void, AMQPValue::FieldTable(hop)];
        let mut headers = FieldTable::default();
        headers.insert(
            "x-death".into(),
            AMQPValue::FieldArray(FieldArray::from(hops)),
        );
        let read = Death::list(&headers);
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].reason.as_str(), read[0].count), ("expired", 3));
        assert_eq!(read[0].queue, "lunas.retry.2s");
        assert_eq!(read[0].routing_keys, ["job.alerts"]);
        assert_eq!(read[0].at.unwrap().unix_timestamp(), 86_400);
    }

    #[test]
    fn a_delivery_without_any_header_is_a_first_delivery() {
        let bare = lapin::message::Delivery::mock(1, "".into(), "k".into(), false, vec![1]);
        let delivery = Delivery::from_lapin(bare, &CancellationToken::new());
        assert_eq!((delivery.delivery_count, delivery.x_death.len()), (0, 0));
        assert_eq!(delivery.dead_reason(), None);
    }
}
