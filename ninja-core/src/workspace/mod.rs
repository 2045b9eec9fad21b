//! Workspaces: what a task's files are (as a value) and how they come to lie in a folder that code may write to.
//!
//! [`Manifest`] and [`ManifestDelta`] are values without I/O, for the machine and its records. [`Workspaces`] makes a
//! folder hold a manifest and finds out what changed in it. [`WorkspaceDir`] is a handle through which tools read and
//! write: every path is resolved beneath it by the kernel, without following links, as what lies there may be hostile.

#[cfg(test)]
pub(crate) mod blob_folder;
mod dir;
mod list;
mod manifest;
mod measure;
mod remove;
mod scan;
#[cfg(test)]
mod tests;

mod walk;
mod workspaces;

pub use dir::{FileInfo, WorkspaceDir};
pub(crate) use dir::{open_beneath, open_root};
pub use list::Listed;
pub(crate) use list::list_folder;
pub use manifest::{FileEntry, Manifest, ManifestDelta, WORK_PATH_BYTES_MAX, WorkPath, WorkPathError};
pub(crate) use measure::is_overfull;
pub(crate) use scan::hash as hash_of;
pub use scan::{SMALL_BLOB_BYTES_MAX, Scan};
pub use walk::{WORKSPACE_BYTES_MAX, WORKSPACE_FILES_MAX};
pub use workspaces::{WorkspaceError, Workspaces};
