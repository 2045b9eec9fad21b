//! Snapshots of tasks: what folding the first records of a log gave, kept so that nobody folds them again.
//!
//! A snapshot is derived. It is in no log and never synced, and whatever is wrong with it, there is none: it is removed,
//! and the records are folded. What it holds is the business of whoever keeps it.
//!
//! ```text
//! file     snapshots/<last 2 hex digits of the task>/<32 hex digits of the task>
//! content  magic "NINJASNP", version u32, task [16], seq u64, CRC32C u32 of all else (payload included), payload
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{BufMut, Bytes};

use super::{blobs::make_directory, reader::Reader};
use crate::api::TaskId;

const MAGIC: &[u8; 8] = b"NINJASNP";
/// Another version is not read: it is cheaper to fold again than to keep readers of old ones.
const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 8 + 4 + 16 + 8;
const HEADER_BYTES: usize = CHECKED_BYTES + 4;
/// The largest snapshot. A state that is larger is folded, which is slow but bounded by the length of a task's log.
const SNAPSHOT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The snapshots of one store.
#[derive(Debug)]
pub(super) struct Snapshots {
    root: PathBuf,
    incoming: PathBuf,
    made: AtomicU64,
}

impl Snapshots {
    /// Looks for them in a data directory. Nothing is made before the first is kept.
    pub(super) fn of(directory: &Path) -> Self {
        // `incoming` is emptied at start, which takes with it what a crash left half written.
        Self { root: directory.join("snapshots"), incoming: directory.join("incoming"), made: AtomicU64::new(0) }
    }

    /// Returns how many records a task's snapshot folds, and what it holds. Removes one that cannot be trusted.
    pub(super) fn read(&self, task: TaskId) -> Option<(u64, Bytes)> {
        let path = self.path(task);
        let found = match read_bounded(&path) {
            Ok(bytes) => decode(task, bytes.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%task, %error, "a snapshot cannot be read");
                return None;
            }
        };
        if found.is_none() {
            tracing::warn!(%task, "removed a snapshot that is damaged or of another version");
            // It is refused as often as it is read, so one that stays does no harm.
            fs::remove_file(&path).ok();
        }
        found
    }

    /// Keeps a snapshot in place of the one before. A failure is reported and costs time alone.
    pub(super) fn keep(&self, task: TaskId, seq: u64, payload: &[u8]) {
        let bytes = encode(task, seq, payload);
        if bytes.len() as u64 > SNAPSHOT_BYTES_MAX {
            return;
        }
        if let Err(error) = self.write(&self.path(task), &bytes) {
            tracing::warn!(%task, %error, "kept no snapshot");
        }
    }

    /// Removes a task's snapshot, if there is one.
    pub(super) fn remove(&self, task: TaskId) {
        match fs::remove_file(self.path(task)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%task, %error, "failed to remove the snapshot of a task that was forgotten");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Returns where a task's snapshot stands. The end of an id is random, its beginning is the time.
    fn path(&self, task: TaskId) -> PathBuf {
        let name = task.uuid().simple().to_string();
        let shard = name.get(30..).expect("an id has 32 digits");
        self.root.join(shard).join(&name)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let temporary = self.incoming.join(format!("snapshot-{number}"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let renamed = file.write_all(bytes).and_then(|()| match fs::rename(&temporary, path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), make_directory)?;
                fs::rename(&temporary, path)
            }
            done => done,
        });
        if renamed.is_err() {
            fs::remove_file(&temporary).ok();
        }
        renamed
    }
}

fn encode(task: TaskId, seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.put_slice(MAGIC);
    out.put_u32(VERSION);
    out.put_u128(task.uuid().as_u128());
    out.put_u64(seq);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), payload);
    out.put_u32(crc);
    out.put_slice(payload);
    out
}

fn decode(task: TaskId, bytes: Bytes) -> Option<(u64, Bytes)> {
    let covered = crc32c::crc32c(bytes.get(..CHECKED_BYTES)?);
    let payload = bytes.slice_ref(bytes.get(HEADER_BYTES..)?);
    let crc = crc32c::crc32c_append(covered, &payload);
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let mut header = Reader::new(bytes.slice(MAGIC.len()..));
    let (version, of, seq) = (header.u32().ok()?, header.u128().ok()?, header.u64().ok()?);
    let fits = version == VERSION && of == task.uuid().as_u128() && header.u32().ok()? == crc;
    fits.then_some((seq, payload))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SNAPSHOT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn no_changed_bit_no_cut_and_no_other_version_passes() {
        let task = TaskId::from_uuid(Uuid::from_u128(7));
        let good = encode(task, 9, b"state");
        assert_eq!(decode(task, good.clone().into()), Some((9, Bytes::from_static(b"state"))));
        assert_eq!(decode(TaskId::from_uuid(Uuid::from_u128(8)), good.clone().into()), None, "of another task");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(task, bad.into()), None, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(decode(task, good[..len].to_vec().into()), None, "cut at {len}");
        }
        let mut newer = good;
        newer[11] = 2;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&newer[..CHECKED_BYTES]), b"state");
        newer[CHECKED_BYTES..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(task, newer.into()), None, "whole, but newer");
    }
}
