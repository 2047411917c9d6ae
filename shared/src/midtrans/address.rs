//! Where a request goes: the base of an API, and an id as one segment of a path.

use std::fmt::Write as _;

use reqwest::Url;

/// Longer than any id Midtrans makes or accepts (the dashboard's test uses 66 characters).
const LONGEST_ID: usize = 200;

/// The checked base of the API.
#[derive(Debug, Clone)]
pub(super) struct Base(String);

/// Why a base URL is refused. Never shows the URL, which may carry a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not an absolute URL.
    #[error("it is not an absolute URL")]
    NotAUrl,
    /// Neither `http` nor `https`.
    #[error("it must begin with http:// or https://")]
    Scheme,
    /// A user, a password, a query or a fragment.
    #[error("it must not have a user, a password, a query or a fragment")]
    Extras,
}

impl Base {
    /// Checks and keeps the base; a trailing slash does no harm.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text.trim()).map_err(|_| AddressError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::Scheme);
        }
        let extras = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if extras {
            return Err(AddressError::Extras);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The address below the base with these segments, each encoded; `None` when no path can carry
    /// one of them.
    pub(super) fn path(&self, segments: &[&str]) -> Option<Url> {
        let mut address = self.0.clone();
        for text in segments {
            address.push('/');
            address.push_str(&segment(text)?);
        }
        Url::parse(&address).ok()
    }
}

/// Everything but unreserved characters is encoded: a slash would ask for another path, and
/// servers of this kind cut a segment at a semicolon, which would ask for another order. Nothing
/// can encode the dots of `.` and `..`, which URLs remove.
fn segment(id: &str) -> Option<String> {
    if matches!(id, "" | "." | "..") || id.len() > LONGEST_ID {
        return None;
    }
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                segment.push(char::from(byte));
            }
            _ => write!(segment, "%{byte:02X}").ok()?,
        }
    }
    Some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_ids_stay_one_segment() {
        let base = Base::parse("https://api.sandbox.midtrans.com/").unwrap();
        for (id, path) in [
            ("LNS-1~a_b.2", "/v2/LNS-1~a_b.2/status"),
            ("a/b#c?d", "/v2/a%2Fb%23c%3Fd/status"),
            ("a;b c%2F", "/v2/a%3Bb%20c%252F/status"),
            ("…", "/v2/%E2%80%A6/status"),
            ("%2e%2e", "/v2/%252e%252e/status"),
        ] {
            let url = base.path(&["v2", id, "status"]).unwrap();
            assert_eq!(url.path(), path);
            assert_eq!(url.host_str(), Some("api.sandbox.midtrans.com"));
        }
    }

    #[test]
    fn ids_that_no_path_can_carry_are_refused() {
        let base = Base::parse("http://127.0.0.1:1").unwrap();
        for id in ["", ".", "..", "x".repeat(201).as_str()] {
            assert!(base.path(&["v2", id, "status"]).is_none(), "{id}");
        }
    }

    #[test]
    fn a_base_is_checked_and_its_path_kept() {
        let base = Base::parse(" http://gateway.internal/midtrans/ ").unwrap();
        let url = base.path(&["v2", "a", "status"]).unwrap();
        assert_eq!(url.path(), "/midtrans/v2/a/status");
        for (text, error) in [
            ("api.midtrans.com", AddressError::NotAUrl),
            ("", AddressError::NotAUrl),
            ("ftp://api.midtrans.com", AddressError::Scheme),
            ("https://u@api.midtrans.com", AddressError::Extras),
            ("https://api.midtrans.com?a=b", AddressError::Extras),
        ] {
            assert_eq!(Base::parse(text).unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_id_is_found_again_in_its_path(id in "[^.]{1,40}") {
            let url = Base::parse("http://h").unwrap().path(&["v2", &id, "status"]).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            let mut decoded = Vec::new();
            let mut bytes = segments[1].bytes();
            while let Some(byte) = bytes.next() {
                decoded.push(match byte {
                    b'%' => {
                        let pair = [bytes.next().unwrap(), bytes.next().unwrap()];
                        hex::decode(pair).unwrap()[0]
                    }
                    plain => plain,
                });
            }
            prop_assert_eq!(decoded, id.into_bytes());
        }
    }
}
