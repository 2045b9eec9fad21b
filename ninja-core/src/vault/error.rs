//! Why a secret cannot be sealed or opened, and what to do about it.

use super::KeyId;
use crate::api::ErrorCode;

/// A failure of the vault. Holds no part of a key or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// A master key cannot be read.
    #[error("{place}: {problem}")]
    Unusable {
        /// The variable or file, and the line in it.
        place: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// A file of keys is open to others.
    #[error(
        "{place} can be read or written by others than its owner: make new keys if it was, then `chmod 600 {place}`"
    )]
    Exposed {
        /// The file.
        place: String,
    },
    /// A file of keys cannot be read or written.
    #[error("failed to {doing} {place}: {what}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        place: String,
        /// What the system said.
        what: String,
    },
    /// The key that sealed it is gone.
    #[error(
        "it is sealed with the master key {key}, which is not in {place}: bring that key back, or give the secret again"
    )]
    UnknownKey {
        /// The key's id.
        key: KeyId,
        /// Where keys come from.
        place: String,
    },
    /// The bytes are not those that were sealed, or not for this place.
    #[error("its sealed bytes, or what they are for, were altered: restore a backup, or give the secret again")]
    Altered,
    /// The ring comes from where Ninja does not write.
    #[error("{0}")]
    NotOurs(String),
    /// Another process holds the file.
    #[error("another process is changing {place}, and has been for some seconds: nothing was changed, try again")]
    Busy {
        /// The file.
        place: String,
    },
    /// There are no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandom(String),
}

/// What is wrong with a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Nothing is there.
    #[error("it holds no key; one is 32 random bytes, such as `openssl rand -base64 32` makes them")]
    Missing,
    /// It is no encoding of bytes.
    #[error("the key is neither base64 nor hex")]
    Encoding,
    /// It is too long or too short.
    #[error("the key has {0} bytes; a master key has 32")]
    Length(usize),
    /// It stands beside the id of another.
    #[error("the key is not the one that its id names: one of them was altered")]
    OtherId,
}

impl VaultError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unusable { .. } | Self::Exposed { .. } => ErrorCode::InvalidRequest,
            Self::UnknownKey { .. } | Self::Altered => ErrorCode::Corrupt,
            Self::NotOurs(_) | Self::Busy { .. } => ErrorCode::Conflict,
            Self::Io { .. } | Self::NoRandom(_) => ErrorCode::Internal,
        }
    }
}
