//! `/livez`, `/readyz` and `/metrics` of every service, on a listener of their own.
//!
//! `/livez` says that the process's loop turns, nothing else: a broker or database that is away is
//! no reason to restart. `/readyz` asks every probe and says 503 when one fails or the service
//! drains.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::metrics;

/// A probe that takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// The content type of Prometheus' text format.
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a probe found: a detail worth showing, or why the service cannot work. The text must
/// carry no secret.
pub type Finding = Result<String, String>;

type Ask = dyn Fn() -> Pin<Box<dyn Future<Output = Finding> + Send>> + Send + Sync;

/// The readiness of a service: named probes and whether it drains.
#[derive(Clone)]
pub struct Health {
    probes: Vec<(&'static str, Arc<Ask>)>,
    draining: CancellationToken,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.probes.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Health {
    /// No probes yet; not ready once `draining` is cancelled.
    pub const fn new(draining: CancellationToken) -> Self {
        Self {
            probes: Vec::new(),
            draining,
        }
    }

    /// Adds a probe, asked on every `/readyz`.
    #[must_use]
    pub fn probe<F, Fut>(mut self, name: &'static str, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Finding> + Send + 'static,
    {
        self.probes.push((name, Arc::new(move || Box::pin(ask()))));
        self
    }

    /// Asks every probe, one after the other.
    pub async fn readiness(&self) -> Readiness {
        let mut probes = Vec::with_capacity(self.probes.len());
        for (name, ask) in &self.probes {
            let since = Instant::now();
            let finding = match tokio::time::timeout(PROBE_LIMIT, ask()).await {
                Ok(finding) => finding,
                Err(_) => Err("no answer in time".to_owned()),
            };
            let latency_ms = (since.elapsed().as_secs_f64() * 1e6).round() / 1e3;
            let ok = finding.is_ok();
            let (Ok(detail) | Err(detail)) = finding;
            probes.push(ProbeResult {
                name,
                ok,
                latency_ms,
                detail,
            });
        }
        let draining = self.draining.is_cancelled();
        Readiness {
            ready: !draining && probes.iter().all(|probe| probe.ok),
            draining,
            probes,
        }
    }
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, Serialize)]
pub struct Readiness {
    /// Whether the service should be sent work.
    pub ready: bool,
    /// Whether it is on its way out.
    pub draining: bool,
    /// What each probe found.
    pub probes: Vec<ProbeResult>,
}

/// What one probe found.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeResult {
    /// The probe's name, such as `broker`.
    pub name: &'static str,
    /// Whether the service can work with what was found.
    pub ok: bool,
    /// How long the probe took.
    pub latency_ms: f64,
    /// State, or why not.
    pub detail: String,
}

/// Why the health listener did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on HEALTH_ADDR {addr}")]
pub struct HealthError {
    addr: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// The running listener; it stops when this is dropped, so keep it until after the drain.
#[derive(Debug)]
pub struct HealthServer {
    addr: SocketAddr,
    task: AbortHandle,
}

impl HealthServer {
    /// Where it listens; tells the port when port 0 was asked for.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts answering on `addr`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(addr: SocketAddr, health: Health) -> Result<HealthServer, HealthError> {
    let failed = |source| HealthError { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route(
            "/metrics",
            get(|| async { ([(header::CONTENT_TYPE, METRICS_TEXT)], metrics::render()) }),
        )
        .with_state(health);
    // axum's serve never returns an error: it waits and goes on when accepting fails.
    let task = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
    Ok(HealthServer { addr, task })
}

async fn readyz(State(health): State<Health>) -> Response {
    let readiness = health.readiness().await;
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    async fn get(server: &HealthServer, path: &str) -> String {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn readiness_names_the_probe_that_fails_while_livez_stays_good() {
        let health = Health::new(CancellationToken::new())
            .probe("database", || async { Ok("15.6".to_owned()) })
            .probe("broker", || async { Err("down".to_owned()) });
        let server = serve(loopback(), health).await.unwrap();

        let ready = get(&server, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains(r#""name":"broker","ok":false"#), "{ready}");
        assert!(ready.contains(r#""name":"database","ok":true"#), "{ready}");
        assert!(get(&server, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(
            get(&server, "/metrics")
                .await
                .contains("process_cpu_seconds_total")
        );
    }

    #[tokio::test]
    async fn a_draining_service_is_not_ready() {
        let draining = CancellationToken::new();
        let health = Health::new(draining.clone()).probe("x", || async { Ok(String::new()) });
        assert!(health.readiness().await.ready);
        draining.cancel();
        let readiness = health.readiness().await;
        assert!(!readiness.ready && readiness.draining);
    }

    #[tokio::test]
    async fn a_probe_that_hangs_has_failed() {
        let health = Health::new(CancellationToken::new())
            .probe("stuck", || async { std::future::pending().await });
        assert!(!health.readiness().await.ready);
    }
}
