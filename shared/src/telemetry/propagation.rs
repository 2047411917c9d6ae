//! The trace context as text: it travels in the `traceparent` header of a message, so that one
//! trace leads from the HTTP request through the queue to the commit.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::traces_enabled;

/// Name of the header that carries the context.
pub const TRACEPARENT: &str = "traceparent";

/// The current span as a `traceparent`; `None` when traces are off or there is no span.
pub fn inject() -> Option<String> {
    if !traces_enabled() {
        return None;
    }
    let context = Span::current().context();
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Reads a `traceparent`; `None` when it is not one.
pub fn extract(traceparent: &str) -> Option<Context> {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    context.has_active_span().then_some(context)
}

/// Makes `span` a child of the span that `traceparent` names. Does nothing when traces are off or
/// the text is not a `traceparent`: a span then starts a trace of its own.
pub fn continue_from(span: &Span, traceparent: Option<&str>) {
    if !traces_enabled() {
        return;
    }
    if let Some(parent) = traceparent.and_then(extract) {
        // It fails only for a span that no trace layer sees, and then there is nothing to continue.
        let _ = span.set_parent(parent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_read() {
        let context = extract(EXAMPLE).unwrap();
        let span = context.span().span_context().clone();
        assert_eq!(
            span.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_remote());
    }

    #[test]
    fn other_text_is_no_context() {
        for text in ["", "00", "00-0-0-0", &EXAMPLE[..40], "zz-4bf92f35-00f0-01"] {
            assert!(extract(text).is_none(), "{text}");
        }
    }

    #[test]
    fn nothing_is_injected_while_traces_are_off() {
        assert_eq!(inject(), None);
    }
}
