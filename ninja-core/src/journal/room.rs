//! Room on the disk: a file that is kept to be given up, so that a disk which has run full can still be worked with.
//!
//! While the disk is full the store refuses commits and reads on. It is full until the file has been made again: that much room
//! is known to be there then, so commits do not succeed and fail by turns.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::store::StoreError;

/// The file's name in the data directory.
const BALLAST: &str = "ballast";
/// A disk with less than this is full. It is also what must be there beside the file for a full disk to be full no more: what
/// was just given up does not make room.
const LEAST_BYTES: u64 = 1024 * 1024;

/// Knows whether the disk is full. Shared by the writer, the checkpointer and the handle.
#[derive(Debug, Clone)]
pub(super) struct Room {
    path: PathBuf,
    bytes: u64,
    full: Arc<Mutex<Option<StoreError>>>,
}

impl Room {
    /// Makes the file, if there is room for it.
    pub(super) fn reserve(directory: &Path, bytes: u64) -> Self {
        let room = Self { path: directory.join(BALLAST), bytes, full: Arc::default() };
        if let Err(error) = room.make() {
            let available = room.available();
            tracing::warn!(%error, available, "there is no room to keep in reserve");
            if available < LEAST_BYTES {
                *room.full() = Some(out_of_room());
            }
        }
        room
    }

    /// Refuses while the disk is full. Looks first whether it still is.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mut full = self.full();
        let Some(error) = full.as_ref() else { return Ok(()) };
        let has_room = self.available() >= self.bytes.saturating_add(LEAST_BYTES);
        if !has_room || self.make().is_err() {
            return Err(error.clone());
        }
        tracing::info!("there is room on the disk again");
        *full = None;
        Ok(())
    }

    /// Says that the disk has run full, and gives up the file.
    pub(super) fn run_out(&self, error: &StoreError) {
        let mut full = self.full();
        if full.is_none() {
            tracing::error!(%error, "the disk is full; nothing is written until there is room again");
        }
        *full = Some(error.clone());
        give_up(&self.path);
    }

    /// Gives up the file before the tree is flushed where there may be too little room without: a flush that fails cannot be
    /// tried again.
    pub(super) fn prepare_flush(&self, bytes: u64) {
        if self.available() < bytes.saturating_add(LEAST_BYTES) {
            self.run_out(&out_of_room());
        }
    }

    /// Returns how much room there is, where that is known.
    pub(super) fn known(&self) -> Option<u64> {
        let directory = self.path.parent().unwrap_or(&self.path);
        rustix::fs::statvfs(directory).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Returns how much room there is. Where nobody knows, the disk itself will say.
    fn available(&self) -> u64 {
        self.known().unwrap_or(u64::MAX)
    }

    fn make(&self) -> io::Result<()> {
        if self.bytes == 0
            || fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_file() && found.len() == self.bytes)
        {
            return Ok(());
        }
        let made = self.fill();
        if made.is_err() {
            give_up(&self.path);
        }
        made
    }

    fn fill(&self) -> io::Result<()> {
        use rustix::{fs::FallocateFlags, io::Errno};
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = vec![0; 64 * 1024];
                let mut left = self.bytes;
                while left > 0 {
                    let wanted = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let written = file.write(zeros.get(..wanted).unwrap_or_default())?;
                    left -= written as u64;
                }
                Ok(())
            }
            done => Ok(done?),
        }
    }

    fn full(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up what a data directory keeps in reserve. Returns whether there was anything.
pub(super) fn give_up_reserve(directory: &Path) -> bool {
    give_up(&directory.join(BALLAST))
}

fn give_up(path: &Path) -> bool {
    fs::remove_file(path).is_ok()
}

fn out_of_room() -> StoreError {
    super::calls::io_error("find room on the disk", io::ErrorKind::StorageFull.into())
}
