//! Midtrans' public key, and the signature it checks: RSA with SHA-256 and PKCS#1 v1.5.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::super::super::signature::VerifyError;
use super::{Product, SIGNATURE, TIMESTAMP};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Midtrans' public keys, at least one: saving the URL at the dashboard makes a new one, so two may
/// be in use for a while.
#[derive(Clone)]
pub struct BiSnapKeys(Vec<ParsedPublicKey>);

/// Why a text is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BiSnapKeysError {
    /// No block between BEGIN PUBLIC KEY and END PUBLIC KEY.
    #[error("there is no PEM block with a public key")]
    NoBlock,
    /// A block is not base64.
    #[error("key {position} is not base64")]
    NotBase64 {
        /// Which one, from 1.
        position: usize,
    },
    /// Not an RSA key of at least 2048 bits.
    #[error("key {position} is no RSA key of 2048 to 8192 bits")]
    NotRsa {
        /// Which one, from 1.
        position: usize,
    },
}

/// What a request says beside its body.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// The header `X-SIGNATURE`.
    pub signature: Option<&'a str>,
    /// The header `X-TIMESTAMP`.
    pub timestamp: Option<&'a str>,
    /// The path that was asked for, with our prefix.
    pub path: &'a str,
}

impl BiSnapKeys {
    /// Checks a signature. Midtrans' own pages disagree whether the path is signed with our prefix
    /// or without, and its libraries on whether the body is minified first: any of these is taken,
    /// for all of them are the same request (`midtrans.md` 2.5).
    pub(super) fn check(
        &self,
        product: Product,
        body: &[u8],
        said: &Signature<'_>,
    ) -> Result<(), VerifyError> {
        let missing = |name| VerifyError::MissingField { name };
        let signature = said.signature.ok_or(missing(SIGNATURE))?;
        let timestamp = said.timestamp.ok_or(missing(TIMESTAMP))?;
        let signature = STANDARD
            .decode(signature)
            .map_err(|_| VerifyError::SignatureMismatch)?;
        let minified = minified(body);
        let mut hashes = vec![hex::encode(Sha256::digest(body))];
        if minified != body {
            hashes.push(hex::encode(Sha256::digest(&minified)));
        }
        let matched = hashes.iter().any(|hash| {
            [product.path(), said.path].into_iter().any(|path| {
                let signed = format!("POST:{path}:{hash}:{timestamp}");
                self.0
                    .iter()
                    .any(|key| key.verify_sig(signed.as_bytes(), &signature).is_ok())
            })
        });
        match matched {
            true => Ok(()),
            false => Err(VerifyError::SignatureMismatch),
        }
    }
}

/// The body without the blanks outside its texts, and nothing else changed.
pub(super) fn minified(body: &[u8]) -> Vec<u8> {
    let (mut in_text, mut escaped) = (false, false);
    let kept = body.iter().copied().filter(|byte| {
        let keep = in_text || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match (in_text, escaped, byte) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => in_text = !in_text,
            _ => {}
        }
        keep
    });
    kept.collect()
}

impl FromStr for BiSnapKeys {
    type Err = BiSnapKeysError;

    /// Reads one or more PEM blocks; a line break may be written `\n`, as in a variable of one line.
    fn from_str(text: &str) -> Result<Self, BiSnapKeysError> {
        let text = text.replace("\\n", "\n");
        let mut keys = Vec::new();
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once(BEGIN) {
            let (block, after) = after.split_once(END).ok_or(BiSnapKeysError::NoBlock)?;
            rest = after;
            let position = keys.len() + 1;
            let block: String = block.split_whitespace().collect();
            let der = STANDARD
                .decode(block)
                .map_err(|_| BiSnapKeysError::NotBase64 { position })?;
            let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &der)
                .map_err(|_| BiSnapKeysError::NotRsa { position })?;
            keys.push(key);
        }
        match keys.is_empty() {
            true => Err(BiSnapKeysError::NoBlock),
            false => Ok(Self(keys)),
        }
    }
}

impl fmt::Debug for BiSnapKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} public key(s)", self.0.len())
    }
}
