//! A store for tests that keeps blobs in a folder, and nothing else.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

use crate::{
    api::{BlobHash, TaskId, UserId},
    journal::{
        audit::{AuditEnd, AuditRow, ChainKey},
        item::Item,
        store::{Commit, Committed, DocKey, DocKind, HeadPage, Store, StoreError},
    },
};

/// Blobs in a folder.
#[derive(Debug)]
pub(crate) struct BlobFolder {
    root: tempfile::TempDir,
    scratch: PathBuf,
    opened: AtomicUsize,
}

impl BlobFolder {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let scratch = root.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        Self { root, scratch, opened: AtomicUsize::new(0) }
    }

    fn path(&self, hash: BlobHash) -> PathBuf {
        self.root.path().join(hash.to_string())
    }

    pub(crate) fn put(&self, bytes: &[u8]) {
        let hash = BlobHash::from_bytes(Sha256::digest(bytes).into());
        fs::write(self.path(hash), bytes).unwrap();
    }

    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Store for BlobFolder {
    fn commit(&self, _: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        unimplemented!()
    }

    fn read_log(&self, _: TaskId, _: u64, _: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        unimplemented!()
    }

    fn read_head(&self, _: TaskId) -> Result<Option<Bytes>, StoreError> {
        unimplemented!()
    }

    fn list_heads(&self, _: UserId, _: Option<TaskId>, _: usize) -> Result<HeadPage, StoreError> {
        unimplemented!()
    }

    fn list_unfinished(&self, _: Option<TaskId>, _: usize) -> Result<HeadPage, StoreError> {
        unimplemented!()
    }

    fn list_tasks(&self, _: Option<TaskId>, _: usize) -> Result<HeadPage, StoreError> {
        unimplemented!()
    }

    fn page_docs(&self, _: DocKind, _: &str, _: &str, _: usize) -> Result<Vec<(String, Bytes)>, StoreError> {
        unimplemented!()
    }

    fn read_feed(&self, _: UserId, _: u64, _: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        unimplemented!()
    }

    fn read_doc(&self, _: &DocKey) -> Result<Option<Bytes>, StoreError> {
        unimplemented!()
    }

    fn list_docs(&self, _: DocKind, _: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        unimplemented!()
    }

    fn chain_audit(&self, _: ChainKey) {
        unimplemented!()
    }

    fn read_audit(&self, _: u64, _: usize) -> Result<Vec<AuditRow>, StoreError> {
        unimplemented!()
    }

    fn audit_end(&self) -> Result<Option<AuditEnd>, StoreError> {
        unimplemented!()
    }

    fn read_snapshot(&self, _: TaskId) -> Option<(u64, Bytes)> {
        unimplemented!()
    }

    fn keep_snapshot(&self, _: TaskId, _: u64, _: Bytes) {
        unimplemented!()
    }

    fn open_blob(&self, hash: BlobHash) -> Result<Option<File>, StoreError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(File::open(self.path(hash)).ok())
    }

    fn blob_path(&self, hash: BlobHash) -> Result<PathBuf, StoreError> {
        Ok(self.path(hash))
    }

    fn put_blob_file(&self, file: &Path) -> Result<(BlobHash, u64), StoreError> {
        let bytes = fs::read(file).unwrap();
        let hash = BlobHash::from_bytes(Sha256::digest(&bytes).into());
        fs::rename(file, self.path(hash)).unwrap();
        Ok((hash, bytes.len() as u64))
    }

    fn scratch_dir(&self) -> &Path {
        &self.scratch
    }

    fn export(&self, _: &mut dyn FnMut(Item) -> Result<(), StoreError>) -> Result<(), StoreError> {
        unimplemented!()
    }

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        unimplemented!()
    }
}
