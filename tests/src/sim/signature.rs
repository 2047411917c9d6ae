//! The classic `signature_key` (`midtrans.md` 2.1), written independently of the code under test.

use sha2::{Digest, Sha512};

/// Lower-case hex of SHA-512 over the four strings, concatenated without separators.
pub fn signature_key(
    order_id: &str,
    status_code: &str,
    gross_amount: &str,
    server_key: &str,
) -> String {
    let mut hash = Sha512::new();
    for part in [order_id, status_code, gross_amount, server_key] {
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
