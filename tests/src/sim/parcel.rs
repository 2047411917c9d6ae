//! One notification on its way to one URL, as bytes and as a line of the log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::log::{Attempt, Verdict};
use super::post::Reply;

/// One notification for one URL.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub(crate) order_id: String,
    pub(crate) transaction_id: String,
    pub(crate) status: String,
    pub(crate) url: String,
    pub(crate) body: Arc<Map<String, Value>>,
    pub(crate) copy: u32,
}

impl Parcel {
    /// The bytes that are sent.
    pub(crate) fn bytes(&self) -> Bytes {
        encode(&self.body)
    }

    /// The log line of an attempt to deliver it.
    pub(crate) fn line(
        &self,
        notification: u64,
        attempt: u32,
        reply: &Reply,
        verdict: Verdict,
        wait: Option<(Duration, Duration)>,
    ) -> Attempt {
        Attempt {
            seq: 0,
            notification,
            copy: self.copy,
            order_id: self.order_id.clone(),
            transaction_id: self.transaction_id.clone(),
            transaction_status: self.status.clone(),
            url: self.url.clone(),
            attempt,
            at: OffsetDateTime::now_utc()
                .format(&Rfc3339)
                .unwrap_or_default(),
            latency_ms: millis(reply.latency),
            http_status: reply.status,
            error: reply.error,
            hops: reply.hops,
            verdict,
            retry_in_ms: wait.map(|(_, real)| millis(real)),
            retry_nominal_s: wait.map(|(nominal, _)| nominal.as_secs()),
            body: Value::Object((*self.body).clone()),
        }
    }
}

/// The bytes of a body; the same map always gives the same bytes.
pub(crate) fn encode(body: &Map<String, Value>) -> Bytes {
    Bytes::from(serde_json::to_vec(body).unwrap_or_default())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
