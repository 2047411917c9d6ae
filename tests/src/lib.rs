//! Tests library.
