//! Content-addressed files: `blobs/ab/cdef…`, named by the SHA-256 of what they hold.
//!
//! A file appears under its name whole or, if a power cut took its bytes, torn; it is never written in place. A blob
//! that travelled in a frame is written without a sync, since its frame can restore it; [`Blobs::sync`] comes before
//! that frame is dropped. A blob that came as a file is synced at once. Whoever reads one gets what its name says or an
//! error: it is read through the first time a process opens it, unless the process wrote it.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    calls::{Calls, DiskCall, io_error},
    health::Health,
    store::StoreError,
    value::hash_of,
};
use crate::api::BlobHash;

/// How many blobs are known to be good; more are read through again.
const CHECKED_MAX: usize = 16 * 1024;

/// The blobs of one store, and the directory in which files for them are made.
#[derive(Debug)]
pub(super) struct Blobs {
    root: PathBuf,
    incoming: PathBuf,
    scratch: PathBuf,
    calls: Calls,
    made: AtomicU64,
    /// Blobs that this process has written or read through.
    checked: Mutex<HashSet<BlobHash>>,
}

impl Blobs {
    /// Opens the blobs of a data directory; empties what is only of use while the engine runs.
    pub(super) fn open(directory: &Path, calls: Calls) -> Result<Self, StoreError> {
        let blobs = Self { calls, ..Self::look_at(directory) };
        for path in [&blobs.root, &blobs.incoming, &blobs.scratch] {
            make_directory(path).map_err(|error| io_error("make a directory", error))?;
        }
        empty(&blobs.incoming)?;
        empty(&blobs.scratch)?;
        Ok(blobs)
    }

    /// Looks at the blobs of a data directory and touches nothing.
    pub(super) fn look_at(directory: &Path) -> Self {
        Self {
            root: directory.join("blobs"),
            incoming: directory.join("incoming"),
            scratch: directory.join("scratch"),
            calls: Calls::default(),
            made: AtomicU64::new(0),
            checked: Mutex::default(),
        }
    }

    /// Returns the directory in which files for [`Blobs::adopt`] are made.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Returns where a blob stands or would stand.
    pub(super) fn path(&self, hash: BlobHash) -> PathBuf {
        let hex = hash.to_string();
        let (head, tail) = hex.split_at(2);
        self.root.join(head).join(tail)
    }

    /// Opens a blob that is what its name says. `None` where there is none.
    pub(super) fn open_checked(&self, hash: BlobHash) -> Result<Option<File>, StoreError> {
        let Some(mut file) = self.open_file(hash)? else { return Ok(None) };
        if !self.checked().contains(&hash) {
            if !is_whole(hash, &mut file).map_err(|error| io_error("read a blob", error))? {
                return Err(StoreError::Corrupt(format!("blob {hash}: its bytes are not what was written")));
            }
            self.note_good(hash);
        }
        Ok(Some(file))
    }

    /// Returns where a blob stands that is what its name says.
    pub(super) fn checked_path(&self, hash: BlobHash) -> Result<PathBuf, StoreError> {
        match self.open_checked(hash)? {
            Some(_) => Ok(self.path(hash)),
            None => Err(StoreError::Corrupt(format!("blob {hash}: missing"))),
        }
    }

