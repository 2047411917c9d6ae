//! A collector of traces: takes OTLP over HTTP, as processes send it, and keeps every span.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

/// A span as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_id: String,
    pub(crate) started_at: u64,
    pub(crate) ended_at: u64,
}

/// It ends with this value.
pub(crate) struct Collector {
    kept: Arc<Mutex<Kept>>,
    url: String,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Seen>,
    bytes: Vec<u8>,
}

impl Collector {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&kept));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { kept, url, server }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every span so far; processes send the last ones when they end.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.kept.lock().unwrap().spans.clone()
    }

    /// Everything that came, as text, for a search.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept.lock().unwrap().bytes).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(kept): State<Arc<Mutex<Kept>>>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let mut kept = kept.lock().unwrap();
    kept.bytes.extend_from_slice(&body);
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attributes.into_iter().find(|a| a.key == "service.name");
        let service = match service.and_then(|a| a.value?.value) {
            Some(Value::StringValue(service)) => service,
            other => panic!("a process says who it is: {other:?}"),
        };
        for span in resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            kept.spans.push(Seen {
                service: service.clone(),
                name: span.name,
                trace_id: hex::encode(span.trace_id),
                span_id: hex::encode(span.span_id),
                parent_id: hex::encode(span.parent_span_id),
                started_at: span.start_time_unix_nano,
                ended_at: span.end_time_unix_nano,
            });
        }
    }
}
