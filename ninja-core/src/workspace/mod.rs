//! Workspaces: what a task's files are (as a value) and how they come to lie in a folder that code may write to.

mod manifest;

pub use manifest::{FileEntry, Manifest, ManifestDelta, WORK_PATH_BYTES_MAX, WorkPath, WorkPathError};
