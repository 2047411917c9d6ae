//! Server keys as `MIDTRANS_SERVER_KEY` lists them. Nothing here prints a key.

use std::fmt;
use std::str::FromStr;

/// The keys of one setting, at least one. The first of a merchant signs our calls, all of them
/// verify, so that a key can be exchanged without a gap.
#[derive(Clone)]
pub struct ServerKeys(Vec<ServerKey>);

/// A key and, when it is labelled, the only merchant it speaks for.
#[derive(Clone)]
pub struct ServerKey {
    merchant_id: Option<String>,
    secret: String,
}

/// Why a setting does not name keys. Counts from 1 and never shows a part of the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The setting, or one place between its commas, is empty.
    #[error("key {position} is empty")]
    Empty {
        /// Which one.
        position: usize,
    },
    /// There is nothing in front of the equals sign.
    #[error("key {position} has an equals sign, but no merchant id in front of it")]
    EmptyMerchant {
        /// Which one.
        position: usize,
    },
    /// Blanks and control characters inside: Midtrans' own libraries refuse such a key before
    /// sending (`midtrans.md` 4.1).
    #[error("key {position} contains a blank or a control character")]
    Blank {
        /// Which one.
        position: usize,
    },
}

impl ServerKeys {
    /// All keys, in the order of the setting.
    pub fn iter(&self) -> impl Iterator<Item = &ServerKey> {
        self.0.iter()
    }

    /// The key that signs our calls: the merchant's first, else the first unlabelled one; without
    /// a merchant, the first of the setting.
    pub fn signing(&self, merchant_id: Option<&str>) -> Option<&ServerKey> {
        let Some(merchant_id) = merchant_id else {
            return self.0.first();
        };
        let labelled = |label| move |key: &&ServerKey| key.merchant_id() == label;
        self.0
            .iter()
            .find(labelled(Some(merchant_id)))
            .or_else(|| self.0.iter().find(|key| key.merchant_id().is_none()))
    }
}

impl ServerKey {
    /// The merchant of a labelled key.
    pub fn merchant_id(&self) -> Option<&str> {
        self.merchant_id.as_deref()
    }

    /// The key itself, for hashing and for the gateway client's authorization header.
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl FromStr for ServerKeys {
    type Err = KeysError;

    fn from_str(setting: &str) -> Result<Self, KeysError> {
        setting
            .split(',')
            .enumerate()
            .map(|(index, part)| parse_key(part.trim(), index + 1))
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }
}

fn parse_key(part: &str, position: usize) -> Result<ServerKey, KeysError> {
    let (merchant_id, secret) = match part.split_once('=') {
        Some((merchant_id, secret)) => (Some(merchant_id.trim()), secret.trim()),
        None => (None, part),
    };
    if merchant_id == Some("") {
        return Err(KeysError::EmptyMerchant { position });
    }
    if secret.is_empty() {
        return Err(KeysError::Empty { position });
    }
    if secret.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(KeysError::Blank { position });
    }
    Ok(ServerKey {
        merchant_id: merchant_id.map(str::to_owned),
        secret: secret.to_owned(),
    })
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKey")
            .field("merchant_id", &self.merchant_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} server key(s)", self.0.len())
    }
}
