//! The checks of the other notifications, one per kind; only they make a [`Notice`].

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::super::signature::{
    RawNotification, ServerKeys, VerifiedNotification, VerifyError, verify_account_notification,
};
use super::{Notice, NoticeKind, check_json};

/// The header that signs a payout notification.
pub const PAYOUT_SIGNATURE: &str = "Iris-Signature";

/// What may come to the endpoint of subscriptions (`midtrans.md` 2.3).
pub enum Recurring {
    /// The charge as a classic notification, verified like one.
    Classic(VerifiedNotification),
    /// What the documents show: nothing signs it, so nothing is done about it before the status
    /// API vouches for it.
    Unsigned(Notice),
}

/// A GoPay account linking notification (`midtrans.md` 2.2).
///
/// # Errors
/// As [`RawNotification::verify`], over other fields.
pub fn pay_account(body: Bytes, keys: &ServerKeys) -> Result<Notice, VerifyError> {
    verify_account_notification(&body, keys)?;
    Ok(Notice::new(NoticeKind::PayAccount, body))
}

/// A payout notification: the signature is over the raw bytes and the merchant key
/// (`midtrans.md` 2.4). Every key is tried, without stopping at the first that matches.
///
/// # Errors
/// [`VerifyError`]; a missing header is a missing field.
pub fn payout(
    body: Bytes,
    signature: Option<&str>,
    keys: &ServerKeys,
) -> Result<Notice, VerifyError> {
    check_json(&body)?;
    let signature = signature.ok_or(VerifyError::MissingField {
        name: PAYOUT_SIGNATURE,
    })?;
    let mut claimed = [0_u8; 64];
    hex::decode_to_slice(signature, &mut claimed).map_err(|_| VerifyError::SignatureMismatch)?;
    let common = Sha512::new().chain_update(&body);
    let matched = keys.iter().fold(Choice::from(0), |matched, key| {
        let ours = common.clone().chain_update(key.secret()).finalize();
        matched | ours.as_slice().ct_eq(&claimed)
    });
    if bool::from(matched) {
        Ok(Notice::new(NoticeKind::Payout, body))
    } else {
        Err(VerifyError::SignatureMismatch)
    }
}

/// A notification at the endpoint of subscriptions: one with a signature is a classic one and is
/// held to it; one without must at least look like what the documents show.
///
/// # Errors
/// [`VerifyError`], as for a classic notification when the body has a `signature_key`.
pub fn recurring(body: Bytes, keys: &ServerKeys) -> Result<Recurring, VerifyError> {
    #[derive(Deserialize)]
    struct Shape {
        signature_key: Option<Value>,
        subscription: Option<Value>,
        schedule: Option<Value>,
        id: Option<String>,
    }
    check_json(&body)?;
    // A field that occurs twice is refused: another reader might take the other one.
    let shape: Shape = serde_json::from_slice(&body).map_err(|_| VerifyError::NotJson)?;
    if shape.signature_key.is_some() {
        return RawNotification::new(body)
            .verify(keys)
            .map(Recurring::Classic);
    }
    let nested = shape.subscription.as_ref().map(|it| it.get("id"));
    match nested {
        Some(Some(Value::String(_))) => {}
        Some(Some(_)) => return Err(not_text("subscription.id")),
        Some(None) => return Err(missing("subscription.id")),
        None if shape.id.is_some() && shape.schedule.is_some() => {}
        None => return Err(missing("subscription")),
    }
    Ok(Recurring::Unsigned(Notice::new(
        NoticeKind::Subscription,
        body,
    )))
}

const fn missing(name: &'static str) -> VerifyError {
    VerifyError::MissingField { name }
}

const fn not_text(name: &'static str) -> VerifyError {
    VerifyError::FieldNotText { name }
}
