//! The one error of this module.

use std::path::{Path, PathBuf};

use crate::api::ErrorCode;
use crate::providers::ProviderError;

/// Why a local model could not be installed, loaded or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model of this name is installed.
    #[error("the local model `{name}` is not installed; run `ninja model install`")]
    NotInstalled {
        /// The name that was asked for.
        name: String,
    },
    /// A model's name has characters that a file name here may not have.
    #[error("`{name}` is no model name: only a-z, 0-9, `.`, `_` and `-` are allowed, beginning with a letter or digit")]
    BadName {
        /// The name that was given.
        name: String,
    },
    /// The source of an installation could not be understood.
    #[error("`{text}` is no model source: give `default`, `hf:OWNER/REPO/FILE.gguf` or the path of a .gguf file")]
    BadSource {
        /// What was given.
        text: String,
    },
    /// The files of a model do not fit together.
    #[error("the local model `{name}` is damaged ({detail}); run `ninja model install` again")]
    Damaged {
        /// The model's name.
        name: String,
        /// What does not fit.
        detail: String,
    },
    /// The file is sound, but of a kind that is not supported.
    #[error("the model file is not supported: {detail}")]
    Unsupported {
        /// What is missing or unknown.
        detail: String,
    },
    /// The file is not a GGUF, or ends early.
    #[error("the model file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What candle says.
        #[source]
        source: candle_core::Error,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, such as `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Fetching failed, from every place that was tried.
    #[error("cannot fetch the model: {detail}")]
    Fetch {
        /// One line for each place.
        detail: String,
    },
    /// What was fetched is not what was expected.
    #[error("what was fetched has SHA-256 {found}, expected {expected}")]
    WrongHash {
        /// The hash that is pinned in the source code.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// Another process installs into the same directory.
    #[error("another installation is running in {}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

impl ModelError {
    /// Returns a function that wraps an I/O error with what was tried on which path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Makes the error for a file of an unknown kind.
    pub(super) fn unsupported(detail: impl Into<String>) -> Self {
        Self::Unsupported { detail: detail.into() }
    }

    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotInstalled { .. } => ErrorCode::NoProvider,
            Self::BadName { .. } | Self::BadSource { .. } | Self::Unsupported { .. } => ErrorCode::InvalidRequest,
            Self::Damaged { .. } | Self::Unreadable { .. } | Self::WrongHash { .. } => ErrorCode::Corrupt,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            Self::Io { .. } => ErrorCode::Internal,
            Self::Fetch { .. } => ErrorCode::ProviderFailed,
            Self::Busy { .. } => ErrorCode::Conflict,
        }
    }

    /// Returns the message with those of its sources, for a place that keeps text only.
    pub fn full_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl From<ModelError> for ProviderError {
    /// A call never fails differently on a second try with the same files, so nothing here is transient.
    fn from(error: ModelError) -> Self {
        Self::Rejected(error.full_text())
    }
}
