//! Notifications other than the classic one (`midtrans.md` 2.2 to 2.5): what kinds there are, who
//! vouches for each, and what a body of each says.
//!
//! A [`Notice`] can only be made by checking a request ([`verify`]), as a verified notification can.
//! The worker reads it ([`read()`]), or makes an observation of it when it is a BI-SNAP payment
//! ([`bi_snap`]), and asks [`progress`] whether it is news.

pub mod bi_snap;

mod read;

pub mod progress;

mod redact;

pub mod verify;

pub use read::{NoticeReading, read};
pub use verify::Recurring;

use bytes::Bytes;

use self::bi_snap::Product;
use super::json::SkippedObject;
use super::signature::VerifyError;

/// What a notification is that is not a classic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A GoPay account was linked or unlinked.
    PayAccount,
    /// A subscription was made or charged; nothing signs it.
    Subscription,
    /// A payout went on, or the payout account was topped up.
    Payout,
    /// A notification of the BI-SNAP family.
    BiSnap(Product),
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::PayAccount,
        Self::Subscription,
        Self::Payout,
        Self::BiSnap(Product::Debit),
        Self::BiSnap(Product::Qr),
        Self::BiSnap(Product::VirtualAccount),
        Self::BiSnap(Product::Account),
    ];

    /// The word in the message header and in `other_notifications.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PayAccount => "pay_account",
            Self::Subscription => "subscription",
            Self::Payout => "payout",
            Self::BiSnap(Product::Debit) => "bi_snap_debit",
            Self::BiSnap(Product::Qr) => "bi_snap_qr",
            Self::BiSnap(Product::VirtualAccount) => "bi_snap_va",
            Self::BiSnap(Product::Account) => "bi_snap_account",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a signature vouches for notices of this kind.
    pub const fn is_verified(self) -> bool {
        match self {
            Self::Subscription => false,
            Self::PayAccount | Self::Payout | Self::BiSnap(_) => true,
        }
    }
}

/// A notification that was checked as its kind asks, without the credentials that it carried.
#[derive(Clone)]
pub struct Notice {
    kind: NoticeKind,
    body: Bytes,
}

impl Notice {
    /// Only the checks in [`verify`] make one.
    fn new(kind: NoticeKind, body: Bytes) -> Self {
        Self {
            kind,
            body: redact::redacted(body),
        }
    }

    /// What it is.
    pub const fn kind(&self) -> NoticeKind {
        self.kind
    }

    /// The original bytes, unless there were credentials in them: those are replaced.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Whether a body is one JSON object that can be decoded and stored.
fn check_json(body: &[u8]) -> Result<(), VerifyError> {
    let text = std::str::from_utf8(body).map_err(|_| VerifyError::NotJson)?;
    serde_json::from_str::<SkippedObject>(text)
        .map(|_| ())
        .map_err(|_| VerifyError::NotJson)
}

#[cfg(test)]
mod tests;
