//! Who gets in: every route stands behind the role it needs.

use std::net::Ipv4Addr;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::limits::{Limits, Peer};
use crate::problem::Problem;
use crate::tokens::{Caller, Role, Tokens};

/// What a set of routes asks of its callers.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) door: Door,
    pub(crate) needed: Role,
}

/// Who may come in, and how often.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) tokens: Tokens,
    pub(crate) limits: Limits,
}

/// Lets a request through with its [`Caller`] attached, or answers it.
pub(crate) async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match admit(&gate, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(gate: &Gate, request: &Request) -> Result<Caller, Problem> {
    let Door { tokens, limits } = &gate.door;
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.unwrap_or_else(|| Peer::of(Ipv4Addr::UNSPECIFIED.into()));
    let caller = bearer(request.headers()).and_then(|token| tokens.recognise(token));
    let Some(caller) = caller else {
        limits.attempt(peer)?;
        return Err(Problem::Unauthorized);
    };
    limits.request(peer, &caller.name)?;
    match caller.role.allows(gate.needed) {
        true => Ok(caller),
        false => Err(Problem::Forbidden),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_a_bearer_token_counts() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("bearer  abc ").as_deref(), Some("abc"));
        for other in ["abc", "Basic abc", "Bearer", "Bearer  "] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
