//! Looks into a data directory at rest: which blobs are named by something.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use anyhow::Result;
use ninja_core::journal::{
    disk::{DiskOptions, DiskStore},
    item::Item,
    store::Store,
};
use ninja_sdk::api::BlobHash;
use ninja_tests::addresses;

use crate::sample::Count;

/// What blobs there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Blobs {
    /// Those that a record, a head, a document or an entry of a feed names, or a blob that is named itself.
    pub(crate) named: Count,
    /// Those that nothing names.
    pub(crate) unnamed: Count,
    /// Uploaded files: nothing deletes them.
    pub(crate) uploads: u64,
}

/// Reads everything. Blocks.
pub(crate) fn blobs(data: &Path) -> Result<Blobs> {
    let store = DiskStore::open(data, DiskOptions::default())?;
    let (mut reached, mut found): (HashSet<BlobHash>, HashMap<BlobHash, Blob>) = Default::default();
    let mut uploads = 0;
    store.export(&mut |item| {
        match item {
            Item::Doc { bytes, key } => {
                uploads += u64::from(key.kind == ninja_core::journal::store::DocKind::File);
                reached.extend(addresses(&bytes));
            }
            Item::Record { bytes, .. } | Item::Feed { bytes, .. } | Item::Audit { bytes, .. } => {
                reached.extend(addresses(&bytes));
            }
            Item::AuditEnd(_) => {}
            Item::Task { head, .. } => reached.extend(addresses(&head)),
            Item::BlobPart { hash, bytes, .. } => {
                let blob = found.entry(hash).or_default();
                blob.bytes += bytes.len() as u64;
                // Pins are JSON and name the files of their template.
                if bytes.first() == Some(&b'{') {
                    blob.names.extend(addresses(&bytes));
                }
            }
        }
        Ok(())
    })?;
    drop(store);
    let mut open: Vec<BlobHash> = reached.iter().copied().collect();
    while let Some(hash) = open.pop() {
        let names = found.get(&hash).map(|blob| blob.names.as_slice()).unwrap_or_default();
        open.extend(names.iter().filter(|name| reached.insert(**name)));
    }
    let mut blobs = Blobs { uploads, ..Blobs::default() };
    for (hash, blob) in found {
        let count = Count { files: 1, bytes: blob.bytes };
        match reached.contains(&hash) {
            true => blobs.named += count,
            false => blobs.unnamed += count,
        }
    }
    Ok(blobs)
}

#[derive(Default)]
struct Blob {
    bytes: u64,
    names: Vec<BlobHash>,
}
