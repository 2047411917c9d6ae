//! Which web pages may ask the shop's listener from a browser: none, unless origins are named.

use std::fmt;
use std::str::FromStr;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Origins as browsers send them, each compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

/// What is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} is not an origin such as https://shop.example")]
pub struct OriginsError(usize);

impl FromStr for Origins {
    type Err = OriginsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split(',').map(str::trim);
        let origins = (1..)
            .zip(parts.filter(|part| !part.is_empty()))
            .map(|(position, part)| origin(part).ok_or(OriginsError(position)));
        origins.collect::<Result<_, _>>().map(Self)
    }
}

/// Scheme, host and port as a browser writes them: lower case, no path, not even a slash.
fn origin(text: &str) -> Option<HeaderValue> {
    let uri: Uri = text.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let authority = uri.authority()?.as_str();
    let exact = format!("{scheme}://{authority}");
    let usable = matches!(scheme, "http" | "https")
        && exact == text
        && text == text.to_ascii_lowercase()
        && !authority.contains(['@', '*']);
    HeaderValue::from_str(text).ok().filter(|_| usable)
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().filter_map(|one| one.to_str().ok()).collect();
        f.write_str(&texts.join(","))
    }
}

/// The layer that tells browsers; `None` when no origin is named.
pub(crate) fn layer(origins: Option<&Origins>) -> Option<CorsLayer> {
    let Origins(origins) = origins.filter(|origins| !origins.0.is_empty())?;
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([RETRY_AFTER]);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_named_exactly() {
        let read = |text: &str| text.parse::<Origins>().map(|origins| origins.to_string());
        let two = "https://shop.example,http://localhost:3000";
        assert_eq!(read(&two.replace(',', " , ")).as_deref(), Ok(two));
        for (text, position) in [
            ("*", 1),
            ("https://*.shop.example", 1),
            ("https://shop.example/", 1),
            ("https://shop.example, shop.example", 2),
            ("https://Shop.example", 1),
            ("ftp://shop.example", 1),
            ("https://user@shop.example", 1),
            ("null", 1),
        ] {
            assert_eq!(read(text), Err(OriginsError(position)), "{text}");
        }
    }
}
