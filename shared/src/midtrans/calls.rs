//! What is asked of Midtrans to do: make a payment, end a payment.

use super::acted::{ActionAnswer, ChargeAnswer, PageClosed, SnapAnswer};
use super::answer::{Question, Reply};
use super::charge::Charge;
use super::error::{CallError, GatewayError};
use super::gateway::Gateway;
use super::line::{Reading, Request};
use crate::domain::Source;
use crate::domain::checkout::idempotency_key;

impl Gateway {
    /// Makes a transaction. Sent again only while it was certainly not made; each try has the same
    /// `Idempotency-Key`, so that calling again within five minutes answers the same.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when there may be a transaction now.
    pub async fn charge(&self, charge: &Charge<'_>) -> Result<ChargeAnswer, CallError> {
        let inner = self.inner();
        let request = Request {
            idempotency_key: Some(idempotency_key(charge.session_id, "charge")),
            body: Some(charge.core_body()),
            ..inner.request("charge", inner.core.path(&["v2", "charge"]), None)?
        };
        let question = Question {
            id: charge.session_id,
            session_id: charge.session_id,
            source: Source::Poll,
        };
        let reading = Reading {
            judge: |reply: &Reply, asked_at| reply.judge_charge(&question, asked_at),
            outcome: ChargeAnswer::outcome,
            again: GatewayError::may_be_sent_again,
        };
        Ok(inner.line.talk(&request, &reading).await?)
    }

    /// Opens a page. It makes no transaction: the customer does, by choosing a method in it.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when there may be a page now; opening it again is harmless, because
    /// a newer page takes the place of one that nobody used.
    pub async fn snap(&self, charge: &Charge<'_>) -> Result<SnapAnswer, CallError> {
        let inner = self.inner();
        let request = Request {
            idempotency_key: Some(idempotency_key(charge.session_id, "snap")),
            body: Some(charge.snap_body()),
            ..inner.request("snap", inner.snap.path(&["transactions"]), None)?
        };
        let reading = Reading {
            judge: |reply: &Reply, _| reply.judge_page(),
            outcome: SnapAnswer::outcome,
            again: GatewayError::may_be_sent_again,
        };
        Ok(inner.line.talk(&request, &reading).await?)
    }

    /// Cancels a transaction; `id` is its own id or the session's. Asked again it does no harm.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when it may be cancelled now.
    pub async fn cancel(&self, id: &str, session_id: &str) -> Result<ActionAnswer, CallError> {
        self.end("cancel", id, session_id).await
    }

    /// Lets a pending transaction expire now; its success is 407.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when it may have expired now.
    pub async fn expire(&self, id: &str, session_id: &str) -> Result<ActionAnswer, CallError> {
        self.end("expire", id, session_id).await
    }

    /// Closes a page in which nobody has begun to pay.
    ///
    /// # Errors
    /// [`CallError::Unknown`] when it may be closed now.
    pub async fn cancel_page(&self, token: &str) -> Result<PageClosed, CallError> {
        let inner = self.inner();
        let url = inner.snap.path(&["transactions", token, "cancel"]);
        let request = Request {
            idempotency_key: Some(idempotency_key(token, "cancel")),
            ..inner.request("snap_cancel", url, None)?
        };
        let reading = Reading {
            judge: |reply: &Reply, _| reply.judge_closing(),
            outcome: PageClosed::outcome,
            again: GatewayError::may_pass,
        };
        Ok(inner.line.talk(&request, &reading).await?)
    }

    async fn end(
        &self,
        what: &'static str,
        id: &str,
        session_id: &str,
    ) -> Result<ActionAnswer, CallError> {
        let inner = self.inner();
        let request = Request {
            idempotency_key: Some(idempotency_key(id, what)),
            ..inner.request(what, inner.core.path(&["v2", id, what]), None)?
        };
        let question = Question {
            id,
            session_id,
            source: Source::Poll,
        };
        let reading = Reading {
            judge: |reply: &Reply, asked_at| reply.judge_action(&question, asked_at),
            outcome: ActionAnswer::outcome,
            again: GatewayError::may_pass,
        };
        Ok(inner.line.talk(&request, &reading).await?)
    }
}
