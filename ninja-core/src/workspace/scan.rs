//! Finds out what changed in a workspace, and brings the bytes of what changed to safety.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    FileEntry, Manifest, ManifestDelta, WorkPath,
    dir::open_beneath,
    walk::{INPUTS, Other, Stamp, Walk, walk},
    workspaces::{Known, WorkspaceError},
};
use crate::{api::BlobHash, journal::store::Store};

/// Files up to this size travel in the commit that mentions them; larger ones are made durable before it.
pub const SMALL_BLOB_BYTES_MAX: u64 = 64 * 1_024;

/// What a scan found.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// What changed since the base.
    pub delta: ManifestDelta,
    /// The bytes of changed small files, to put into the same commit as the delta. Larger ones are in the store
    /// already.
    pub blobs: Vec<Bytes>,
    /// What lies in the folder and is not kept, each with the reason: links, sockets, names that are not UTF-8.
    pub skipped: Vec<String>,
}

/// Scans a folder. Returns what changed and what is known of it now.
pub(super) fn scan(
    root: &OwnedFd,
    base: &Manifest,
    known: Option<&Known>,
    store: &dyn Store,
) -> Result<(Scan, Known), WorkspaceError> {
    let found = walk(root, Some(INPUTS))?;
    let mut scan = Scan { skipped: skipped(&found), ..Scan::default() };
    let mut files = BTreeMap::new();
    for (path, stamp) in &found.files {
        let seen = known.and_then(|known| known.files.get(path)).filter(|(_, seen)| seen == stamp);
        let entry = match seen {
            Some((entry, _)) => *entry,
            None => match read(root, path, stamp, base, store, &mut scan.blobs)? {
                Some(entry) => entry,
                None => {
                    scan.skipped.push(format!("{path}: it is not readable"));
                    continue;
                }
            },
        };
        files.insert(path.clone(), (entry, *stamp));
    }
    let manifest: Manifest = files.iter().map(|(path, (entry, _))| (path.clone(), *entry)).collect();
    scan.delta = base.delta_to(&manifest);
    Ok((scan, Known { files, others: found.others }))
}

fn skipped(found: &Walk) -> Vec<String> {
    let others = found.others.iter().filter_map(|(path, (other, _))| match other {
        Other::Folder => None,
        Other::Link => Some(format!("{path}: it is a symbolic link")),
        Other::Special => Some(format!("{path}: it is not a regular file")),
    });
    let nameless = found.nameless.iter().map(|(folder, name)| {
        let folder = folder.as_ref().map_or("", WorkPath::as_str);
        format!("{folder}/{}: its name is not UTF-8, or its path is too long", String::from_utf8_lossy(name))
    });
    others.chain(nameless).collect()
}

/// Reads one file and keeps its bytes. `None` where it cannot be opened.
fn read(
    root: &OwnedFd,
    path: &WorkPath,
    stamp: &Stamp,
    base: &Manifest,
    store: &dyn Store,
    blobs: &mut Vec<Bytes>,
) -> Result<Option<FileEntry>, WorkspaceError> {
    let Ok(mut info) = open_beneath(root, path.as_str()) else { return Ok(None) };
    let executable = stamp.executable;
    if info.bytes <= SMALL_BLOB_BYTES_MAX {
        let bytes = info.read_at(0, SMALL_BLOB_BYTES_MAX).map_err(WorkspaceError::io("read a file"))?;
        let entry = FileEntry { blob: hash(&bytes), bytes: bytes.len() as u64, executable };
        if base.get(path).is_none_or(|before| before.blob != entry.blob) {
            blobs.push(bytes.into());
        }
        return Ok(Some(entry));
    }
    let same = base.get(path).filter(|before| before.bytes == info.bytes);
    if let Some(before) = same {
        if hash_file(&mut info.file).map_err(WorkspaceError::io("read a file"))? == before.blob {
            return Ok(Some(FileEntry { executable, ..*before }));
        }
        info.file = open_beneath(root, path.as_str()).map_err(WorkspaceError::io("read a file"))?.file;
    }
    let (blob, bytes) = put(&mut info.file, store)?;
    Ok(Some(FileEntry { blob, bytes, executable }))
}

/// Copies a large file into the store.
fn put(file: &mut File, store: &dyn Store) -> Result<(BlobHash, u64), WorkspaceError> {
    let draft = store.scratch_dir().join(uuid::Uuid::now_v7().simple().to_string());
    let copied = File::create_new(&draft).and_then(|mut copy| io::copy(file, &mut copy));
    let put = copied.map_err(WorkspaceError::io("copy a file")).and_then(|_| Ok(store.put_blob_file(&draft)?));
    if put.is_err() {
        // The first error says more than one about the draft would; the folder is emptied at start.
        let _left = std::fs::remove_file(&draft);
    }
    put
}

pub(crate) fn hash(bytes: &[u8]) -> BlobHash {
    BlobHash::from_bytes(Sha256::digest(bytes).into())
}

fn hash_file(file: &mut File) -> io::Result<BlobHash> {
    let (mut digest, mut chunk) = (Sha256::new(), vec![0; 128 * 1_024]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(BlobHash::from_bytes(digest.finalize().into())),
            count => digest.update(chunk.get(..count).unwrap_or_default()),
        }
    }
}
