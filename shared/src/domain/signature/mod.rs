//! Is a notification from Midtrans? Unverified and verified are different types, and only
//! [`RawNotification::verify`] makes the second out of the first.
//!
//! The signature is SHA-512 over `order_id`, `status_code`, `gross_amount` and the server key
//! (`midtrans.md` 2.1). It says that Midtrans once said this code for this order and amount; it
//! covers neither `transaction_status` nor `transaction_id`. What that means is decided in
//! [`super::decide()`].

mod keys;
mod signed;

pub use keys::{KeysError, ServerKey, ServerKeys};

use bytes::Bytes;

use signed::SignedFields;

/// Midtrans' prefix of the order id of the dashboard's test notification (`midtrans.md` 1.9).
const TEST_PREFIX: &str = "payment_notif_test_";

/// The body of a request, from anybody.
pub struct RawNotification(Bytes);

/// The body of a notification whose signature matched one of our keys.
pub struct VerifiedNotification {
    body: Bytes,
    order_id: String,
}

/// Why a body is not accepted. Texts name the field, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not one JSON object in UTF-8 of at most 128 levels; also with a NUL character, which the
    /// database could not store.
    #[error("the body is not a JSON object")]
    NotJson,
    /// A field that the signature needs is absent or null.
    #[error("the field {name} is missing")]
    MissingField {
        /// The field.
        name: &'static str,
    },
    /// A field that the signature needs is there, but not a string.
    #[error("the field {name} is not a string")]
    FieldNotText {
        /// The field.
        name: &'static str,
    },
    /// A field that the signature needs occurs twice: a reader that picks the other one would act
    /// on a value that was never signed.
    #[error("the field {name} occurs more than once")]
    RepeatedField {
        /// The field.
        name: &'static str,
    },
    /// No key of ours made this signature; also a `signature_key` that is not 128 hexadecimal
    /// characters.
    #[error("the signature does not match")]
    SignatureMismatch,
}

impl RawNotification {
    /// Takes the bytes as they came.
    pub fn new(body: Bytes) -> Self {
        Self(body)
    }

    /// Checks the signature with every key that may speak for the notification's merchant.
    ///
    /// # Errors
    /// [`VerifyError::SignatureMismatch`] is a stranger, or a wrong key of ours; every other
    /// error is a body that no signature could cover.
    pub fn verify(self, keys: &ServerKeys) -> Result<VerifiedNotification, VerifyError> {
        const NAMES: [&str; 3] = ["order_id", "status_code", "gross_amount"];
        let signed = SignedFields::read(&self.0, NAMES)?;
        signed.check(keys)?;
        let [order_id, _, _] = signed.inputs;
        let order_id = order_id.into_owned();
        Ok(VerifiedNotification {
            body: self.0,
            order_id,
        })
    }
}

impl VerifiedNotification {
    /// The original bytes, untouched.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Midtrans' `order_id`, which is our session id.
    pub fn order_id(&self) -> &str {
        &self.order_id
    }

    /// Whether it is the dashboard's test button: recorded, touches no order.
    pub fn is_test(&self) -> bool {
        is_test(&self.order_id)
    }
}

/// Whether an order id is that of the dashboard's test notification.
pub(super) fn is_test(order_id: &str) -> bool {
    order_id.starts_with(TEST_PREFIX)
}

/// Checks the other classic signature: that of a GoPay account linking notification, over
/// `account_id`, `account_status` and `status_code` (`midtrans.md` 2.2).
///
/// # Errors
/// As [`RawNotification::verify`].
pub fn verify_account_notification(body: &[u8], keys: &ServerKeys) -> Result<(), VerifyError> {
    const NAMES: [&str; 3] = ["account_id", "account_status", "status_code"];
    SignedFields::read(body, NAMES)?.check(keys)
}

#[cfg(test)]
mod tests;
