//! The client: what can be asked of Midtrans, and where it is asked.

use std::fmt;
use std::sync::Arc;

use reqwest::{Method, Url};
use tracing::{Instrument as _, info_span};

use super::address::Base;
use super::answer::{Question, Reply};
use super::budget::Budget;
use super::error::{GatewayError, SetupError};
use super::limits::Limits;
use super::line::{Line, Reading, Request};
use super::priority::Priority;
use crate::config::GatewaySettings;
use crate::domain::signature::ServerKey;
use crate::domain::{ServerKeys, Source, StatusAnswer};
use crate::store::Store;
use crate::telemetry::traces_enabled;

/// The client of Midtrans' APIs. Clones share connections and circuit breaker, and all processes
/// with the same database share the budget.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

#[derive(Clone)]
pub(super) struct Inner {
    pub(super) line: Arc<Line>,
    pub(super) core: Base,
    pub(super) snap: Base,
    keys: ServerKeys,
    priority: Priority,
}

impl Gateway {
    /// A client for these settings, with the default limits, for somebody who waits. Sends nothing
    /// yet. The budget is kept in the store.
    ///
    /// # Errors
    /// When a setting cannot be used; the text names it.
    pub fn new(settings: &GatewaySettings, store: Store) -> Result<Self, SetupError> {
        Self::with_limits(settings, store, Limits::default())
    }

    /// A client with other limits.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub fn with_limits(
        settings: &GatewaySettings,
        store: Store,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        let budget = Budget::new(store, settings.midtrans_rps);
        Ok(Self(Arc::new(Inner {
            line: Arc::new(Line::new(limits, budget)?),
            core: Base::parse(&settings.midtrans_api_url).map_err(SetupError::Address)?,
            snap: Base::parse(&settings.midtrans_snap_url).map_err(SetupError::SnapAddress)?,
            keys: settings.keys.midtrans_server_key.clone(),
            priority: Priority::Waiting,
        })))
    }

    /// The same client for somebody else: its questions wait for the budget and for an open circuit
    /// as their priority does.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self(Arc::new(Inner {
            priority,
            ..Inner::clone(&self.0)
        }))
    }

    /// Asks what a transaction is now. `id` is the transaction id, which is to be preferred, or
    /// Midtrans' order id, which is `session_id`; for DANA and some virtual accounts only the
    /// transaction id is found (`midtrans.md` 4.4). `merchant_id` chooses the key.
    ///
    /// `Found` carries `session_id` as its session, whatever the answer says. The answer is never
    /// [`StatusAnswer::Error`]: each of those is a typed [`GatewayError`]. Ends within
    /// [`Limits::question`], a periodic one within [`Limits::periodic_wait`] more.
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

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    async fn ask(
        &self,
        question: &Question<'_>,
        merchant_id: Option<&str>,
    ) -> Result<StatusAnswer, GatewayError> {
        let url = self.core.path(&["v2", question.id, "status"]);
        let request = Request {
            method: Method::GET,
            ..self.request("status", url, merchant_id)?
        };
        let reading = Reading {
            judge: |reply: &Reply, asked_at| reply.judge(question, asked_at),
            outcome,
            again: GatewayError::may_pass,
        };
        self.line.talk(&request, &reading).await
    }

    /// A POST without a body, signed with the merchant's key.
    pub(super) fn request(
        &self,
        what: &'static str,
        url: Option<Url>,
        merchant_id: Option<&str>,
    ) -> Result<Request<'_>, GatewayError> {
        let key: &ServerKey = self.keys.signing(merchant_id).ok_or(GatewayError::NoKey)?;
        Ok(Request {
            what,
            priority: self.priority,
            method: Method::POST,
            url: url.ok_or(GatewayError::BadId)?,
            key,
            idempotency_key: None,
            body: None,
        })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("core", &self.0.core)
            .field("snap", &self.0.snap)
            .field("keys", &self.0.keys)
            .field("limits", &self.0.line.limits)
            .field("priority", &self.0.priority)
            .finish_non_exhaustive()
    }
}

fn outcome(answer: &StatusAnswer) -> &'static str {
    match answer {
        StatusAnswer::Found(_) => "ok",
        StatusAnswer::NotFound => "not_found",
        StatusAnswer::Error { .. } => "refused",
    }
}
