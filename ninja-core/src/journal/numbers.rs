//! What a store tells of its own work, for those who watch it: how much it has written, what waits, what room is left.
//!
//! The writer counts with atomics alone; whoever asks reads them. Measuring the files is apart, because it walks folders.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::change::Change;

/// How a store stands. Counts are since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreNumbers {
    /// Commits made durable.
    pub commits: u64,
    /// Records appended by them.
    pub records: u64,
    /// Syncs of the log, each of which made one or more of them durable.
    pub syncs: u64,
    /// Bytes of log written.
    pub bytes: u64,
    /// Bytes of commits that wait for the writer.
    pub queued_bytes: u64,
    /// How many bytes may wait for it; whoever comes then waits for room.
    pub queued_bytes_max: u64,
    /// Bytes of log that no checkpoint has forgotten yet, beside the segment that is written to.
    pub backlog_bytes: u64,
    /// How many there may be; then the writer waits for the checkpoint.
    pub backlog_bytes_max: u64,
    /// Room left on the disk, where that is known.
    pub room_bytes: Option<u64>,
}

/// What a store takes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Bytes of the log's segments.
    pub log_bytes: u64,
    /// Bytes of the tree.
    pub tree_bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of the blobs.
    pub blob_bytes: u64,
}

impl StoreSize {
    /// Measures a data directory. What disappears meanwhile does not count.
    pub(super) fn of(directory: &Path) -> Self {
        let (_, log_bytes) = measure(&directory.join("log"));
        let (_, tree_bytes) = measure(&directory.join("tree"));
        let (blobs, blob_bytes) = measure(&directory.join("blobs"));
        Self { log_bytes, tree_bytes, blobs, blob_bytes }
    }
}

/// Returns how many files lie in a folder and those in it, and their bytes.
fn measure(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => pending.push(entry.path()),
                Ok(found) => {
                    files += 1;
                    bytes += found.len();
                }
                Err(_) => {}
            }
        }
    }
    (files, bytes)
}

/// What the writer counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    commits: AtomicU64,
    records: AtomicU64,
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    /// Counts a group that was made durable with one sync.
    pub(super) fn note(&self, group: &[&Change], bytes: usize) {
        let records = group.iter().filter_map(|change| change.append.as_ref()).map(|append| append.records.len());
        self.commits.fetch_add(group.len() as u64, Ordering::Relaxed);
        self.records.fetch_add(records.sum::<usize>() as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns what was counted.
    pub(super) fn read(&self) -> StoreNumbers {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreNumbers {
            commits: read(&self.commits),
            records: read(&self.records),
            syncs: read(&self.syncs),
            bytes: read(&self.bytes),
            ..StoreNumbers::default()
        }
    }
}

/// What is told of one sync.
#[derive(Debug, Clone, Copy)]
pub struct Synced {
    /// How long the write and the sync took.
    pub took: Duration,
    /// How many commits it made durable.
    pub commits: u64,
}

/// Who is told of each sync, on the writer's own thread: it must not wait for anything.
#[derive(Clone, Default)]
pub struct SyncWatch(Option<Arc<dyn Fn(Synced) + Send + Sync>>);

impl SyncWatch {
    /// Tells `watch` of each sync.
    pub fn new(watch: impl Fn(Synced) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// Tells of one.
    pub(super) fn tell(&self, synced: Synced) {
        if let Some(watch) = &self.0 {
            watch(synced);
        }
    }
}

impl std::fmt::Debug for SyncWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncWatch").field("watches", &self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_measured_by_its_parts() {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in [("log/1.log", 7), ("tree/heap/a", 11), ("blobs/ab/cd", 3), ("blobs/ef/01", 5)] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        }
        let size = StoreSize { log_bytes: 7, tree_bytes: 11, blobs: 2, blob_bytes: 8 };
        assert_eq!(StoreSize::of(folder.path()), size);
        assert_eq!(StoreSize::of(&folder.path().join("nowhere")), StoreSize::default());
    }
}
