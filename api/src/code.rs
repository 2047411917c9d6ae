//! An order's code as part of a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;

use crate::problem::Problem;

/// Longer than any code or session id can be.
const LONGEST: usize = 100;

/// The code of an order.
// From `{order_code}` in a path. What cannot be one is not looked for: the database refuses some
// characters, and that is no reason to alarm anybody.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(names("order_code"), parameter_in = Path)]
pub(crate) struct OrderCode(#[param(example = "LNS-7K2M9QXA")] pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for OrderCode {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(code) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::OrderNotFound)?;
        if code.len() > LONGEST || code.chars().any(char::is_control) {
            return Err(Problem::OrderNotFound);
        }
        Ok(Self(code))
    }
}
