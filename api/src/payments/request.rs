//! What is asked for, taken strictly.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use shared::domain::Rupiah;
use shared::domain::checkout::PayMethod;
use utoipa::ToSchema;

use super::problems::{bad_method, no_payment};
use crate::body::invalid_body;
use crate::problem::Problem;

/// Longer than any code or session id can be.
const LONGEST: usize = 100;

/// Above what any method takes.
const MOST: i64 = 999_999_999_999;

/// A payment to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreatePayment {
    /// The order.
    order_code: String,
    /// `snap`, `gopay`, `qris`, `shopeepay`, `bank_transfer`, `echannel` or `cstore`.
    method: String,
    /// For `bank_transfer`: `bca`, `bni`, `bri`, `cimb` or `permata`.
    bank: Option<String>,
    /// For `cstore`: `indomaret` or `alfamart`.
    store: Option<String>,
}

/// A payment by GoPay QRIS to begin: one of the two, or both when they agree.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateGopayQris {
    /// Rupiah.
    gross_amount: Option<i64>,
    /// The order.
    order_code: Option<String>,
}

/// What somebody wants to pay, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// An order.
    Order {
        code: String,
        method: PayMethod,
        /// What the caller takes it to cost.
        amount: Option<Rupiah>,
    },
    /// An amount, for no order.
    Alone { method: PayMethod, amount: Rupiah },
}

impl CreatePayment {
    pub(super) fn wish(self) -> Result<Wish, Problem> {
        let (bank, store) = (self.bank.as_deref(), self.store.as_deref());
        let method = PayMethod::parse(&self.method, bank, store).map_err(bad_method)?;
        Ok(Wish::Order {
            code: order_code(self.order_code)?,
            method,
            amount: None,
        })
    }
}

impl CreateGopayQris {
    /// `qris` with GoPay as its acquirer, not `gopay`: the code is a QRIS code, so that every
    /// wallet and every bank's app can pay it, which Midtrans' `gopay` does not promise.
    pub(super) fn wish(self) -> Result<Wish, Problem> {
        let amount = self.gross_amount.map(amount).transpose()?;
        let method = PayMethod::Qris;
        match (self.order_code, amount) {
            (Some(code), amount) => Ok(Wish::Order {
                code: order_code(code)?,
                method,
                amount,
            }),
            (None, Some(amount)) => Ok(Wish::Alone { method, amount }),
            (None, None) => Err(invalid_body(
                "gross_amount",
                "is needed where no order_code is",
            )),
        }
    }
}

fn amount(rupiah: i64) -> Result<Rupiah, Problem> {
    if (1..=MOST).contains(&rupiah) {
        Ok(Rupiah::new(rupiah))
    } else {
        Err(invalid_body(
            "gross_amount",
            "must be from 1 to 999999999999",
        ))
    }
}

fn order_code(code: String) -> Result<String, Problem> {
    if is_key(&code) {
        Ok(code)
    } else {
        Err(invalid_body("order_code", "cannot be the code of an order"))
    }
}

/// The database refuses some characters, and that is no reason to alarm anybody.
fn is_key(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// A payment as part of a path: by its order's code or by its session id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaymentKey(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PaymentKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(key) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| no_payment())?;
        if is_key(&key) {
            Ok(Self(key))
        } else {
            Err(no_payment())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gopay_qris_is_qris_and_needs_an_order_or_an_amount() {
        let wish = |gross_amount, order_code: Option<&str>| {
            let order_code = order_code.map(str::to_owned);
            CreateGopayQris {
                gross_amount,
                order_code,
            }
            .wish()
        };
        let alone = Wish::Alone {
            method: PayMethod::Qris,
            amount: Rupiah::new(1),
        };
        assert_eq!(wish(Some(1), None), Ok(alone));
        assert!(matches!(
            wish(Some(1), Some("LNS-1")),
            Ok(Wish::Order {
                amount: Some(_),
                ..
            })
        ));
        for (amount, code) in [
            (None, None),
            (Some(0), None),
            (Some(-1), Some("LNS-1")),
            (Some(MOST + 1), None),
            (None, Some("")),
            (None, Some("a\0")),
        ] {
            let refused = wish(amount, code).unwrap_err();
            assert_eq!(refused.code(), "invalid_body", "{amount:?} {code:?}");
        }
    }
}
