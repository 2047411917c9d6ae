//! The client: one question, and everything that keeps it from doing harm.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryFutureExt as _;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url, redirect};
use time::OffsetDateTime;
use tracing::{Instrument as _, error, info_span};

use super::address::Base;
use super::answer::{Question, Reply};
use super::backoff::{Failed, Policy, retry};
use super::breaker::Breaker;
use super::budget::Budget;
use super::error::{GatewayError, SetupError};
use super::limits::Limits;
use crate::config::GatewaySettings;
use crate::domain::signature::ServerKey;
use crate::domain::{ServerKeys, Source, StatusAnswer};
use crate::telemetry::{metrics, traces_enabled};

/// How long Midtrans is left alone after a 429 that does not say.
const LIMITED_PAUSE: Duration = Duration::from_secs(1);

/// A `Retry-After` is obeyed up to this, so that one odd answer does not silence a process.
const LONGEST_HOLD: Duration = Duration::from_secs(5 * 60);

/// How often the log repeats that a key is refused.
const ALARM_PERIOD: Duration = Duration::from_secs(60);

/// The client of Midtrans' status API. Clones share connections, budget and circuit breaker.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    client: Client,
    base: Base,
    keys: ServerKeys,
    limits: Limits,
    budget: Budget,
    breaker: Breaker,
    key_alarm: Mutex<Option<Instant>>,
}

impl Gateway {
    /// A client for these settings, with the default limits. Sends nothing yet.
    ///
    /// # Errors
    /// When a setting cannot be used; the text names it.
    pub fn new(settings: &GatewaySettings) -> Result<Self, SetupError> {
        Self::with_limits(settings, Limits::default())
    }

    /// A client with other limits.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub fn with_limits(settings: &GatewaySettings, limits: Limits) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Inner {
            client: client(&limits).map_err(SetupError::Client)?,
            base: Base::parse(&settings.midtrans_api_url).map_err(SetupError::Address)?,
            keys: settings.keys.midtrans_server_key.clone(),
            limits,
            budget: Budget::new(settings.midtrans_rps),
            breaker: Breaker::new(limits.open_after, limits.cool_down),
            key_alarm: Mutex::new(None),
        })))
    }

    /// Asks what a transaction is now. `id` is the transaction id, which is to be preferred, or
    /// Midtrans' order id, which is `session_id`; for DANA and some virtual accounts only the
    /// transaction id is found (`midtrans.md` 4.4). `merchant_id` chooses the key.
    ///
    /// `Found` carries `session_id` as its session, whatever the answer says. The answer is never
    /// [`StatusAnswer::Error`]: each of those is a typed [`GatewayError`]. Ends within
    /// [`Limits::question`].
    ///
    /// # Errors
    /// Each [`GatewayError`] says by its class whether to wait, to try later or to give up.
    pub async fn status(
        &self,
        id: &str,
        session_id: &str,
        merchant_id: Option<&str>,
        source: Source,
    ) -> Result<StatusAnswer, GatewayError> {
        let question = Question {
            id,
            session_id,
            source,
        };
        let asking = self.0.ask(&question, merchant_id);
        if !traces_enabled() {
            return asking.await;
        }
        let span = info_span!(
            "gateway.status",
            otel.kind = "client",
            gateway.id = id,
            gateway.source = source.as_str(),
        );
        asking.instrument(span).await
    }
}

impl Inner {
    async fn ask(
        &self,
        question: &Question<'_>,
        merchant_id: Option<&str>,
    ) -> Result<StatusAnswer, GatewayError> {
        let url = self.base.status(question.id).ok_or(GatewayError::BadId)?;
        let key = self.keys.signing(merchant_id).ok_or(GatewayError::NoKey)?;
        let deadline = Instant::now() + self.limits.question;
        let policy = Policy {
            tries: self.limits.tries,
            window: self.limits.retry_window,
            first_pause: self.limits.first_pause,
        };
        let once = || {
            self.ask_once(question, &url, key, deadline)
                .map_err(retryable)
        };
        retry(policy, once).await
    }

    /// One request, within budget, breaker and time.
    async fn ask_once(
        &self,
        question: &Question<'_>,
        url: &Url,
        key: &ServerKey,
        deadline: Instant,
    ) -> Result<StatusAnswer, GatewayError> {
        // Asked before the wait, so that an open circuit costs no token and no time; and after it,
        // because the wait may outlast it.
        self.breaker.check(Instant::now())?;
        let left = deadline.saturating_duration_since(Instant::now());
        self.budget.take(self.limits.budget_wait.min(left)).await?;
        let began = Instant::now();
        let pass = self.breaker.admit(began)?;

        let asked_at = OffsetDateTime::now_utc();
        let left = deadline.saturating_duration_since(began);
        let request = self.send(url, key);
        let answer = match tokio::time::timeout(self.limits.request.min(left), request).await {
            Ok(Ok(reply)) => reply.judge(question, asked_at),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(GatewayError::Timeout),
        };

        metrics::gateway_called("status", outcome(&answer), began.elapsed());
        match &answer {
            Err(error) if error.is_outage() => pass.failed(Instant::now()),
            Ok(_) | Err(_) => pass.answered(),
        }
        match &answer {
            Err(GatewayError::Limited { retry_after }) => {
                let pause = retry_after.unwrap_or(LIMITED_PAUSE).min(LONGEST_HOLD);
                self.budget.hold_back(pause);
            }
            Err(GatewayError::KeyRefused) => self.raise_key_alarm(key),
            Ok(_) | Err(_) => {}
        }
        answer
    }

    async fn send(&self, url: &Url, key: &ServerKey) -> Result<Reply, GatewayError> {
        // The password is empty: the key stands in the place of the user.
        let request = self.client.get(url.clone());
        let response = request
            .basic_auth(key.secret(), Some(""))
            .send()
            .await
            .map_err(GatewayError::from_transport)?;
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

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("base", &self.0.base)
            .field("keys", &self.0.keys)
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
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

/// Whether the same question may succeed in a moment.
fn retryable(error: GatewayError) -> Failed<GatewayError> {
    let at_least = match &error {
        GatewayError::Unavailable { .. } | GatewayError::Timeout | GatewayError::Connection(_) => {
            None
        }
        GatewayError::Limited { retry_after } => *retry_after,
        GatewayError::CircuitOpen { .. }
        | GatewayError::BudgetExhausted { .. }
        | GatewayError::Blocked
        | GatewayError::KeyRefused
        | GatewayError::NoKey
        | GatewayError::BadId
        | GatewayError::UnknownRoute
        | GatewayError::Refused { .. }
        | GatewayError::Foreign { .. }
        | GatewayError::TooLarge
        | GatewayError::Undecodable(_)
        | GatewayError::OtherTransaction => return Failed::ForGood(error),
    };
    Failed::ForNow { error, at_least }
}

fn outcome(answer: &Result<StatusAnswer, GatewayError>) -> &'static str {
    match answer {
        Ok(StatusAnswer::Found(_)) => "ok",
        Ok(StatusAnswer::NotFound) => "not_found",
        Ok(StatusAnswer::Error { .. }) => "refused",
        Err(error) => error.outcome(),
    }
}
