//! A value as the tree keeps it: small ones inline, large ones as the address of a blob.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::api::BlobHash;

use super::store::StoreError;

/// Values larger than this become blobs: the tree rewrites whole leaves, and a leaf should stay small.
pub(super) const SPILL_BYTES: usize = 4096;

const INLINE: u8 = 0;
const SPILLED: u8 = 1;

/// Returns the blob that a value becomes, where it is large.
pub(super) fn spilled_as(bytes: &[u8]) -> Option<BlobHash> {
    (bytes.len() > SPILL_BYTES).then(|| hash_of(bytes))
}

/// Bytes to store, hashed once if they will be a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    bytes: Bytes,
    hash: Option<BlobHash>,
}

impl Value {
    /// Takes bytes, and hashes them if they are large.
    pub(super) fn new(bytes: Bytes) -> Self {
        let hash = spilled_as(&bytes);
        Self { bytes, hash }
    }

    /// Returns the bytes.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the blob that the value needs, if any.
    pub(super) fn spilled(&self) -> Option<(BlobHash, &Bytes)> {
        self.hash.map(|hash| (hash, &self.bytes))
    }

    /// Appends what the tree keeps.
    pub(super) fn store_into(&self, out: &mut Vec<u8>) {
        match self.hash {
            None => {
                out.push(INLINE);
                out.extend_from_slice(&self.bytes);
            }
            Some(hash) => {
                out.push(SPILLED);
                out.extend_from_slice(hash.as_bytes());
                out.extend_from_slice(&(self.bytes.len() as u64).to_be_bytes());
            }
        }
    }

    /// Returns what the tree keeps.
    pub(super) fn stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + self.bytes.len().min(SPILL_BYTES));
        self.store_into(&mut out);
        out
    }
}

/// A stored value as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// The bytes themselves.
    Inline(Bytes),
    /// A blob that holds them.
    Spilled {
        /// Its address.
        hash: BlobHash,
        /// Its length.
        len: u64,
    },
}

impl Stored {
    /// Reads what [`Value::store_into`] wrote.
    pub(super) fn read(stored: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt("a value in the tree does not read".to_owned());
        match stored.split_first().ok_or_else(damaged)? {
            (&INLINE, bytes) => Ok(Self::Inline(Bytes::copy_from_slice(bytes))),
            (&SPILLED, rest) => {
                let (hash, len) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
                let len = u64::from_be_bytes(len.try_into().map_err(|_| damaged())?);
                Ok(Self::Spilled { hash: BlobHash::from_bytes(*hash), len })
            }
            _ => Err(damaged()),
        }
    }
}

/// Returns the address of some bytes.
pub(super) fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash::from_bytes(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_values_become_blobs() {
        let small = Value::new(Bytes::from(vec![7; SPILL_BYTES]));
        assert_eq!(small.spilled(), None);
        assert_eq!(Stored::read(&small.stored()).unwrap(), Stored::Inline(small.bytes().clone()));
        let large = Value::new(Bytes::from(vec![7; SPILL_BYTES + 1]));
        let (hash, bytes) = large.spilled().unwrap();
        assert_eq!(Stored::read(&large.stored()).unwrap(), Stored::Spilled { hash, len: bytes.len() as u64 });
        assert_eq!(large.stored().len(), 41);
    }

    #[test]
    fn damaged_values_are_refused() {
        for bad in [&[][..], &[2], &[1, 0], &[1; 40], &[1; 42]] {
            assert!(matches!(Stored::read(bad), Err(StoreError::Corrupt(_))), "{bad:?}");
        }
    }
}
