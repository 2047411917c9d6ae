//! Logs, traces and metrics of a process: switched on once by [`init`], flushed by
//! [`TelemetryGuard::shutdown`].
//!
//! Logs go to standard error, so that they never mix with what a command prints. Traces leave the
//! process only when a collector is configured; otherwise no span is made on the hot path
//! ([`traces_enabled`]). Metrics are pulled from `/metrics` (`health`). Nothing here ever sees a
//! body, a key, a token or a signature.

pub mod metrics;
pub mod propagation;

mod traces;

use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::task::AbortHandle;
use tracing::error;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, TelemetrySettings};
pub use traces::traces_enabled;

/// How long the end of a process waits for a collector that does not answer.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// Switches on logs, traces and metrics. Call once, inside the runtime.
///
/// Telemetry never stops a service: a trace exporter that cannot be built is logged and left out.
#[must_use = "shut the guard down at the end, or the last spans are lost"]
pub fn init(service: &'static str, settings: &TelemetrySettings) -> TelemetryGuard {
    let traces = settings
        .otlp_endpoint()
        .map(|endpoint| traces::provider(service, endpoint));
    let (provider, failed) = match traces {
        Some(Ok(provider)) => (Some(provider), None),
        Some(Err(failed)) => (None, Some(failed)),
        None => (None, None),
    };
    // A second call in one process (tests run services side by side) keeps the first subscriber.
    let _ = tracing_subscriber::registry()
        .with(log_layer(settings))
        .with(
            provider
                .as_ref()
                .map(|provider| traces::layer(service, provider)),
        )
        .try_init();
    traces::set_enabled(provider.is_some());
    if let Some(failed) = failed {
        error!(error = %failed, "Trace exporter left out");
    }
    TelemetryGuard {
        provider,
        upkeep: metrics::start(service),
    }
}

fn log_layer<S>(settings: &TelemetrySettings) -> impl Layer<S> + use<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let layer = match settings.log_format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => layer.boxed(),
    };
    // The broker's client logs whole messages when they are returned, the handshake at trace level,
    // and as errors what our connection layer reports in context: it is silent whatever is asked.
    let asked = EnvFilter::new(&settings.log_filter);
    let mut ours = filter_fn(|event| !event.target().starts_with("lapin"));
    // Without a hint everything down to trace would be asked for, of every library. A library that
    // asks whether it may log, and then does not, leaves the answer behind in its thread, and the
    // next event or span of that thread is lost to it.
    if let Some(most) = Filter::<S>::max_level_hint(&asked) {
        ours = ours.with_max_level_hint(most);
    }
    layer.with_filter(asked.and(ours))
}

/// Keeps telemetry running until the process ends.
#[derive(Debug)]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
    upkeep: AbortHandle,
}

impl TelemetryGuard {
    /// Sends what is left to the collector; takes three seconds at most.
    pub async fn shutdown(self) {
        self.upkeep.abort();
        let Some(provider) = self.provider else {
            return;
        };
        traces::set_enabled(false);
        let flush =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_LIMIT));
        if let Ok(Err(failed)) = flush.await {
            error!(error = %failed, "Last spans were not delivered");
        }
    }
}
