//! One master key.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{KeyProblem, VaultError};

/// What the cipher takes.
const KEY_BYTES: usize = 32;
/// Enough that two keys of one ring never share an id.
pub(super) const ID_BYTES: usize = 8;

/// The name of a master key: the beginning of a hash of it, so that it is the same wherever the key is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub(super) [u8; ID_BYTES]);

/// A key that seals secrets. Wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct MasterKey {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl MasterKey {
    /// Makes a new one.
    pub(super) fn generate() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| VaultError::NoRandom(error.to_string()))?;
        Ok(Self::of(bytes))
    }

    /// Reads one: base64 or hex, with or without its id and a colon before it.
    pub(super) fn parse(text: &str) -> Result<Self, KeyProblem> {
        let (id, text) = text.split_once(':').map_or((None, text), |(id, text)| (Some(id.trim()), text));
        let key = Self::of(decode(text.trim())?);
        match id {
            Some(id) if id != key.id.to_string() => Err(KeyProblem::OtherId),
            Some(_) | None => Ok(key),
        }
    }

    /// Writes it as [`Self::parse`] reads it.
    pub(super) fn reveal(&self) -> Zeroizing<String> {
        let text = Zeroizing::new(STANDARD_NO_PAD.encode(self.bytes.as_slice()));
        Zeroizing::new(format!("{}:{}=", self.id, *text))
    }

    /// Returns its name.
    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// Returns the cipher under this key.
    pub(super) fn cipher(&self) -> XChaCha20Poly1305 {
        let bytes: &[u8; KEY_BYTES] = &self.bytes;
        XChaCha20Poly1305::new(bytes.into())
    }

    fn of(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let hash = Sha256::new().chain_update(b"ninja master key id").chain_update(bytes.as_slice()).finalize();
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(hash).for_each(|(byte, of_hash)| *byte = of_hash);
        Self { id: KeyId(id), bytes }
    }
}

fn decode(text: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyProblem> {
    if text.is_empty() {
        return Err(KeyProblem::Missing);
    }
    let is_hex = text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = Zeroizing::new(match is_hex {
        true => from_hex(text).ok_or(KeyProblem::Encoding)?,
        false => STANDARD_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| KeyProblem::Encoding)?,
    });
    let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyProblem::Length(bytes.len()))?;
    Ok(Zeroizing::new(*key))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?.chunks(2).map(|pair| u8::try_from(pair.iter().fold(0, |sum, digit| sum * 16 + digit)).ok()).collect()
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, [redacted])", self.id)
    }
}
