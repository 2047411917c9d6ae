//! Every metric of the fleet: name, kind, unit and help, in one table.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in `/metrics`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The help text shown with it.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows; its name ends in `_total`.
    Counter,
    /// A state now.
    Gauge,
    /// A distribution over these buckets.
    Histogram(Buckets),
}

/// The bounds of a histogram's buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buckets {
    /// Seconds of one request, publish or batch.
    Latency,
    /// Seconds between two facts that may lie hours apart.
    Lag,
    /// A number of messages.
    Count,
}

impl Buckets {
    /// The upper bounds, ascending.
    pub const fn bounds(self) -> &'static [f64] {
        match self {
            Self::Latency => &[
                0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ],
            Self::Lag => &[
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0,
                7200.0, 21600.0,
            ],
            Self::Count => &[
                1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
            ],
        }
    }
}

macro_rules! metrics_table {
    ($($name:ident = $text:literal, $kind:expr, $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*
        /// All of them.
        pub const METRICS: &[Metric] =
            &[$(Metric { name: $name, kind: $kind, help: $help }),*];
    };
}

use Buckets::{Count, Lag, Latency};
use Kind::{Counter, Gauge, Histogram};

metrics_table! {
    BUILD_INFO = "lunas_build_info", Gauge, "Always 1; says which service and version runs";

    INGEST_ACCEPTED = "lunas_ingest_accepted_total", Counter,
        "Notifications answered with 200 after the broker's confirm";
    INGEST_ANSWERS = "lunas_ingest_answers_total", Counter,
        "Answers of the webhook endpoint by HTTP status";
    INGEST_REJECTED = "lunas_ingest_rejected_total", Counter,
        "Notifications not accepted, by problem code";
    INGEST_ABANDONED = "lunas_ingest_abandoned_total", Counter,
        "Notifications whose sender went away before the broker's confirm; they may be stored";
    INGEST_CONNECTIONS = "lunas_ingest_connections", Gauge,
        "Open connections of the public listener";
    HTTP_REQUEST_DURATION = "http_server_request_duration_seconds", Histogram(Latency),
        "Time from the head of a request to its answer";

    PUBLISH_CONFIRM_DURATION = "lunas_publish_confirm_duration_seconds", Histogram(Latency),
        "Time from handing a message to the publisher to the broker's confirm";
    PUBLISHES = "lunas_publishes_total", Counter,
        "Messages handed to the publisher, by destination and outcome";
    BROKER_UP = "lunas_broker_up", Gauge, "1 while the broker accepts messages";
    BROKER_BLOCKED = "lunas_broker_blocked", Gauge,
        "1 while the broker blocks publishers (memory or disk alarm)";
    BROKER_CONNECTS = "lunas_broker_connects_total", Counter,
        "Connections opened to the broker, by purpose";

    NOTIFICATIONS_SETTLED = "lunas_notifications_settled_total", Counter,
        "Notifications that reached their end, by verdict";
    BATCH_MESSAGES = "lunas_batch_messages", Histogram(Count),
        "Messages applied in one database transaction";
    BATCH_DURATION = "lunas_batch_duration_seconds", Histogram(Latency),
        "Time to apply and commit one batch";
    ACCEPT_LAG = "lunas_accept_lag_seconds", Histogram(Lag),
        "Time from the acceptance of a notification to the commit";
    TRANSACTION_LAG = "lunas_transaction_lag_seconds", Histogram(Lag),
        "Time from the gateway's transaction_time to the commit";
    RETRIES = "lunas_retries_total", Counter,
        "Messages put into a delay queue after a failed attempt, by reason";
    WAITS = "lunas_waits_total", Counter,
        "Pauses of consumption that blame no message, by cause";
    BATCH_SPLITS = "lunas_batch_splits_total", Counter,
        "Batches split to find the message that made them fail";
    DEAD_LETTERS = "lunas_dead_letters_total", Counter,
        "Messages published to the dead-letter queue, by reason";
    DEAD_LETTERS_KEPT = "lunas_dead_letters_kept_total", Counter,
        "Dead letters committed to the database, by reason";
    DEAD_LETTERS_RUPIAH = "lunas_dead_letters_rupiah", Gauge,
        "Rupiah in dead letters that nobody has settled";
    OLDEST_UNRECONCILED = "lunas_oldest_unreconciled_seconds", Gauge,
        "Age of the oldest payment that is due for a check";
    PAYMENTS_ORPHANS = "lunas_payments_orphans", Gauge,
        "Payments that came by webhook and belong to no order, told by the leading scheduler";
    PAYMENTS_STUCK = "lunas_payments_stuck", Gauge,
        "Payments that wait for longer than PENDING_SLA after their time, told by the leading scheduler";
    PAYMENTS_MISMATCHES = "lunas_payments_mismatches", Gauge,
        "Payments that are paid while their order does not say so, told by the leading scheduler";
    ORDERS_MISSING_SESSION = "lunas_orders_missing_session", Gauge,
        "Orders that have a payment and name none, told by the leading scheduler";

    GATEWAY_REQUESTS = "lunas_gateway_requests_total", Counter,
        "Calls of the Midtrans APIs, by operation and outcome";
    GATEWAY_DURATION = "lunas_gateway_request_duration_seconds", Histogram(Latency),
        "Time of one call of the Midtrans APIs";
    GATEWAY_TOKENS = "lunas_gateway_budget_tokens_total", Counter,
        "Tokens taken from the fleet's request budget, by priority";
    GATEWAY_TOKEN_WAIT = "lunas_gateway_budget_wait_seconds", Histogram(Lag),
        "Time a call waited for the fleet's request budget, by priority";
    GATEWAY_RATE = "lunas_gateway_budget_rate", Gauge,
        "Requests per second that the fleet may send at present, as this process saw it last";

    DATABASE_UP = "lunas_database_up", Gauge, "1 while the database answers";
    EVENTS_RELAYED = "lunas_events_relayed_total", Counter,
        "Domain events published from the outbox";
    OUTBOX_WAITING = "lunas_outbox_waiting", Gauge,
        "Domain events not published yet, counted up to 100,000";
    OUTBOX_OLDEST = "lunas_outbox_oldest_seconds", Gauge,
        "Age of the oldest domain event not published yet";
    ALERTS_OPEN = "lunas_alerts_open", Gauge,
        "Alerts that have not ended, by rule and severity; told by the scheduler that leads";
    ALERT_MESSAGES = "lunas_alert_messages_total", Counter,
        "Attempts to send a message about an alert, by channel and outcome";
    SCHEDULER_LEADER = "lunas_scheduler_leader", Gauge, "1 in the scheduler that leads";
}

/// Tells the recorder the unit and help of every metric.
pub(super) fn describe() {
    for metric in METRICS {
        let unit = match metric.name {
            name if name.ends_with("_seconds") => Unit::Seconds,
            _ => Unit::Count,
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_carry_their_unit() {
        let mut seen = HashSet::new();
        for metric in METRICS {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(metric.kind == Counter, name.ends_with("_total"), "{name}");
            if matches!(metric.kind, Histogram(Latency | Lag)) {
                assert!(name.ends_with("_seconds"), "{name}");
            }
        }
    }

    #[test]
    fn bucket_bounds_ascend() {
        for buckets in [Latency, Lag, Count] {
            assert!(buckets.bounds().is_sorted_by(|a, b| a < b), "{buckets:?}");
        }
    }
}
