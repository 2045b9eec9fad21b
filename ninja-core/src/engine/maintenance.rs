//! What is done to data as a whole: backups, with an engine or to a directory at rest, restoring them, and looking for damage.
//!
//! Called by the daemon's routes and local commands. The form of a backup is the journal's business.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc;

use super::{Engine, references::REFERENCES, store_error};
pub use crate::journal::{
    backup::{BackupError, Restored, verify},
    compact::Compacted,
    examine::{Examined, Finding, Part},
    item::ItemCounts,
};
use crate::{
    api::{ApiError, AuditAction, AuditCheckpoint, AuditVerified, ErrorCode, Principal, TaskId, Timestamp},
    audit::{self, Audit, StoredKeys},
    journal::{
        backup,
        disk::{DiskOptions, DiskStore},
        examine,
        store::{DocKind, Store, StoreError},
    },
    task_log::TaskLog,
    vault::Vault,
};

/// Pieces of a backup that wait for a slow reader.
const PIECES_WAITING: usize = 4;
/// How long a piece is.
const PIECE_BYTES: usize = 256 * 1024;

impl Engine {
    /// Writes a backup of everything, as of one moment, and goes on working meanwhile. Where it fails half way, its last line says
    /// so; whoever keeps it should check it with [`verify`].
    ///
    /// # Errors
    ///
    /// Fails with `forbidden` where the caller is no administrator.
    pub async fn backup(&self, by: &Principal) -> Result<BoxStream<'static, io::Result<Bytes>>, ApiError> {
        if !by.is_admin() {
            return Err(ApiError::new(ErrorCode::Forbidden, "a backup holds everybody's tasks: administrators only"));
        }
        let entry = Audit::of(by, AuditAction::Backup, self.0.services.clock.now());
        self.commit_audit(&entry).await.map_err(store_error)?;
        let (pieces, arriving) = mpsc::channel(PIECES_WAITING);
        let (store, at) = (Arc::clone(self.store()), self.0.services.clock.now());
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces { pieces, buffer: Vec::with_capacity(PIECE_BYTES) };
            let written = backup::write(store.as_ref(), at, &mut out).map(drop);
            // A reader that has gone is no trouble of the store's; what else there is stands in the last line too.
            if let (Err(error), Ok(())) = (written, out.flush()) {
                tracing::error!(%error, "a backup was not finished");
            }
        });
        Ok(stream::unfold(arriving, |mut arriving| async { Some((Ok(arriving.recv().await?), arriving)) }).boxed())
    }
}

/// Writes a backup of a data directory that is at rest. Blocks.
///
/// # Errors
///
/// Fails where there is no data, an engine holds it, or it is damaged.
pub fn backup(data_dir: &Path, at: Timestamp, out: &mut dyn Write) -> Result<ItemCounts, BackupError> {
    if !data_dir.join("format").exists() {
        return Err(StoreError::Corrupt(format!("there is no data in {}", data_dir.display())).into());
    }
    let store = DiskStore::open(data_dir, DiskOptions::default())?;
    backup::write(&store, at, out)
}

/// Makes a data directory, which must be new or empty, of a backup. Blocks.
///
/// # Errors
///
/// Fails where the directory is not empty, or the backup is not whole; the directory is then as it was.
pub fn restore(input: &mut dyn BufRead, data_dir: &Path) -> Result<Restored, BackupError> {
    backup::restore(input, data_dir, &reads)
}

/// Reads everything in a data directory at rest and says what is damaged or missing; changes nothing. Blocks.
///
/// # Errors
///
/// Fails where an engine holds the directory, a newer version wrote it, or the disk cannot be read at all.
pub fn check(data_dir: &Path) -> Result<Examined, StoreError> {
    examine::check(data_dir, REFERENCES)
}

/// Removes the files of a data directory at rest that nothing names: what was received or made just before a crash. Blocks.
///
/// # Errors
///
/// Fails where an engine holds the directory. Where anything in it cannot be read, nothing is removed.
pub fn compact(data_dir: &Path) -> Result<Compacted, StoreError> {
    crate::journal::compact::compact(data_dir, REFERENCES)
}

/// Keeps what is readable of a data directory at rest and sets the damaged files aside, as they are, in a folder of it that is named
/// after the time `at`. Returns what was lost, and that folder where anything was. Blocks.
///
/// # Errors
///
/// Fails where an engine holds the directory, a newer version wrote it, or the disk cannot be read or written.
pub fn repair(data_dir: &Path, at: Timestamp) -> Result<(Examined, Option<PathBuf>), StoreError> {
    examine::repair(data_dir, REFERENCES, &at.strftime("damaged-%Y%m%dT%H%M%SZ").to_string())
}

/// Returns whether settings of providers are stored in a data directory at rest; `false` where there is no data. Blocks.
///
/// # Errors
///
/// Fails where an engine holds the directory, or it is damaged.
pub fn has_stored_providers(data_dir: &Path) -> Result<bool, StoreError> {
    if !data_dir.join("format").exists() {
        return Ok(false);
    }
    let store = DiskStore::open(data_dir, DiskOptions::default())?;
    Ok(!store.list_docs(DocKind::Provider, "")?.is_empty())
}

/// Verifies the audit log of a data directory at rest, with the keys of its vault, and that it goes on from a checkpoint, where one is
/// given. Blocks.
///
/// # Errors
///
/// Fails where there is no data, an engine holds it, or it is damaged. What is wrong with the log is no error but the answer.
pub fn verify_audit(
    data_dir: &Path,
    vault: &Vault,
    checkpoint: Option<&AuditCheckpoint>,
) -> Result<AuditVerified, StoreError> {
    if !data_dir.join("format").exists() {
        return Err(StoreError::Corrupt(format!("there is no data in {}", data_dir.display())));
    }
    let store = DiskStore::open(data_dir, DiskOptions::default())?;
    audit::verify(&store, &StoredKeys::read(&store)?.stretches(vault), checkpoint)
}

/// Returns whether a task's records fold into a task.
fn reads(store: Arc<dyn Store>, task: TaskId) -> Result<(), StoreError> {
    TaskLog::new(store).load(task).map(drop)
}

/// Cuts what is written into pieces for a reader elsewhere.
struct Pieces {
    pieces: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        match piece.is_empty() {
            true => Ok(()),
            false => self.pieces.blocking_send(piece.into()).map_err(|_| io::ErrorKind::BrokenPipe.into()),
        }
    }
}
