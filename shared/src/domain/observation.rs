//! What was seen of a transaction, by whom, and with what authority: the one input of the one
//! path. Notifications, status answers, replays and backfills all become this.

mod parts;

use std::fmt;

use time::OffsetDateTime;

use super::event_key::EventKey;
use super::notice::bi_snap;
use super::notification::{DecodeError, Notification, amount};
use super::rupiah::Rupiah;
use super::signature::is_test;
use super::status::{FraudStatus, TransactionStatus};
use super::transition::Rail;
use super::wib;

pub use parts::{Authority, FeeInfo, LinkHints, Source};

/// One sight of a Midtrans transaction.
#[derive(Clone)]
pub struct Observation {
    /// Whether its status may be believed.
    pub authority: Authority,
    /// By which way it came.
    pub source: Source,
    /// Midtrans' order id, our payment session.
    pub session_id: String,
    /// Midtrans' transaction id.
    pub transaction_id: String,
    /// What the transaction is said to be.
    pub status: TransactionStatus,
    /// What the fraud system says.
    pub fraud: Option<FraudStatus>,
    /// Outcome code, as spelled.
    pub status_code: String,
    /// The transaction's amount.
    pub gross_amount: Rupiah,
    /// Cumulative refunded amount, where it is said.
    pub refund_amount: Option<Rupiah>,
    /// Midtrans' word for the method.
    pub payment_type: Option<String>,
    /// Bank, store or acquirer.
    pub payment_channel: Option<String>,
    /// When the transaction was created; not an ordering clock.
    pub transaction_time: Option<OffsetDateTime>,
    /// When it settled.
    pub settlement_time: Option<OffsetDateTime>,
    /// Until when it can be paid.
    pub expiry_time: Option<OffsetDateTime>,
    /// What the merchant's own fields say about the order.
    pub link_hints: LinkHints,
    /// The fee that the gateway added for the customer to pay, where the body explains it exactly.
    pub fee: Option<FeeInfo>,
    /// What makes two deliveries the same event.
    pub event_key: EventKey,
    /// As received; never logged.
    pub signature_key: Option<String>,
    /// The body, whole: JSON text.
    pub raw_body: String,
    /// When a notification reached us; for a status answer, when the question was sent, because
    /// the answer may be as old as that.
    pub received_at: OffsetDateTime,
    /// The dashboard's test notification: recorded, touches no order.
    pub is_test: bool,
}

/// What Midtrans says to a question about a transaction, whatever the HTTP status was.
#[derive(Debug)]
pub enum StatusAnswer {
    /// The transaction as it is; 407 is an ordinary answer about an expired one.
    Found(Box<Observation>),
    /// There is no such transaction (yet): a Snap page that nobody has started says this too.
    NotFound,
    /// The body speaks of something else, such as a wrong key or a rate limit.
    Error {
        /// `status_code` of the body, when it has one.
        status_code: Option<String>,
    },
}

impl Observation {
    /// Reads the body of a verified notification.
    ///
    /// # Errors
    /// Each [`DecodeError`] is a dead letter; its code is [`DecodeError::reason`].
    pub fn from_notification(
        body: &[u8],
        received_at: OffsetDateTime,
        source: Source,
    ) -> Result<Self, DecodeError> {
        let notification = Notification::decode(body)?;
        let session_id = required("order_id", notification.order_id.as_deref())?;
        let event_key = EventKey::of(&notification);
        let seen = Seen {
            authority: Authority::Notified,
            source,
            session_id,
            event_key,
        };
        Self::of(notification, body, received_at, seen)
    }

    /// Reads a body that was stored: a classic notification, or a payment of the BI-SNAP family.
    pub fn from_stored(body: &[u8], received_at: OffsetDateTime) -> Option<Self> {
        Self::from_notification(body, received_at, Source::Webhook)
            .ok()
            .or_else(|| bi_snap::observe_stored(body, received_at))
    }

