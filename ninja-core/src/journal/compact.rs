//! Making room in a data directory at rest: files that nothing names are removed.
//!
//! They are what was received or made just before a crash or a refusal, and never came to be part of anything.

use std::{fs, path::Path};

use super::{
    blobs::Blobs,
    calls::io_error,
    disk::{DiskOptions, DiskStore},
    examine::check_there,
    installing,
    references::{Named, References},
    store::StoreError,
};
use crate::api::BlobHash;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compacted {
    /// Files that nothing names.
    pub blobs: u64,
    /// Their length in all.
    pub bytes: u64,
    /// Files that are kept.
    pub kept: u64,
}

/// Removes the files of a data directory at rest that nothing names. Blocks.
///
/// # Errors
///
/// [`StoreError::Locked`] where an engine holds it. Where anything cannot be read, nothing is removed: it could name what is needed.
pub fn compact(directory: &Path, references: References) -> Result<Compacted, StoreError> {
    check_there(directory)?;
    // What the log carries is put where it belongs, so that the log brings nothing back.
    installing::close(&DiskStore::open(directory, DiskOptions::default())?)?;
    let store = DiskStore::open(directory, DiskOptions::default())?;
    let mut named = Named::by(references);
    let values = store.entries(&mut |item| named.see(&item))?;
    named.read_lists(&|list| store.blobs().read_all(list).map(Some))?;
    let is_needed = |hash| values.contains(&hash) || named.blobs().contains_key(&hash);
    let compacted = remove_others(store.blobs(), &is_needed)?;
    installing::close(&store)?;
    Ok(compacted)
}

fn remove_others(blobs: &Blobs, is_needed: &dyn Fn(BlobHash) -> bool) -> Result<Compacted, StoreError> {
    let mut compacted = Compacted::default();
    blobs.each(&mut |hash, file| {
        if is_needed(hash) {
            compacted.kept += 1;
            return Ok(());
        }
        compacted.blobs += 1;
        compacted.bytes += file.metadata().map_or(0, |found| found.len());
        fs::remove_file(blobs.path(hash)).map_err(|error| io_error("remove a blob", error))
    })?;
    Ok(compacted)
}
