//! Takes credentials out of a body before it is queued or stored.
//!
//! A token that lets its holder charge a customer is of no use to us and must not rest anywhere. It
//! is replaced by its SHA-256, so that two notices about the same account still show that they are.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Names of credentials, in lower case and without underscores.
const CREDENTIALS: [&str; 4] = ["accesstoken", "refreshtoken", "token", "savedtokenid"];

/// The body itself when it carries no credential, else a body without them. The body is JSON.
pub(super) fn redacted(body: Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    match replace(&mut value) {
        true => value.to_string().into(),
        false => body,
    }
}

/// Replaces every credential below; whether there was one. Never stops at the first.
fn replace(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_credential(name) && !value.is_null() {
                    *value = digest(value).into();
                    found = true;
                } else {
                    found |= replace(value);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                found |= replace(item);
            }
        }
        _ => {}
    }
    found
}

fn is_credential(name: &str) -> bool {
    let plain = name.replace(['_', '-'], "").to_ascii_lowercase();
    CREDENTIALS.contains(&plain.as_str())
}

fn digest(value: &Value) -> String {
    let hash = match value {
        Value::String(text) => Sha256::digest(text),
        other => Sha256::digest(other.to_string()),
    };
    format!("sha256:{}", hex::encode(hash))
}
