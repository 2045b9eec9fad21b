//! What may be uploaded: names, types by content and extension, archives looked through without being unpacked.
//!
//! Pure over a file that can be read: it knows no store, no owner and no quota. `engine::files` calls it on a blocking thread, before
//! anything of an upload is kept. Every read is bounded, so that a hostile file costs a known amount of time and memory:
//!
//! - `name.rs`: what a file is called;
//! - `kind.rs`: the list of types, `content.rs`: how the content of each is recognised, `text.rs`: what counts as text;
//! - `archive.rs`: what of an archive is bounded, `zip.rs` and `tar.rs`: the two that hold entries, `package.rs`: documents that are archives.

mod archive;
mod content;
mod kind;
mod name;
mod package;
mod tar;
#[cfg(test)]
mod tests;
mod text;
mod zip;

use std::io;

pub(crate) use kind::Kind;
pub(crate) use name::clean_name;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Its name is none.
    #[error("{0}")]
    Name(String),
    /// Its content is not what its name says, or nothing that is taken.
    #[error("{0}")]
    Type(String),
    /// It holds more than is looked through or shown.
    #[error("{0}")]
    TooLarge(String),
    /// It could not be read.
    #[error("failed to look through the file: {0}")]
    Disk(io::Error),
}

impl Refused {
    fn of_type(detail: impl Into<String>) -> Self {
        Self::Type(detail.into())
    }

    fn too_large(detail: impl Into<String>) -> Self {
        Self::TooLarge(detail.into())
    }
}

impl From<io::Error> for Refused {
    /// A refusal that travelled through a reader comes out again; what a decoder says of its input is about the file, not the disk.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(refused) => refused,
            Err(error) => match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                    Self::of_type("the file is damaged: what it announces is not there")
                }
                _ => Self::Disk(error),
            },
        }
    }
}
