//! The line to Midtrans: everything that keeps a request from doing harm, whatever it asks for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryFutureExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url, redirect};
use time::OffsetDateTime;
use tracing::error;

use super::answer::Reply;
use super::backoff::{Failed, Policy, retry};
use super::breaker::{Breaker, Pass};
use super::budget::{Budget, Readiness};
use super::error::{GatewayError, SetupError};
use super::limits::Limits;
use super::priority::Priority;
use crate::domain::signature::ServerKey;
use crate::telemetry::metrics;

/// How long Midtrans is left alone after a 429 that does not say.
const LIMITED_PAUSE: Duration = Duration::from_secs(1);

/// A `Retry-After` is obeyed up to this, so that one odd answer does not silence a process.
const LONGEST_HOLD: Duration = Duration::from_secs(5 * 60);

/// How often the log repeats that a key is refused.
const ALARM_PERIOD: Duration = Duration::from_secs(60);

/// The header that makes a repeated POST answer what the first one did.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Connections, budget, breaker and limits of one gateway.
pub(super) struct Line {
    client: Client,
    pub(super) limits: Limits,
    budget: Budget,
    breaker: Breaker,
    key_alarm: Mutex<Option<Instant>>,
}

/// A request as it is sent, each try alike.
pub(super) struct Request<'a> {
    /// The word in the metrics.
    pub(super) what: &'static str,
    pub(super) priority: Priority,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) key: &'a ServerKey,
    pub(super) idempotency_key: Option<String>,
    /// JSON.
    pub(super) body: Option<Vec<u8>>,
}

/// What to make of the answers to a request.
pub(super) struct Reading<T, J> {
    /// Reads an answer to a request that was sent at that time.
    pub(super) judge: J,
    /// The word in the metrics for an answer.
    pub(super) outcome: fn(&T) -> &'static str,
    /// Whether the same request may be sent again after this.
    pub(super) again: fn(&GatewayError) -> bool,
}

impl Line {
    pub(super) fn new(limits: Limits, budget: Budget) -> Result<Self, SetupError> {
        Ok(Self {
            client: client(&limits).map_err(SetupError::Client)?,
            limits,
            budget,
            breaker: Breaker::new(limits.open_after, limits.cool_down),
            key_alarm: Mutex::new(None),
        })
    }

    /// Sends a request until it is answered, as often and as long as limits and reading allow.
    pub(super) async fn talk<T, J>(
        &self,
        request: &Request<'_>,
        reading: &Reading<T, J>,
    ) -> Result<T, GatewayError>
    where
        J: Fn(&Reply, OffsetDateTime) -> Result<T, GatewayError>,
    {
        // Who may wait for long for the first token has as much time after it as everybody.
        let patience = request.priority.patience(&self.limits);
        let longer = patience.saturating_sub(self.limits.budget_wait);
        let deadline = Instant::now() + self.limits.question + longer;
        let policy = Policy {
            tries: self.limits.tries,
            window: self.limits.retry_window + longer,
            first_pause: self.limits.first_pause,
        };
        let once = || {
            self.once(request, reading, deadline).map_err(|error| {
                if (reading.again)(&error) {
                    let at_least = error.asked_pause();
                    Failed::ForNow { error, at_least }
                } else {
                    Failed::ForGood(error)
                }
            })
        };
        retry(policy, once).await
    }

    /// One request, within budget, breaker and time.
    async fn once<T, J>(
        &self,
        request: &Request<'_>,
        reading: &Reading<T, J>,
        deadline: Instant,
    ) -> Result<T, GatewayError>
    where
        J: Fn(&Reply, OffsetDateTime) -> Result<T, GatewayError>,
    {
        let pass = self.allowed(request.priority, deadline).await?;
        let began = Instant::now();

        let asked_at = OffsetDateTime::now_utc();
        let left = deadline.saturating_duration_since(began);
        let sending = self.send(request);
        let answer = match tokio::time::timeout(self.limits.request.min(left), sending).await {
            Ok(Ok(reply)) => (reading.judge)(&reply, asked_at),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(GatewayError::Timeout),
        };

        let word = answer
            .as_ref()
            .map_or_else(GatewayError::outcome, reading.outcome);
        metrics::gateway_called(request.what, word, began.elapsed());
        match &answer {
            Err(error) if error.is_outage() => pass.failed(Instant::now()),
            Ok(_) | Err(_) => pass.answered(),
        }
        match &answer {
            Err(GatewayError::Limited { retry_after }) => {
                let pause = retry_after.unwrap_or(LIMITED_PAUSE).min(LONGEST_HOLD);
                self.budget.hold_back(pause, began.elapsed()).await;
            }
            Err(GatewayError::KeyRefused) => self.raise_key_alarm(request.key),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    /// Waits until a request may be sent. The circuit is asked before the token, so that an open
    /// one costs no token and no time, and again after it, because the wait may outlast its state.
    async fn allowed(
        &self,
        priority: Priority,
        deadline: Instant,
    ) -> Result<Pass<'_>, GatewayError> {
        loop {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(GatewayError::Timeout);
            }
            let pass = match self.breaker.admit(now) {
                Ok(pass) => pass,
                Err(open) if priority.waits_for_circuit() && open.retry_after < left => {
                    tokio::time::sleep(open.retry_after).await;
                    continue;
                }
                Err(open) => return Err(open.into()),
            };
            let ready = Readiness {
                priority,
                horizon: priority.horizon(&self.limits),
                patience: priority.patience(&self.limits).min(left),
            };
            self.budget.take(ready).await?;
            if pass.stands() {
                return Ok(pass);
            }
        }
    }

    async fn send(&self, request: &Request<'_>) -> Result<Reply, GatewayError> {
        let mut sending = self
            .client
            .request(request.method.clone(), request.url.clone())
            // The password is empty: the key stands in the place of the user.
            .basic_auth(request.key.secret(), Some(""));
        if let Some(key) = &request.idempotency_key {
            sending = sending.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(body) = &request.body {
            sending = sending.body(body.clone());
        }
        let response = sending.send().await.map_err(GatewayError::from_transport)?;
        Reply::receive(response).await
    }

    /// Callers wait while a key is refused and would be silent; this is not for them to notice.
    fn raise_key_alarm(&self, key: &ServerKey) {
        let mut last = self
            .key_alarm
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < ALARM_PERIOD) {
            return;
        }
        *last = Some(Instant::now());
        error!(
            merchant_id = key.merchant_id(),
            "Midtrans refuses the server key: check MIDTRANS_SERVER_KEY and that \
             MIDTRANS_API_URL is of the same environment"
        );
    }
}

fn client(limits: &Limits) -> reqwest::Result<Client> {
    let json = HeaderValue::from_static("application/json");
    let headers = HeaderMap::from_iter([(ACCEPT, json.clone()), (CONTENT_TYPE, json)]);
    Client::builder()
        .user_agent(concat!("lunas/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        // Shorter than what load balancers and address translators keep: a request on a connection
        // that is gone costs a time-out.
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
}
