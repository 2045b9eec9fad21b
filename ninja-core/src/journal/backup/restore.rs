//! Making a data directory of a backup.

use std::{io::BufRead, path::Path, sync::Arc};

use super::{BackupError, read::read};
use crate::{
    api::TaskId,
    journal::{
        disk::{DiskOptions, DiskStore},
        import::Import,
        installing::{self, Site},
        item::{Item, ItemCounts},
        store::{Store, StoreError},
    },
};

/// What a restore has brought back.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Restored {
    /// How much.
    pub counts: ItemCounts,
    /// Tasks whose records are as they were written but cannot be read, each with the reason.
    pub unreadable: Vec<(TaskId, String)>,
}

/// Makes a data directory, which must be new or empty, of a backup. All of it is read and checked before anything stands where
/// an engine would find it; then `reads` says of each task whether it can be read. Blocks.
///
/// # Errors
///
/// Fails where the directory is not empty, or the backup is not whole; the directory is then as it was.
pub fn restore(
    input: &mut dyn BufRead,
    directory: &Path,
    reads: &dyn Fn(Arc<dyn Store>, TaskId) -> Result<(), StoreError>,
) -> Result<Restored, BackupError> {
    if !installing::is_vacant(directory)? {
        return Err(BackupError::Occupied(directory.to_owned()));
    }
    let site = Site::begin(directory, installing::RESTORING)?;
    match build(input, &site, reads) {
        Ok(restored) => {
            site.install(None)?;
            Ok(restored)
        }
        Err(error) => {
            site.give_up()?;
            Err(error)
        }
    }
}

fn build(
    input: &mut dyn BufRead,
    site: &Site,
    reads: &dyn Fn(Arc<dyn Store>, TaskId) -> Result<(), StoreError>,
) -> Result<Restored, BackupError> {
    let store = Arc::new(DiskStore::open(&site.workshop(), DiskOptions::default())?);
    let (mut import, mut tasks) = (Import::into(store.as_ref())?, Vec::new());
    let counts = read(input, &mut |item| {
        if let Item::Task { task, .. } = &item {
            tasks.push(*task);
        }
        Ok(import.take(item)?)
    })?;
    import.finish()?;
    let judged = tasks.into_iter().filter_map(|task| Some((task, reads(Arc::<DiskStore>::clone(&store), task).err()?)));
    let unreadable = judged.map(|(task, error)| (task, error.to_string())).collect();
    installing::close(store.as_ref())?;
    Ok(Restored { counts, unreadable })
}
