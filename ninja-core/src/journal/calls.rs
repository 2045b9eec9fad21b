//! The storage calls that change the disk, gathered in one place so that a test can fail or observe each of them.

use std::{io, path::Path, sync::Arc};

use super::store::StoreError;

/// A call that changes the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum DiskCall {
    /// Making a log segment with its header, synced.
    CreateSegment,
    /// Writing a group of frames.
    WriteLog,
    /// Syncing a group of frames.
    SyncLog,
    /// Removing a segment that is no longer needed.
    RemoveSegment,
    /// Cutting a torn tail off a segment.
    CutSegment,
    /// Writing a blob under its temporary name.
    WriteBlob,
    /// Giving a blob its name.
    RenameBlob,
    /// Syncing a blob.
    SyncBlob,
    /// Syncing a directory.
    SyncDirectory,
    /// Applying a batch to the tree, in memory.
    ApplyTree,
    /// Flushing the tree.
    FlushTree,
}

impl DiskCall {
    /// Completes "failed to …".
    fn doing(self) -> &'static str {
        match self {
            Self::CreateSegment => "make a log segment",
            Self::WriteLog => "write to the log",
            Self::SyncLog => "sync the log",
            Self::RemoveSegment => "remove a log segment",
            Self::CutSegment => "cut a torn log tail",
            Self::WriteBlob => "write a blob",
            Self::RenameBlob => "name a blob",
            Self::SyncBlob => "sync a blob",
            Self::SyncDirectory => "sync a directory",
            Self::ApplyTree => "apply to the tree",
            Self::FlushTree => "flush the tree",
        }
    }
}

/// Stands around every storage call.
pub(super) trait Faults: Send + Sync {
    /// Runs the call, or fails in its place.
    fn around(&self, call: DiskCall, path: &Path, run: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// Makes storage calls, through [`Faults`] where a test has set some.
#[derive(Clone, Default)]
pub(super) struct Calls {
    faults: Option<Arc<dyn Faults>>,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls").field("faults", &self.faults.is_some()).finish()
    }
}

impl Calls {
    /// Makes calls through `faults`.
    #[cfg(test)]
    pub(super) fn with(faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    /// Makes one call.
    pub(super) fn run<T>(
        &self,
        call: DiskCall,
        path: &Path,
        run: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let done = match &self.faults {
            None => run(),
            Some(faults) => {
                let (mut run, mut out) = (Some(run), None);
                let result = faults.around(call, path, &mut || {
                    let run = run.take().ok_or_else(|| io::Error::other("called twice"))?;
                    out = Some(run()?);
                    Ok(())
                });
                result.and_then(|()| out.ok_or_else(|| io::Error::other("not called")))
            }
        };
        done.map_err(|error| io_error(call.doing(), error))
    }

    /// Syncs a directory, so that the names in it survive a power cut.
    pub(super) fn sync_directory(&self, path: &Path) -> Result<(), StoreError> {
        self.run(DiskCall::SyncDirectory, path, || std::fs::File::open(path)?.sync_all())
    }
}

/// Makes a typed error of what the system said.
pub(super) fn io_error(doing: &'static str, error: io::Error) -> StoreError {
    StoreError::Io { doing, error: Arc::new(error) }
}
