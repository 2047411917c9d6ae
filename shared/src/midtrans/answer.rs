//! What comes back over HTTP, and what it says. Both the HTTP status and the `status_code` of the
//! body count (`midtrans.md` 4.4, 4.8), because Midtrans tells most things in the body only.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::error::GatewayError;
use crate::domain::{Notification, Observation, Source, StatusAnswer};

/// Answers are about 1 KiB.
const LARGEST_BODY: usize = 64 * 1024;

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// Transaction id, or the session id.
    pub(super) id: &'a str,
    /// The session that the answer is about.
    pub(super) session_id: &'a str,
    /// Who asks.
    pub(super) source: Source,
}

/// An HTTP answer, received whole.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// Reads the answer, as far as an answer can be long.
    pub(super) async fn receive(mut response: Response) -> Result<Self, GatewayError> {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), OffsetDateTime::now_utc());
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(GatewayError::from_transport)?
        {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(GatewayError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            status,
            retry_after,
            body,
        })
    }

    /// What the answer says about the transaction in question.
    pub(super) fn judge(
        &self,
        question: &Question<'_>,
        asked_at: OffsetDateTime,
    ) -> Result<StatusAnswer, GatewayError> {
        self.pass()?;
        let decoded = Observation::from_status_answer(
            &self.body,
            question.session_id,
            asked_at,
            question.source,
        );
        match decoded {
            Ok(StatusAnswer::Found(seen)) if is_about(&seen, question) => {
                Ok(StatusAnswer::Found(seen))
            }
            Ok(StatusAnswer::Found(_)) => Err(GatewayError::OtherTransaction),
            Ok(StatusAnswer::NotFound) => Ok(StatusAnswer::NotFound),
            Ok(StatusAnswer::Error { status_code }) => Err(self.refusal(status_code.as_deref())),
            Err(error) if self.is_success() => Err(GatewayError::Undecodable(error)),
            Err(_) => Err(self.foreign()),
        }
    }

    /// Lets through what may be an answer of the API.
    pub(super) fn pass(&self) -> Result<(), GatewayError> {
        match self.status {
            401 => return Err(GatewayError::KeyRefused),
            429 => return Err(self.limited()),
            408 | 500.. => {
                return Err(GatewayError::Unavailable {
                    status: self.status,
                });
            }
            // Not followed: the key would go where the answer points.
            300..=399 => {
                return Err(GatewayError::Foreign {
                    status: self.status,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// A body of Midtrans that describes no transaction.
    pub(super) fn refusal(&self, code: Option<&str>) -> GatewayError {
        match code.map(str::parse::<u16>) {
            None => self.foreign(),
            Some(Ok(401)) => GatewayError::KeyRefused,
            Some(Ok(429)) => self.limited(),
            Some(Ok(status @ 500..600)) => GatewayError::Unavailable { status },
            Some(code) => GatewayError::Refused { code: code.ok() },
        }
    }

    /// A body that is not one of the API: it comes from what stands in front of it.
    pub(super) fn foreign(&self) -> GatewayError {
        match self.status {
            403 => GatewayError::Blocked,
            404 => GatewayError::UnknownRoute,
            status => GatewayError::Foreign { status },
        }
    }

    fn limited(&self) -> GatewayError {
        let retry_after = self.retry_after;
        GatewayError::Limited { retry_after }
    }

    /// 407 is how an expired transaction may be told, and never a proxy's: we send no proxy
    /// credentials to be refused.
    pub(super) fn is_success(&self) -> bool {
        matches!(self.status, 200..300 | 407)
    }
}

impl GatewayError {
    /// A request that failed below HTTP. The URL goes, so that no log shows it.
    pub(super) fn from_transport(error: reqwest::Error) -> Self {
        // A connection that was not opened in time carried no request.
        if error.is_timeout() && !error.is_connect() {
            Self::Timeout
        } else {
            Self::Connection(error.without_url())
        }
    }
}

/// Whether an answer is about what was asked. Some methods put the transaction id into `order_id`,
/// so for a question by order id that is as good as the order id.
pub(super) fn is_about(seen: &Observation, question: &Question<'_>) -> bool {
    if question.id != question.session_id {
        return seen.transaction_id == question.id;
    }
    let order_id = Notification::decode(seen.raw_body.as_bytes())
        .ok()
        .and_then(|answer| answer.order_id);
    order_id.is_none_or(|order_id| order_id == question.id || order_id == seen.transaction_id)
}

/// `Retry-After` as seconds or as a date.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or_default())
}

#[cfg(test)]
mod tests;
