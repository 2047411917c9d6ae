//! Basic authentication with the server key and an empty password (`midtrans.md` 4.1).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answer::Answer;
use super::trick::Call;

/// What an unknown key is told.
pub(crate) const UNKNOWN_KEY: &str = "Unknown merchant or server key.";

/// Passes a request that carries the server key, or answers 401 in the shape of its API.
pub(crate) fn check(headers: &HeaderMap, server_key: &str, call: Call) -> Result<(), Answer> {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Basic "));
    let given = given.and_then(|value| STANDARD.decode(value.trim()).ok());
    if given.is_some_and(|given| given == format!("{server_key}:").into_bytes()) {
        return Ok(());
    }
    Err(match call {
        Call::Snap => Answer::snap_error(401, &[UNKNOWN_KEY.to_owned()]),
        _ => Answer::error(401, UNKNOWN_KEY, &[]),
    })
}