    /// Opens a blob, whatever it holds. `None` where there is none.
    pub(super) fn open_file(&self, hash: BlobHash) -> Result<Option<File>, StoreError> {
        match File::open(self.path(hash)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("open a blob", error)),
        }
    }

    /// Hands on every blob there is when its turn comes. Other files are none of the blobs' business.
    pub(super) fn each(
        &self,
        each: &mut dyn FnMut(BlobHash, File) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for shard in list(&self.root)? {
            for path in list(&shard)? {
                if let Some(hash) = hash_of_path(&path)
                    && let Some(file) = self.open_file(hash)?
                {
                    each(hash, file)?;
                }
            }
        }
        Ok(())
    }

    /// Reads a blob of any length whole, and checks that it is what its name says.
    pub(super) fn read_all(&self, hash: BlobHash) -> Result<Bytes, StoreError> {
        let path = self.path(hash);
        let len = fs::symlink_metadata(&path).map_err(|_| StoreError::Corrupt(format!("blob {hash}: missing")))?.len();
        self.read(hash, len)
    }

    /// Reads a blob whole, and checks that it is what its name says.
    pub(super) fn read(&self, hash: BlobHash, len: u64) -> Result<Bytes, StoreError> {
        let damaged = |what: &str| StoreError::Corrupt(format!("blob {hash}: {what}"));
        let file = self.open_file(hash)?.ok_or_else(|| damaged("missing"))?;
        let mut bytes = Vec::new();
        // One byte more than expected shows a file that is too long without reading all of it.
        file.take(len + 1).read_to_end(&mut bytes).map_err(|error| io_error("read a blob", error))?;
        if bytes.len() as u64 != len || hash_of(&bytes) != hash {
            return Err(damaged("its bytes are not what was written"));
        }
        Ok(bytes.into())
    }

    /// Writes a blob without syncing it, unless there is a file of its name and length.
    pub(super) fn write(&self, hash: BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(hash);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && found.len() == bytes.len() as u64 => Ok(()),
            _ => self.write_anew(hash, bytes),
        }
    }

    /// Writes a blob without syncing it, unless it is there and whole.
    pub(super) fn restore(&self, hash: BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        match self.read(hash, bytes.len() as u64) {
            Ok(_) => Ok(()),
            Err(_) => self.write_anew(hash, bytes),
        }
    }

    /// Syncs blobs and their names.
    pub(super) fn sync(&self, hashes: &HashSet<BlobHash>) -> Result<(), StoreError> {
        let paths: Vec<PathBuf> = hashes.iter().map(|hash| self.path(*hash)).collect();
        for path in &paths {
            self.calls.run(DiskCall::SyncBlob, path, || File::open(path)?.sync_all())?;
        }
        let parents: HashSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        for parent in &parents {
            self.calls.sync_directory(parent)?;
        }
        match parents.is_empty() {
            true => Ok(()),
            false => self.calls.sync_directory(&self.root),
        }
    }

    /// Moves a finished file among the blobs, synced. A blob of the same content is replaced: the new copy is known
    /// to be good. A sync that fails is the store's failure, because a second try would wrongly succeed.
    pub(super) fn adopt(&self, path: &Path, health: &Health) -> Result<(BlobHash, u64), StoreError> {
        let (file, (hash, len)) = open_plain(path).map_err(|error| io_error("read a file for the blobs", error))?;
        let synced = self.calls.run(DiskCall::SyncBlob, path, || file.sync_all());
        synced.map_err(|error| health.fail(error))?;
        let target = self.path(hash);
        self.rename(path, &target)?;
        self.sync_parents(&target).map_err(|error| health.fail(error))?;
        self.note_good(hash);
        Ok((hash, len))
    }

    fn note_good(&self, hash: BlobHash) {
        let mut checked = self.checked();
        if checked.len() >= CHECKED_MAX {
            checked.clear();
        }
        checked.insert(hash);
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<BlobHash>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_parents(&self, path: &Path) -> Result<(), StoreError> {
        if let Some(parent) = path.parent() {
            self.calls.sync_directory(parent)?;
        }
        self.calls.sync_directory(&self.root)
    }

    fn write_anew(&self, hash: BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = self.incoming.join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        self.calls.run(DiskCall::WriteBlob, &temporary, || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)
        })?;
        self.rename(&temporary, &self.path(hash))?;
        self.note_good(hash);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.calls.run(DiskCall::RenameBlob, to, || match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                to.parent().map_or(Ok(()), make_directory)?;
                fs::rename(from, to)
            }
            done => done,
        })
    }
}

/// Reads a file piece by piece.
pub(super) struct Chunks {
    file: File,
    len: usize,
}

impl Chunks {
    /// Reads pieces of `len` bytes, the last of which may be shorter.
    pub(super) fn of(file: File, len: usize) -> Self {
        Self { file, len }
    }

    /// Returns the next piece; an empty one at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Bytes, StoreError> {
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(self.len as u64).read_to_end(&mut bytes);
        read.map_err(|error| io_error("read a blob", error))?;
        Ok(bytes.into())
    }
}

/// Lists a directory in the order of its names.
fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = || fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths: Vec<PathBuf> = match read() {
        Ok(paths) => paths,
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => Vec::new(),
        Err(error) => return Err(io_error("list a directory", error)),
    };
    paths.sort_unstable();
    Ok(paths)
}

/// Reads the hash out of where a blob stands.
pub(super) fn hash_of_path(path: &Path) -> Option<BlobHash> {
    let head = path.parent()?.file_name()?.to_str()?;
    format!("{head}{}", path.file_name()?.to_str()?).parse().ok()
}

/// Makes a directory for its owner alone, and those above it, if it is not there.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file, makes it its owner's alone and hashes it.
fn open_plain(path: &Path) -> io::Result<(File, (BlobHash, u64))> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"));
    }
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    let mut file = File::open(path)?;
    let hashed = hash_file(&mut file)?;
    Ok((file, hashed))
}

/// Reads a blob through and returns whether it is what its name says; the file is at its start again then.
pub(crate) fn is_whole(hash: BlobHash, file: &mut File) -> io::Result<bool> {
    let (found, _) = hash_file(file)?;
    file.rewind()?;
    Ok(found == hash)
}

fn hash_file(file: &mut File) -> io::Result<(BlobHash, u64)> {
    let (mut hasher, mut len) = (Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hasher.update(read);
        len += count as u64;
    }
    Ok((BlobHash::from_bytes(hasher.finalize().into()), len))
}

/// Empties a directory. What cannot be removed is reported and left: it does no harm.
fn empty(directory: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory).map_err(|error| io_error("list a directory", error))? {
        let path = entry.map_err(|error| io_error("list a directory", error))?.path();
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "left a scratch file that cannot be removed");
        }
    }
    Ok(())
}
