//! Bytes by hash, artifacts of tasks and uploaded files.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ApiError, FileId, IdError, StepId, Timestamp, UserId};

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

#[cfg(feature = "openapi")]
super::schema::text_schema!(BlobHash, "^[0-9a-f]{64}$");

/// A file that a task made: (task, path, blob).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct File {
    /// Its id, as `files` of a request names it.
    pub id: FileId,
    /// The name it was uploaded under, without any directory.
    pub name: String,
    /// Its name on the server: its id, with an extension that says its type.
    pub filename: String,
    /// Whose it is.
    pub owner: UserId,
    /// Its type, as its name and content agree.
    pub media_type: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The address of its content.
    pub sha256: BlobHash,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// The largest number of files in one request that uploads several.
pub const FILES_AT_ONCE_MAX: usize = 20;

/// What became of one of several files that were uploaded at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileUpload {
    /// The name as it was sent.
    pub name: String,
    /// What became of it.
    pub result: FileUploadResult,
}

/// What became of an uploaded file. Each is stored whole or not at all, whatever happens to the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileUploadResult {
    /// It is stored.
    Stored(File),
    /// Nothing of it is.
    Refused(ApiError),
}

/// Which files a list shows. The default is the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub struct ListFiles {
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most files on the page, up to 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
