//! Random texts that are good for who holds them: their digests are stored, never they themselves.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::api::BlobHash;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandom;

/// Returns random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// Writes bytes as text that stands in headers and URLs.
pub(super) fn write(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads exactly so many bytes.
pub(super) fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The length first: what is longer is not decoded at all.
    (text.len() == (N * 8).div_ceil(6)).then(|| URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()).flatten()
}

/// Returns what is stored of a secret.
pub(super) fn digest(secret: &[u8]) -> BlobHash {
    BlobHash::from_bytes(Sha256::digest(secret).into())
}

/// Returns whether a digest is a secret's, in constant time.
pub(super) fn is_digest_of(digest_of_it: &BlobHash, secret: &[u8]) -> bool {
    digest(secret).as_bytes().ct_eq(digest_of_it.as_bytes()).into()
}
