//! A receiver of notifications that answers as its path says and remembers what came.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// A running receiver; it ends with the test's runtime.
pub(crate) struct Receiver {
    base: String,
    seen: Seen,
}

impl Receiver {
    pub(crate) async fn start() -> Receiver {
        let seen = Seen::default();
        let app = Router::new()
            .route("/status/{code}", post(status))
            .route("/moved/{code}", post(moved))
            .route("/hops/{left}", post(hops))
            .route("/hang", post(hang))
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Receiver { base, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Bodies about an order, in the order of their arrival.
    pub(crate) fn bodies(&self, order_id: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        let bodies = seen.iter().map(|(_, body)| body);
        bodies
            .filter(|body| body["order_id"] == order_id)
            .cloned()
            .collect()
    }

    /// The statuses in those bodies.
    pub(crate) fn statuses(&self, order_id: &str) -> Vec<String> {
        self.bodies(order_id)
            .iter()
            .map(|body| body["transaction_status"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The headers of the first request.
    pub(crate) fn first_headers(&self) -> HeaderMap {
        self.seen.lock().unwrap()[0].0.clone()
    }
}

fn remember(seen: &Seen, headers: HeaderMap, body: &str) {
    let body = serde_json::from_str(body).unwrap();
    seen.lock().unwrap().push((headers, body));
}

async fn status(
    State(seen): State<Seen>,
    Path(code): Path<u16>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    remember(&seen, headers, &body);
    StatusCode::from_u16(code).unwrap()
}

/// A redirect to a path that would answer 200.
async fn moved(Path(code): Path<u16>) -> Response {
    let target = [(header::LOCATION, "/status/200")];
    (StatusCode::from_u16(code).unwrap(), target).into_response()
}

/// A chain of 307 redirects that ends in 200.
async fn hops(Path(left): Path<u32>) -> Response {
    let target = match left {
        1 => "/status/200".to_owned(),
        more => format!("/hops/{}", more - 1),
    };
    let target = [(header::LOCATION, target)];
    (StatusCode::TEMPORARY_REDIRECT, target).into_response()
}

/// Never answers.
async fn hang() -> StatusCode {
    std::future::pending().await
}
