//! What can go wrong between an application and Ninja.

use std::io;

use ninja_core::api::{ApiError, ErrorCode};

/// Any failure whose exact type is the transport's business.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A verb that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SdkError {
    /// The engine said no, and why.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Nobody answers there, or the connection broke.
    #[error("the daemon at {daemon} cannot be reached")]
    Unreachable {
        /// The URL or socket that was tried.
        daemon: String,
        /// What the transport said.
        source: BoxError,
    },
    /// Somebody answers there, but not as a Ninja daemon of this version does.
    #[error("the answer of {daemon} cannot be understood: {detail}")]
    Protocol {
        /// The URL or socket that was tried.
        daemon: String,
        /// What was expected and what came.
        detail: String,
    },
    /// A file of the caller could not be read or written.
    #[error("{detail}")]
    File {
        /// Which file, and what was attempted.
        detail: String,
        /// What the system said.
        source: io::Error,
    },
    /// The client was set up with something that cannot work.
    #[error("{detail}")]
    Setup {
        /// What, and what would work.
        detail: String,
    },
}

impl SdkError {
    /// Returns the engine's code, where the engine is who said no.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Api(error) => Some(error.code),
            Self::Unreachable { .. } | Self::Protocol { .. } | Self::File { .. } | Self::Setup { .. } => None,
        }
    }

    /// Returns the error with its sources, each once, for a person.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        text
    }

    /// Returns whether the same request may succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Api(error) => matches!(error.code.http_status(), 429 | 500 | 502 | 503),
            Self::Unreachable { .. } => true,
            Self::Protocol { .. } | Self::File { .. } | Self::Setup { .. } => false,
        }
    }
}
