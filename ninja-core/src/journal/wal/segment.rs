//! The segment that is being written.

use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::frame::{HEADER_BYTES, Header};
use crate::journal::{
    calls::{Calls, DiskCall},
    store::StoreError,
};

/// A failure to write to the log.
#[derive(Debug)]
pub(in crate::journal) enum AppendError {
    /// The disk is full, and the log is as it was before.
    Undone(StoreError),
    /// Nobody knows what is on the disk.
    Unknown(StoreError),
}

/// The log's writing end: one open segment.
#[derive(Debug)]
pub(in crate::journal) struct Log {
    directory: PathBuf,
    calls: Calls,
    id: u64,
    file: File,
    path: PathBuf,
    salt: u32,
    bytes: u64,
}

impl Log {
    /// Makes a segment and opens it. The segment is synced, and so is its name.
    pub(in crate::journal) fn create(directory: &Path, id: u64, first: u64, calls: Calls) -> Result<Self, StoreError> {
        let path = directory.join(file_name(id));
        let salt = random_salt();
        let file = calls.run(DiskCall::CreateSegment, &path, || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&Header::new(salt, first).encode())?;
            file.sync_all()?;
            Ok(file)
        })?;
        calls.sync_directory(directory)?;
        let bytes = HEADER_BYTES as u64;
        Ok(Self { directory: directory.to_owned(), calls, id, file, path, salt, bytes })
    }

    /// Returns what the checksums of this segment's frames start from.
    pub(in crate::journal) fn salt(&self) -> u32 {
        self.salt
    }

    /// Returns the length of the segment.
    pub(in crate::journal) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether the segment has any frames.
    pub(in crate::journal) fn has_frames(&self) -> bool {
        self.bytes > HEADER_BYTES as u64
    }

    /// Writes frames and syncs them: one write, one sync. A write that the disk has no room for is undone.
    pub(in crate::journal) fn append(&mut self, frames: &[u8]) -> Result<(), AppendError> {
        let written = self.calls.run(DiskCall::WriteLog, &self.path, || self.file.write_all(frames));
        match written {
            Err(error) if error.is_disk_full() => {
                self.undo().map_err(AppendError::Unknown)?;
                return Err(AppendError::Undone(error));
            }
            written => written.map_err(AppendError::Unknown)?,
        }
        self.calls.run(DiskCall::SyncLog, &self.path, || self.file.sync_data()).map_err(AppendError::Unknown)?;
        self.bytes += frames.len() as u64;
        Ok(())
    }

    /// Cuts off what was written after the last good frame, and syncs that: afterwards none of it comes back.
    fn undo(&mut self) -> Result<(), StoreError> {
        self.calls.run(DiskCall::CutSegment, &self.path, || {
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            self.file.sync_all()
        })
    }

    /// Goes on in a new segment, and returns the path and length of the one that is done. Where the disk has no room for
    /// it, nothing is left of the attempt.
    pub(in crate::journal) fn rotate(&mut self, first: u64) -> Result<(PathBuf, u64), AppendError> {
        let next = match Self::create(&self.directory, self.id + 1, first, self.calls.clone()) {
            Ok(next) => next,
            Err(error) if error.is_disk_full() => {
                let path = self.directory.join(file_name(self.id + 1));
                let removed = self.calls.run(DiskCall::RemoveSegment, &path, || match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                    Ok(()) | Err(_) => Ok(()),
                });
                removed.map_err(AppendError::Unknown)?;
                return Err(AppendError::Undone(error));
            }
            Err(error) => return Err(AppendError::Unknown(error)),
        };
        let done = std::mem::replace(self, next);
        Ok((done.path, done.bytes))
    }
}

/// Returns the name of a segment's file.
pub(super) fn file_name(id: u64) -> String {
    format!("{id:020}.log")
}

/// Reads a segment's id out of its file's name.
pub(super) fn id_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Returns a number that whoever writes values cannot guess.
fn random_salt() -> u32 {
    (RandomState::new().hash_one(0_u8) >> 32) as u32
}
