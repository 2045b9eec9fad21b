//! Bytes by hash, artifacts of tasks and uploaded files.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{FileId, IdError, StepId, Timestamp};

/// The SHA-256 of some bytes, in hex: their address in the blob store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobHash([u8; 32]);

impl BlobHash {
    /// Wraps a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobHash {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error =
            || IdError { expected: "a SHA-256 in lower-case hex (64 digits)", found: text.chars().take(80).collect() };
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| error())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for BlobHash {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<BlobHash> for String {
    fn from(hash: BlobHash) -> String {
        hash.to_string()
    }
}

/// A file that a task made: (task, path, blob).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path in the workspace.
    pub path: String,
    /// The step that last wrote it.
    pub step: StepId,
    /// Its size in bytes.
    pub bytes: u64,
    /// The address of its content.
    pub sha256: BlobHash,
}

/// The largest file that is taken: 50 MB.
pub const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024;

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its id, as `files` of a request names it.
    pub id: FileId,
    /// The name it was uploaded under, without any directory.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The address of its content.
    pub sha256: BlobHash,
    /// When it was uploaded.
    pub created_at: Timestamp,
}
