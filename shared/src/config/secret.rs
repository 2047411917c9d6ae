//! A value that cannot be printed.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// Holds a key, password or URL with a password. Neither `Debug` nor an error shows it; reading it
/// takes the word [`expose`](Secret::expose), which is easy to look for in a review.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromStr for Secret<String> {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret: Secret<String> = "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "SB-Mid-server-9fQx2Lr7TzKe04WbHdYsUmVa");
    }
}
