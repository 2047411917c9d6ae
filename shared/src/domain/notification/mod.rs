//! A transaction as Midtrans describes it: the body of a classic notification, and of a status
//! answer, which has the same shape (`midtrans.md` 1.2, 1.7, 1.10, 4.4).
//!
//! Decoding is tolerant: any field but the five that identify a state may be missing, null is
//! missing, a number or a boolean is as good as its text, unknown fields are passed over (the raw
//! body is stored whole). It is strict where two readers could disagree: a documented field that
//! occurs twice is refused. What a notification means for us is [`super::observation`]'s.

mod fields;
mod lenient;

use std::fmt;

use super::json::SkippedObject;
use super::outcome::{Class, Classify, DeadReason};
use super::rupiah::{Rupiah, RupiahError};

pub use fields::{Notification, PaymentAmount, Refund, VaNumber};

/// Why a body is not a transaction we can act on. Texts name the field, never its content.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a JSON object, or a documented field occurs twice.
    #[error("the body cannot be decoded")]
    NotDecodable(#[source] serde_json::Error),
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// A field without which there is no transaction is absent.
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A currency other than the rupiah.
    #[error("the currency is not IDR")]
    WrongCurrency,
    /// An amount that is not whole rupiah.
    #[error("the amount in {field} is not whole rupiah")]
    Amount {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: RupiahError,
    },
}

impl DecodeError {
    /// The stable code of this error.
    pub const fn reason(&self) -> DeadReason {
        match self {
            Self::NotDecodable(_) | Self::NotText(_) | Self::Missing { .. } => {
                DeadReason::UndecodableBody
            }
            Self::WrongCurrency => DeadReason::WrongCurrency,
            Self::Amount {
                source: RupiahError::Fraction,
                ..
            } => DeadReason::FractionalAmount,
            Self::Amount {
                source: RupiahError::NotAnAmount | RupiahError::Negative | RupiahError::TooLarge,
                ..
            } => DeadReason::UndecodableBody,
        }
    }
}

impl Classify for DecodeError {
    fn classify(&self) -> Class {
        Class::Dead(self.reason())
    }
}

impl Notification {
    /// Reads a body. Accepts no JSON that verification would refuse.
    ///
    /// # Errors
    /// [`DecodeError::NotText`] and [`DecodeError::NotDecodable`] only; which fields must be there
    /// is asked where they are used.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(body).map_err(DecodeError::NotText)?;
        serde_json::from_str::<SkippedObject>(text).map_err(DecodeError::NotDecodable)?;
        serde_json::from_str(text).map_err(DecodeError::NotDecodable)
    }

    /// Bank, store or acquirer, the finer word beside `payment_type`.
    pub fn payment_channel(&self) -> Option<&str> {
        if self.permata_va_number.is_some() {
            return Some("permata");
        }
        let va_bank = || self.va_numbers.first().and_then(|va| va.bank.as_deref());
        match self.payment_type.as_deref() {
            Some("credit_card") => self.bank.as_deref(),
            Some("echannel") => Some("mandiri"),
            Some("cstore") => self.store.as_deref(),
            Some("gopay") => self.payment_option_type.as_deref(),
            Some("qris") => self.acquirer.as_deref(),
            Some("bank_transfer") => va_bank().or(self.bank.as_deref()),
            Some(_) | None => va_bank(),
        }
    }

    /// The cumulative refunded amount, from the top level or, where that is missing, as the sum of
    /// the refunds listed.
    ///
    /// # Errors
    /// [`DecodeError::Amount`] when a listed amount is not whole rupiah.
    pub fn refunded(&self) -> Result<Option<Rupiah>, DecodeError> {
        if let Some(text) = &self.refund_amount {
            return amount("refund_amount", text).map(Some);
        }
        let mut sum = None;
        for refund in &self.refunds {
            let Some(text) = &refund.refund_amount else {
                return Ok(None);
            };
            let part = amount("refunds.refund_amount", text)?;
            let total = part.checked_add(sum.unwrap_or(Rupiah::ZERO));
            sum = Some(total.ok_or(DecodeError::Amount {
                field: "refunds.refund_amount",
                source: RupiahError::TooLarge,
            })?);
        }
        Ok(sum)
    }

    /// A field of `metadata`, as text.
    pub(super) fn metadata_text(&self, name: &str) -> Option<String> {
        lenient::value_text(self.metadata.as_ref()?.get(name)?)
    }
}

/// Reads an amount and names its field when it is none.
pub(super) fn amount(field: &'static str, text: &str) -> Result<Rupiah, DecodeError> {
    Rupiah::parse_wire(text).map_err(|source| DecodeError::Amount { field, source })
}

impl fmt::Debug for Notification {
    /// Prints what identifies it and nothing that belongs to a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("order_id", &self.order_id)
            .field("transaction_id", &self.transaction_id)
            .field("transaction_status", &self.transaction_status)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
