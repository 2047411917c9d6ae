//! Prometheus metrics: their names ([`names`]), one function per thing that can happen, and the
//! recorder behind `/metrics`.
//!
//! The loss ledger: `lunas_ingest_accepted_total` = the sum of
//! `lunas_notifications_settled_total` over its verdicts + what is still in flight. Each accepted
//! notification counts once, at its first end: the later verdict of an `unconfirmed` one and the
//! replay of a `dead` one are not counted again.

pub mod names;

mod record;

pub use record::*;

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio::task::AbortHandle;

use names::{Kind, METRICS};

/// Histogram samples wait in memory until upkeep folds them into buckets; at 30,000 requests a
/// second a longer period would cost megabytes.
const UPKEEP_PERIOD: Duration = Duration::from_secs(1);

/// The text of `/metrics`.
pub fn render() -> String {
    let recorder = recorder();
    Collector::default().collect();
    recorder.render()
}

/// Installs the recorder and starts its upkeep.
pub(super) fn start(service: &'static str) -> AbortHandle {
    let handle = recorder();
    metrics::gauge!(names::BUILD_INFO, "service" => service, "version" => env!("CARGO_PKG_VERSION"))
        .set(1.0);
    let upkeep = async move {
        let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
        loop {
            ticks.tick().await;
            handle.run_upkeep();
        }
    };
    tokio::spawn(upkeep).abort_handle()
}

/// The process's one recorder, installed at first use.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS {
            if let Kind::Histogram(buckets) = metric.kind {
                let matcher = Matcher::Full(metric.name.to_owned());
                builder = builder
                    .set_buckets_for_metric(matcher, buckets.bounds())
                    .expect("every set of buckets has bounds");
            }
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // The error is that a test installed a recorder of its own, which then stays.
        let _ = metrics::set_global_recorder(recorder);
        names::describe();
        Collector::default().describe();
        handle
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_rendered_with_its_help() {
        recorder();
        settled("applied", 3);
        batch(64, Duration::from_millis(12));
        let text = render();
        for line in [
            "# HELP lunas_notifications_settled_total ",
            "# TYPE lunas_notifications_settled_total counter",
            "lunas_notifications_settled_total{verdict=\"applied\"} 3",
            "# TYPE lunas_batch_duration_seconds histogram",
            "lunas_batch_messages_bucket{le=\"64\"} 1",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
