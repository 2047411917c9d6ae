//! A status API that knows the truth: it answers with what a transaction is at the moment of the
//! question, which may be anything from the newest notification sent to the end of its history.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::history::History;

/// The gateway of a test; it ends with this value.
pub(crate) struct Truth {
    known: Arc<Mutex<Known>>,
    url: String,
    server: tokio::task::JoinHandle<()>,
}

struct Known {
    histories: HashMap<String, (History, usize)>,
    rng: StdRng,
    questions: usize,
}

impl Truth {
    /// Listens on a free port.
    pub(crate) async fn start(seed: u64) -> Self {
        let known = Arc::new(Mutex::new(Known {
            histories: HashMap::new(),
            rng: StdRng::seed_from_u64(seed),
            questions: 0,
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/v2/{id}/status", get(status))
            .with_state(Arc::clone(&known));
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { known, url, server }
    }

    /// The base of its API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// It knows this transaction from now on.
    pub(crate) fn learn(&self, history: &History) {
        let id = history.transaction_id().to_owned();
        let mut known = self.known.lock().unwrap();
        known.histories.insert(id, (history.clone(), 0));
    }

    /// A notification of this step is sent: the transaction has come that far.
    pub(crate) fn reached(&self, history: &History, step: usize) {
        let mut known = self.known.lock().unwrap();
        let (_, progress) = known.histories.get_mut(history.transaction_id()).unwrap();
        *progress = (*progress).max(step);
    }

    /// How often it was asked.
    pub(crate) fn questions(&self) -> usize {
        self.known.lock().unwrap().questions
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn status(State(known): State<Arc<Mutex<Known>>>, Path(id): Path<String>) -> Json<Value> {
    let mut known = known.lock().unwrap();
    let known = &mut *known;
    known.questions += 1;
    let Some((history, progress)) = known.histories.get_mut(&id) else {
        return Json(json!({"status_code": "404", "status_message": "Transaction doesn't exist."}));
    };
    *progress = known.rng.random_range(*progress..history.moments.len());
    let body = history.notification(*progress).body();
    Json(serde_json::from_slice(&body).unwrap())
}
