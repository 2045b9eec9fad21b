//! The chain of the audit log: how each entry is linked to the one before it, with a key that the log itself does not hold.
//!
//! ```text
//! link of entry n   HMAC-SHA256(key, link of entry n-1 [32] ‖ n u64 ‖ SHA-256(entry n) [32]); 32 zeros come before the first
//! end               HMAC-SHA256(key, "end" ‖ n u64 ‖ link of entry n [32])
//! ```
//!
//! The writer links, so that the order of the links is the order of the commits. The links stand in the log's frames and in the tree,
//! so neither a replay nor a restore needs the key. What an entry says, and whether the chain holds, is the business of `crate::audit`.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::store::StoreError;

/// The key of a chain. Wiped from memory when it is dropped.
#[derive(Clone)]
pub struct ChainKey(Zeroizing<[u8; Mac::BYTES]>);

impl ChainKey {
    /// Makes a key of 32 bytes that nobody can guess.
    pub fn new(bytes: [u8; Mac::BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns what an entry is linked with, given the link of the one before it.
    pub fn link(&self, before: &Mac, seq: u64, entry: &[u8]) -> Mac {
        self.mac(&[&before.0, &seq.to_be_bytes(), &Sha256::digest(entry)])
    }

    /// Returns what says that nothing comes after an entry.
    pub fn end(&self, seq: u64, mac: &Mac) -> Mac {
        self.mac(&[b"end", &seq.to_be_bytes(), &mac.0])
    }

    /// Returns the code of some bytes under this key. Whoever asks sees to it that they are neither a link nor an end.
    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Mac {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length is taken");
        parts.iter().for_each(|part| hmac.update(part));
        Mac(hmac.finalize().into_bytes().into())
    }

    /// Links entries to the end of the chain.
    pub(super) fn chain<'a>(&self, end: &AuditEnd, entries: impl Iterator<Item = &'a Bytes>) -> Links {
        let (mut seq, mut mac, mut macs) = (end.seq, end.mac, Vec::new());
        for entry in entries {
            seq += 1;
            mac = self.link(&mac, seq, entry);
            macs.push(mac);
        }
        Links { first: end.seq + 1, macs, end_mac: self.end(seq, &mac) }
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey([redacted])")
    }
}

/// A code that only whoever has the key can make. As text it is hexadecimal.
#[derive(Clone, Copy)]
pub struct Mac([u8; Self::BYTES]);

impl Mac {
    /// How long it is.
    pub const BYTES: usize = 32;
    /// What comes before the first link.
    pub const NONE: Self = Self([0; Self::BYTES]);

    /// Takes the bytes of one.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl Default for Mac {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for Mac {
    /// Compares in constant time: how much of a forged one is right is not told.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Mac {}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl FromStr for Mac {
    type Err = NoMac;

    fn from_str(text: &str) -> Result<Self, NoMac> {
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let bytes: Option<Vec<u8>> = digits
            .ok_or(NoMac)?
            .chunks(2)
            .map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok())
            .collect();
        match text.len() == 2 * Self::BYTES {
            true => bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(NoMac),
            false => Err(NoMac),
        }
    }
}

/// A text that is no [`Mac`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link of the audit log is {} hexadecimal digits", 2 * Mac::BYTES)]
pub struct NoMac;

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, from 1.
    pub seq: u64,
    /// What links it to the one before.
    pub mac: Mac,
    /// What it says, as it was committed.
    pub entry: Bytes,
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEnd {
    /// The number of the last entry; 0 where there is none.
    pub seq: u64,
    /// Its link.
    pub mac: Mac,
    /// What says that nothing comes after it.
    pub end_mac: Mac,
}

impl AuditEnd {
    const BYTES: usize = 8 + 2 * Mac::BYTES;
    /// The end of a chain that was not begun.
    pub(super) const NONE: Self = Self { seq: 0, mac: Mac::NONE, end_mac: Mac::NONE };

