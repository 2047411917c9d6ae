//! Notifications of the BI-SNAP family (`midtrans.md` 2.5): which there are, how each is checked,
//! and what a payment among them says.

mod keys;

mod payment;

pub use keys::{BiSnapKeys, BiSnapKeysError, Signature};
pub(super) use payment::incomplete;
pub use payment::{Payment, observe, observe_stored};

use bytes::Bytes;
use serde_json::Value;

use super::super::signature::VerifyError;
use super::{Notice, NoticeKind, check_json};

/// The header that signs.
pub const SIGNATURE: &str = "X-SIGNATURE";
/// The header that is signed with the body.
pub const TIMESTAMP: &str = "X-TIMESTAMP";

/// What a notification of the family is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Direct debit: GoPay and other wallets.
    Debit,
    /// QRIS.
    Qr,
    /// A virtual account.
    VirtualAccount,
    /// A GoPay account was linked or unlinked.
    Account,
}

impl Product {
    /// Every product.
    pub const ALL: [Self; 4] = [Self::Debit, Self::Qr, Self::VirtualAccount, Self::Account];

    /// What Midtrans appends to the prefix that it was given.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Debit => "/v1.0/debit/notify",
            Self::Qr => "/v1.0/qr/qr-mpm-notify",
            Self::VirtualAccount => "/v1.0/transfer-va/payment",
            Self::Account => "/v1.0/registration-account/notify",
        }
    }

    /// The product of such a path.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.path() == path)
    }

    /// The middle of every response code.
    pub const fn service_code(self) -> &'static str {
        match self {
            Self::Debit => "56",
            Self::Qr => "52",
            Self::VirtualAccount => "25",
            Self::Account => "88",
        }
    }

    /// The fields without which a notification cannot be taken, as paths and as people name them.
    const fn mandatory(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Debit | Self::Qr => &[
                ("/originalReferenceNo", "originalReferenceNo"),
                ("/latestTransactionStatus", "latestTransactionStatus"),
            ],
            Self::VirtualAccount => &[
                ("/partnerServiceId", "partnerServiceId"),
                ("/customerNo", "customerNo"),
                ("/virtualAccountNo", "virtualAccountNo"),
                ("/trxId", "trxId"),
                (
                    "/additionalInfo/paymentFlagStatus",
                    "additionalInfo.paymentFlagStatus",
                ),
            ],
            Self::Account => &[(
                "/additionalInfo/accountStatus",
                "additionalInfo.accountStatus",
            )],
        }
    }
}

/// What the answer to a virtual account notification repeats, exactly as it came: leading blanks
/// are part of the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// `partnerServiceId`, eight characters, padded with blanks.
    pub partner_service_id: String,
    /// `customerNo`.
    pub customer_no: String,
    /// `virtualAccountNo`.
    pub virtual_account_no: String,
    /// `trxId`.
    pub trx_id: String,
}

/// Checks a request.
///
/// # Errors
/// [`VerifyError`]; a missing header is a missing field. The signature is checked before any field
/// of the body is.
pub fn verify(
    product: Product,
    body: Bytes,
    signature: &Signature<'_>,
    keys: &BiSnapKeys,
) -> Result<(Notice, Option<Echo>), VerifyError> {
    check_json(&body)?;
    keys.check(product, &body, signature)?;
    let value: Value = serde_json::from_slice(&body).map_err(|_| VerifyError::NotJson)?;
    let at = |path| value.pointer(path).filter(|value| !value.is_null());
    for (path, name) in product.mandatory() {
        match at(path) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(Value::String(_)) | None => return Err(VerifyError::MissingField { name }),
            Some(_) => return Err(VerifyError::FieldNotText { name }),
        }
    }
    let said = |path| at(path).and_then(Value::as_str).unwrap_or_default();
    let echo = (product == Product::VirtualAccount).then(|| Echo {
        partner_service_id: said("/partnerServiceId").to_owned(),
        customer_no: said("/customerNo").to_owned(),
        virtual_account_no: said("/virtualAccountNo").to_owned(),
        trx_id: said("/trxId").to_owned(),
    });
    Ok((Notice::new(NoticeKind::BiSnap(product), body), echo))
}
