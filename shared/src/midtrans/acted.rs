//! What Midtrans answers when it was asked to do something. As with questions, both the HTTP
//! status and the `status_code` of the body count, and success has many numbers: 201 for a charge
//! and a page, 407 for an expiry (`midtrans.md` 4.2 to 4.6).

use serde::Deserialize;
use time::OffsetDateTime;

use super::answer::{Question, Reply, is_about};
use super::error::GatewayError;
use crate::domain::{Observation, StatusAnswer};

/// What became of a charge.
#[derive(Debug)]
pub enum ChargeAnswer {
    /// There is a transaction, and this is what it is: usually pending, perhaps refused.
    Made(Box<Observation>),
    /// There is one of this order id already (406): the status API knows it.
    Taken,
    /// The first request with this key is still at it (202).
    Running,
    /// Midtrans will not make it, and none was made.
    Refused {
        /// The code in the body.
        code: u16,
    },
}

/// What became of a page.
#[derive(Debug)]
pub enum SnapAnswer {
    /// It is open.
    Open {
        /// Names the page.
        token: String,
        /// Where the customer goes.
        redirect_url: String,
    },
    /// A method was chosen, or it was paid, in an earlier page of this order id.
    Taken,
    /// The first request with this key is still at it.
    Running,
    /// Midtrans will not open one.
    Refused {
        /// The HTTP status.
        code: u16,
    },
}

/// What became of ending a transaction.
#[derive(Debug)]
pub enum ActionAnswer {
    /// This is what it is now.
    Done(Box<Observation>),
    /// Its state does not allow it (412): ask what it is.
    NotAllowed,
    /// There is no such transaction.
    NotFound,
}

/// What became of closing a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageClosed {
    /// Nobody can use it any more.
    Closed,
    /// It was not open, or a method was chosen already: ask for its transaction.
    NotOpen,
    /// There is no such page.
    NotFound,
}

#[derive(Deserialize)]
struct Page {
    token: String,
    redirect_url: String,
}

#[derive(Deserialize)]
struct PageErrors {
    error_messages: Vec<String>,
}

/// How a page says that its order id is in use; the texts come in two languages.
const TAKEN: [&str; 3] = ["has been paid", "already been taken", "sudah digunakan"];

impl Reply {
    /// The answer to a charge.
    pub(super) fn judge_charge(
        &self,
        question: &Question<'_>,
        asked_at: OffsetDateTime,
    ) -> Result<ChargeAnswer, GatewayError> {
        match self.described(question, asked_at)? {
            Described::Transaction(seen) => Ok(ChargeAnswer::Made(seen)),
            Described::Code(202) => Ok(ChargeAnswer::Running),
            Described::Code(406) => Ok(ChargeAnswer::Taken),
            Described::Code(code) => Ok(ChargeAnswer::Refused { code }),
        }
    }

    /// The answer to a cancel or an expire.
    pub(super) fn judge_action(
        &self,
        question: &Question<'_>,
        asked_at: OffsetDateTime,
    ) -> Result<ActionAnswer, GatewayError> {
        match self.described(question, asked_at)? {
            Described::Transaction(seen) if matches!(&*seen.status_code, "200" | "407") => {
                Ok(ActionAnswer::Done(seen))
            }
            // Refused, with the state it stays in: asked for anew, to be sure of it.
            Described::Transaction(_) | Described::Code(412) => Ok(ActionAnswer::NotAllowed),
            Described::Code(404) => Ok(ActionAnswer::NotFound),
            // The same request is under way: it will have an answer in a moment.
            Described::Code(202) => Err(GatewayError::Unavailable { status: 202 }),
            Described::Code(code) => Err(GatewayError::Refused { code: Some(code) }),
        }
    }

    /// The answer to opening a page. Snap tells its errors by HTTP status and in words.
    pub(super) fn judge_page(&self) -> Result<SnapAnswer, GatewayError> {
        self.pass()?;
        if matches!(self.status, 200 | 201) {
            let page: Page = serde_json::from_slice(&self.body).map_err(|_| self.foreign())?;
            return Ok(SnapAnswer::Open {
                token: page.token,
                redirect_url: page.redirect_url,
            });
        }
        if self.status == 202 {
            return Ok(SnapAnswer::Running);
        }
        let errors: PageErrors = serde_json::from_slice(&self.body).map_err(|_| self.foreign())?;
        let is_taken = self.status == 406
            || errors.error_messages.iter().any(|text| {
                let text = text.to_lowercase();
                TAKEN.iter().any(|words| text.contains(words))
            });
        Ok(if is_taken {
            SnapAnswer::Taken
        } else {
            SnapAnswer::Refused { code: self.status }
        })
    }

    /// The answer to closing a page.
    pub(super) fn judge_closing(&self) -> Result<PageClosed, GatewayError> {
        self.pass()?;
        if (200..300).contains(&self.status) && self.status != 202 {
            return Ok(PageClosed::Closed);
        }
        let told = serde_json::from_slice::<PageErrors>(&self.body).is_ok();
        match self.status {
            202 => Err(GatewayError::Unavailable { status: 202 }),
            404 if told => Ok(PageClosed::NotFound),
            _ if told => Ok(PageClosed::NotOpen),
            _ => Err(self.foreign()),
        }
    }

    /// A transaction, or the code that a body has in its place.
    fn described(
        &self,
        question: &Question<'_>,
        asked_at: OffsetDateTime,
    ) -> Result<Described, GatewayError> {
        self.pass()?;
        let decoded = Observation::from_status_answer(
            &self.body,
            question.session_id,
            asked_at,
            question.source,
        );
        match decoded {
            Ok(StatusAnswer::Found(seen)) if is_about(&seen, question) => {
                Ok(Described::Transaction(seen))
            }
            Ok(StatusAnswer::Found(_)) => Err(GatewayError::OtherTransaction),
            Ok(StatusAnswer::NotFound) => Ok(Described::Code(404)),
            Ok(StatusAnswer::Error { status_code }) => match self.refusal(status_code.as_deref()) {
                GatewayError::Refused { code: Some(code) } => Ok(Described::Code(code)),
                error => Err(error),
            },
            Err(_) if self.status == 202 => Ok(Described::Code(202)),
            Err(error) if self.is_success() => Err(GatewayError::Undecodable(error)),
            Err(_) => Err(self.foreign()),
        }
    }
}

enum Described {
    Transaction(Box<Observation>),
    Code(u16),
}

impl ChargeAnswer {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Made(_) => "ok",
            Self::Taken | Self::Running | Self::Refused { .. } => "refused",
        }
    }
}

impl SnapAnswer {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Open { .. } => "ok",
            Self::Taken | Self::Running | Self::Refused { .. } => "refused",
        }
    }
}

impl ActionAnswer {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Done(_) => "ok",
            Self::NotAllowed => "refused",
            Self::NotFound => "not_found",
        }
    }
}

impl PageClosed {
    pub(super) const fn outcome(&self) -> &'static str {
        match self {
            Self::Closed => "ok",
            Self::NotOpen => "refused",
            Self::NotFound => "not_found",
        }
    }
}