    /// An answer of the status API to a question that could not name the session, under the session
    /// that the answer names. `None` when it names none.
    #[must_use]
    pub fn under_its_own_session(mut self) -> Option<Self> {
        let answer = Notification::decode(self.raw_body.as_bytes()).ok()?;
        self.session_id = answer.order_id.clone().filter(|id| !id.is_empty())?;
        self.event_key = EventKey::of_status_answer(&self.session_id, &answer);
        self.is_test = is_test(&self.session_id);
        Some(self)
    }

    /// Reads the body of an answer of the status API. The session comes from the caller: the
    /// answer may carry the transaction id in its `order_id` (`midtrans.md` 4.4). `asked_at` is
    /// when the question was sent.
    ///
    /// # Errors
    /// As [`Observation::from_notification`], for an answer that describes a transaction.
    pub fn from_status_answer(
        body: &[u8],
        session_id: &str,
        asked_at: OffsetDateTime,
        source: Source,
    ) -> Result<StatusAnswer, DecodeError> {
        let answer = Notification::decode(body)?;
        if answer.transaction_status.is_none() {
            return Ok(match answer.status_code.as_deref() {
                Some("404") => StatusAnswer::NotFound,
                _ => StatusAnswer::Error {
                    status_code: answer.status_code,
                },
            });
        }
        let event_key = EventKey::of_status_answer(session_id, &answer);
        let session_id = session_id.to_owned();
        let seen = Seen {
            authority: Authority::Confirmed,
            source,
            session_id,
            event_key,
        };
        let found = Self::of(answer, body, asked_at, seen)?;
        Ok(StatusAnswer::Found(Box::new(found)))
    }

    /// The kind of payment, as far as the state machine distinguishes them.
    pub fn rail(&self) -> Rail {
        Rail::of(
            self.payment_type.as_deref(),
            self.payment_channel.as_deref(),
        )
    }

    fn of(
        n: Notification,
        body: &[u8],
        received_at: OffsetDateTime,
        seen: Seen,
    ) -> Result<Self, DecodeError> {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if said(&n.currency).is_some_and(|word| !word.eq_ignore_ascii_case("IDR")) {
            return Err(DecodeError::WrongCurrency);
        }
        let gross_amount = amount(
            "gross_amount",
            &required("gross_amount", n.gross_amount.as_deref())?,
        )?;
        let status = required("transaction_status", n.transaction_status.as_deref())?;
        let time = |text: &Option<String>| text.as_deref().and_then(|t| wib::parse(t).ok());
        Ok(Self {
            authority: seen.authority,
            source: seen.source,
            is_test: is_test(&seen.session_id),
            session_id: seen.session_id,
            transaction_id: required("transaction_id", n.transaction_id.as_deref())?,
            status: TransactionStatus::parse(&status),
            fraud: said(&n.fraud_status).map(|word| FraudStatus::parse(&word)),
            status_code: required("status_code", n.status_code.as_deref())?,
            gross_amount,
            refund_amount: n.refunded()?,
            payment_channel: n.payment_channel().map(str::to_owned),
            transaction_time: time(&n.transaction_time),
            settlement_time: time(&n.settlement_time),
            expiry_time: time(&n.expiry_time),
            link_hints: LinkHints {
                metadata_order_id: n.metadata_text("order_id"),
                custom_field1: n.custom_field1.clone(),
            },
            fee: FeeInfo::of(&n, gross_amount),
            event_key: seen.event_key,
            payment_type: n.payment_type,
            signature_key: n.signature_key,
            raw_body: String::from_utf8_lossy(body).into_owned(),
            received_at,
        })
    }
}

/// What the two ways of making an observation know and the body does not.
struct Seen {
    authority: Authority,
    source: Source,
    session_id: String,
    event_key: EventKey,
}

fn required(field: &'static str, text: Option<&str>) -> Result<String, DecodeError> {
    match text {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) | None => Err(DecodeError::Missing { field }),
    }
}

impl fmt::Debug for Observation {
    /// Prints what identifies it and nothing that belongs to a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("authority", &self.authority)
            .field("source", &self.source)
            .field("session_id", &self.session_id)
            .field("transaction_id", &self.transaction_id)
            .field("status", &self.status)
            .field("fraud", &self.fraud)
            .field("gross_amount", &self.gross_amount)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
