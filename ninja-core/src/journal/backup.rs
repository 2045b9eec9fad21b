//! Backups: everything a store holds as one file of lines of JSON that outlives the formats of log and tree.
//!
//! [`write()`] takes any store, in use or not; [`verify`] reads a file to its end; [`restore`] makes a data directory of it. The file is
//! described in `docs/guide/operations.md`. Nothing here knows what a record means.

mod line;
mod read;
mod restore;
mod write;

use std::{io, path::PathBuf};

use super::store::StoreError;
use crate::api::{ApiError, ErrorCode};

pub use read::verify;
pub use restore::{Restored, restore};
pub use write::write;

/// The version of the file that this code writes. It reads older ones too; version 1 had no audit log.
pub const FORMAT: u32 = 2;
const OLDEST: u32 = 1;

/// Why a backup could not be written, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written.
    #[error("failed to {doing} the backup: {source}")]
    File {
        /// Read or write.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is another kind of file.
    #[error("this is no backup of a data directory: {0}")]
    NotOne(String),
    /// A newer version wrote it.
    #[error("the backup has format {found}; this version reads up to format {FORMAT}")]
    Version {
        /// What was found.
        found: u32,
    },
    /// Its end is missing.
    #[error("the backup is cut off after line {lines}: its last line is missing, so nothing of it was used")]
    Truncated {
        /// How many whole lines there are.
        lines: u64,
    },
    /// It is not what was written.
    #[error("the backup is damaged at line {line}: {what}; nothing of it was used")]
    Damaged {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// Whoever wrote it could not go on, and said so in it.
    #[error("the backup was not finished: {0}")]
    Unfinished(String),
    /// The directory to restore into has something in it.
    #[error("{} is not empty; a backup is restored into a new directory", .0.display())]
    Occupied(PathBuf),
}

impl BackupError {
    /// Returns the error as the wire shows it.
    pub fn to_api(&self) -> ApiError {
        let code = match self {
            Self::Store(error) => error.code(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            Self::File { .. } => ErrorCode::Internal,
            Self::NotOne(_) => ErrorCode::InvalidRequest,
            Self::Version { .. } | Self::Truncated { .. } | Self::Damaged { .. } | Self::Unfinished(_) => {
                ErrorCode::Corrupt
            }
            Self::Occupied(_) => ErrorCode::InvalidRequest,
        };
        ApiError::new(code, self.to_string())
    }
}
