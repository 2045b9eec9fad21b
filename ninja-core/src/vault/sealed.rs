//! What is sealed: a version byte, the key's id, a random nonce, and what XChaCha20-Poly1305 makes of the secret.
//!
//! The place of a secret is authenticated with it, and what it is for: moved to another record, or with another address in its own,
//! it does not open.

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use zeroize::Zeroizing;

use super::{
    KeyId, VaultError,
    key::{ID_BYTES, MasterKey},
};
use crate::api::Secret;

/// The version of this form. Never given another meaning.
const VERSION: u8 = 1;
/// So long that random ones do not meet.
const NONCE_BYTES: usize = 24;

/// Where a secret is kept, and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose it is.
    pub owner: &'a str,
    /// The record that holds it.
    pub record: &'a str,
    /// The field of the record.
    pub field: &'a str,
    /// What else stands in the record and says where the secret may go.
    pub bound_to: &'a [&'a str],
}

/// A secret that only its key and its place open. As text it is base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    key: KeyId,
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Seals a secret for its place.
    pub(super) fn new(key: &MasterKey, place: Place<'_>, secret: &Secret) -> Result<Self, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| VaultError::NoRandom(error.to_string()))?;
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &authenticated(key.id(), place) };
        let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload);
        // The cipher takes up to 256 GiB; whoever asks has checked a length far below.
        let ciphertext = sealed.map_err(|_| VaultError::Altered)?;
        Ok(Self { key: key.id(), nonce, ciphertext })
    }

    /// Opens it in its place.
    pub(super) fn open(&self, key: &MasterKey, place: Place<'_>) -> Result<Secret, VaultError> {
        let payload = Payload { msg: &self.ciphertext, aad: &authenticated(self.key, place) };
        let opened = key.cipher().decrypt(&XNonce::from(self.nonce), payload).map_err(|_| VaultError::Altered)?;
        let opened = Zeroizing::new(opened);
        std::str::from_utf8(&opened).map(Secret::new).map_err(|_| VaultError::Altered)
    }

    /// Returns which key sealed it.
    pub fn key(&self) -> KeyId {
        self.key
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&[VERSION], &self.key.0[..], &self.nonce, &self.ciphertext].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (key, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        (*version == VERSION).then(|| Self { key: KeyId(*key), nonce: *nonce, ciphertext: ciphertext.to_vec() })
    }
}

/// What is authenticated and not sealed: the form, the key and the place, each part behind its length.
fn authenticated(key: KeyId, Place { owner, record, field, bound_to }: Place<'_>) -> Vec<u8> {
    let mut bytes = [&[VERSION], &key.0[..]].concat();
    for part in [owner, record, field].iter().chain(bound_to) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(|_| D::Error::custom("a sealed secret is base64"))?;
        Self::from_bytes(&bytes).ok_or_else(|| D::Error::custom("a sealed secret of an unknown form"))
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({})", self.key)
    }
}
