//! Spans really leave the process: a collector in this process receives what a service exports.
//! One test, because a process has one subscriber.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use shared::config::{TelemetrySettings, try_parse_from};
use shared::telemetry::{self, propagation};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{Instrument as _, info_span};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Debug, clap::Parser)]
struct Settings {
    #[command(flatten)]
    telemetry: TelemetrySettings,
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Bytes>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let take = move |body: Bytes| async move {
        sender.send(body).expect("the test has ended");
    };
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("no free port");
    let addr = listener.local_addr().expect("no address");
    let router = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, receiver)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[tokio::test]
async fn a_span_continues_its_parents_trace_and_reaches_the_collector() {
    let (addr, mut exports) = collector().await;
    let endpoint = format!("--otel-exporter-otlp-endpoint=http://{addr}/");
    let settings: Settings = try_parse_from(["x", &endpoint]).unwrap();
    let telemetry = telemetry::init("lunas-traced", &settings.telemetry);
    assert!(telemetry::traces_enabled());

    let span = info_span!("the-span-of-the-test");
    propagation::continue_from(&span, Some(PARENT));
    let child = async { propagation::inject() }.instrument(span).await;
    let child = child.expect("no traceparent inside a span");
    assert_eq!(child[..36], PARENT[..36], "another trace: {child}");
    assert_ne!(child, PARENT, "the parent's own span");

    let since = Instant::now();
    telemetry.shutdown().await;
    assert!(
        since.elapsed() < Duration::from_secs(4),
        "{:?}",
        since.elapsed()
    );
    let export = exports.recv().await.expect("nothing was exported");
    let trace_id = hex::decode(&PARENT[3..35]).unwrap();
    for part in [
        b"the-span-of-the-test".as_slice(),
        b"lunas-traced",
        &trace_id,
    ] {
        assert!(contains(&export, part), "{part:?} is missing in the export");
    }
    assert!(exports.try_recv().is_err(), "the export itself was traced");
    assert_eq!(propagation::inject(), None, "traces are off after the end");
}