    /// Returns what the tree keeps.
    pub(super) fn stored(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.mac.0);
        out.extend_from_slice(&self.end_mac.0);
        out
    }

    /// Reads what the tree keeps.
    pub(super) fn read(stored: &[u8]) -> Result<Self, StoreError> {
        let parts = stored.split_first_chunk().and_then(|(seq, rest)| {
            let (mac, rest) = rest.split_first_chunk()?;
            Some((seq, mac, rest.try_into().ok()?))
        });
        let (seq, mac, end_mac) =
            parts.ok_or_else(|| StoreError::Corrupt("the end of the audit log does not read".to_owned()))?;
        Ok(Self { seq: u64::from_be_bytes(*seq), mac: Mac(*mac), end_mac: Mac(end_mac) })
    }
}

/// The links of the entries of one commit, in their order. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links {
    /// The number of the first.
    pub(super) first: u64,
    /// The links.
    pub(super) macs: Vec<Mac>,
    /// What says that nothing comes after the last.
    pub(super) end_mac: Mac,
}

impl Links {
    /// Returns where the chain ends with them, given where it ended before.
    pub(super) fn end(&self) -> AuditEnd {
        let mac = self.macs.last().copied().unwrap_or(Mac::NONE);
        AuditEnd { seq: self.first + self.macs.len() as u64 - 1, mac, end_mac: self.end_mac }
    }
}

/// Splits what the tree keeps of an entry into its link and the stored value.
pub(super) fn split(stored: &[u8]) -> Result<(Mac, &[u8]), StoreError> {
    let parts = stored.split_first_chunk().map(|(mac, value)| (Mac(*mac), value));
    parts.ok_or_else(|| StoreError::Corrupt("an entry of the audit log does not read".to_owned()))
}

/// Lets a test do to the entries of a directory at rest what somebody can do who writes the disk. They are as the tree keeps them.
#[cfg(test)]
pub(crate) fn tamper_at_rest(
    directory: &std::path::Path,
    with: impl FnOnce(&mut std::collections::BTreeMap<u64, Vec<u8>>),
) {
    use super::{calls::Calls, keys, tree};

    let tree = tree::Tree::open(&directory.join("tree"), 1024 * 1024).unwrap();
    let read = tree.read(|db| {
        let all = keys::all_audit();
        let entries = tree::scan(db, keys::audit(0), &all).map(|entry| {
            let (key, stored) = entry?;
            Ok((keys::seq_of_audit_key(&key).unwrap(), stored.to_vec()))
        });
        entries.collect::<Result<std::collections::BTreeMap<_, _>, StoreError>>()
    });
    let mut entries = read.unwrap();
    let mut batch = tree::Batch::default();
    entries.keys().for_each(|seq| batch.remove(keys::audit(*seq)));
    with(&mut entries);
    entries.into_iter().for_each(|(seq, stored)| batch.insert(keys::audit(seq), stored));
    tree.apply(batch, &Calls::default()).unwrap();
    tree.flush(&Calls::default()).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_ends_keep_their_bytes() {
        let key = ChainKey::new([7; 32]);
        let first = key.link(&Mac::NONE, 1, b"one");
        let second = key.link(&first, 2, b"two");
        // Made with another implementation: Python's hmac over the bytes that the head of this file names.
        assert_eq!(first.to_string(), "5bba6963981c26460caa6efe11356bcd82ea6f563d7305e94cf6607a8b853232");
        assert_eq!(second.to_string(), "fe90dac7df87a3c0c1a9bbd8b6ebf88b824d7687c87174db2f91b230134fc293");
        assert_eq!(key.end(2, &second).to_string(), "186e326d950d9e453dc20fbe4b826d051f6be6a1584a3181dd7d0cc0ea01b2ee");
        let links = key.chain(&AuditEnd { seq: 1, mac: first, end_mac: Mac::NONE }, [Bytes::from("two")].iter());
        assert_eq!(links.end(), AuditEnd { seq: 2, mac: second, end_mac: key.end(2, &second) });
        assert_eq!(AuditEnd::read(&links.end().stored()).unwrap(), links.end());
        assert!(AuditEnd::read(&links.end().stored()[1..]).is_err());
    }

    #[test]
    fn a_link_reads_back_from_its_text_and_nothing_else_does() {
        let mac = ChainKey::new([1; 32]).link(&Mac::NONE, 1, b"");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        for bad in ["", "0", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<Mac>(), Err(NoMac), "{bad}");
        }
        assert_eq!(format!("{:?}", ChainKey::new([1; 32])), "ChainKey([redacted])");
    }
}
