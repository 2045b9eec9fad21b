//! Takes items into an empty store, through the same commits that everybody makes.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use bytes::Bytes;

use super::{
    audit::{AuditEnd, Links, Mac},
    calls::io_error,
    disk::DiskStore,
    item::{Item, Tally},
    store::{Append, Commit, HeadUpdate, Store, StoreError},
};
use crate::api::{BlobHash, TaskId, UserId};

/// A commit is made when it holds this much, and commits are waited for when they hold that much.
const COMMIT_BYTES: usize = 1024 * 1024;
const COMMIT_ITEMS: usize = 1024;
const WAITING_BYTES: usize = 16 * 1024 * 1024;
const WAITING_COMMITS: usize = 512;

/// Takes items in, in the order that [`Item`] says.
pub(super) struct Import<'a> {
    store: &'a DiskStore,
    runtime: tokio::runtime::Runtime,
    pub(super) tally: Tally,
    task: Option<OpenTask>,
    /// What is in no task: documents and entries.
    loose: Commit,
    loose_bytes: usize,
    entries: Vec<(UserId, u64)>,
    audit: Option<OpenAudit>,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    blob: Option<(File, PathBuf)>,
}

/// A commit that is ready, with the numbers that its feed entries must get and the links that its audit entries have.
struct Waiting {
    commit: Commit,
    feed_seqs: Vec<u64>,
    links: Option<Links>,
}

/// The audit log, whose entries are arriving.
struct OpenAudit {
    end: AuditEnd,
    first: u64,
    macs: Vec<Mac>,
    entries: Vec<Bytes>,
    bytes: usize,
}

/// A task whose records are arriving.
struct OpenTask {
    task: TaskId,
    head: HeadUpdate,
    first_seq: u64,
    records: Vec<Bytes>,
    bytes: usize,
}

impl<'a> Import<'a> {
    /// Begins.
    pub(super) fn into(store: &'a DiskStore) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Ok(Self {
            store,
            runtime: runtime.map_err(|error| io_error("wait for commits", error))?,
            tally: Tally::default(),
            task: None,
            loose: Commit::default(),
            loose_bytes: 0,
            entries: Vec::new(),
            audit: None,
            waiting: Vec::new(),
            waiting_bytes: 0,
            blob: None,
        })
    }

    /// Takes an item. It is durable after [`Import::finish`].
    pub(super) fn take(&mut self, item: Item) -> Result<(), StoreError> {
        self.tally.see(&item).map_err(StoreError::Corrupt)?;
        match item {
            Item::Doc { key, bytes } => {
                self.loose_bytes += bytes.len();
                self.loose.puts.push((key, bytes));
                self.commit_loose_if_large()
            }
            Item::Task { task, owner, unfinished, last_seq: _, head } => {
                self.end_task()?;
                let head = HeadUpdate { owner, unfinished, bytes: head };
                self.task = Some(OpenTask { task, head, first_seq: 1, records: Vec::new(), bytes: 0 });
                Ok(())
            }
            Item::Record { bytes, .. } => self.record(bytes),
            Item::Feed { user, seq, bytes } => {
                self.loose_bytes += bytes.len();
                self.loose.feed.push((user, bytes));
                self.entries.push((user, seq));
                self.commit_loose_if_large()
            }
            Item::AuditEnd(end) => {
                self.audit = Some(OpenAudit { end, first: 1, macs: Vec::new(), entries: Vec::new(), bytes: 0 });
                Ok(())
            }
            Item::Audit { mac, bytes, .. } => self.audit_entry(mac, bytes),
            Item::BlobPart { hash, bytes, last } => self.blob_part(hash, &bytes, last),
        }
    }

    /// Commits what is left, and checks that nothing is missing.
    pub(super) fn finish(mut self) -> Result<super::item::ItemCounts, StoreError> {
        self.end_task()?;
        self.commit_loose()?;
        self.commit_audit()?;
        self.wait()?;
        self.tally.finish().map_err(StoreError::Corrupt)
    }

    fn record(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let Some(open) = &mut self.task else {
            return Err(StoreError::Corrupt("a record comes before its task".to_owned()));
        };
        open.bytes += bytes.len();
        open.records.push(bytes);
        match open.bytes >= COMMIT_BYTES || open.records.len() >= COMMIT_ITEMS {
            true => self.commit_records(),
            false => Ok(()),
        }
    }

    fn commit_records(&mut self) -> Result<(), StoreError> {
        let Some(open) = &mut self.task else { return Ok(()) };
        let records = std::mem::take(&mut open.records);
        let (first_seq, bytes) = (open.first_seq, std::mem::take(&mut open.bytes));
        open.first_seq += records.len() as u64;
        let append = Append { task: open.task, first_seq, records, head: open.head.clone() };
        let commit = Commit { append: Some(append), ..Commit::default() };
        self.commit(Waiting { commit, feed_seqs: Vec::new(), links: None }, bytes)
    }

    fn end_task(&mut self) -> Result<(), StoreError> {
        // A task without records has a head all the same.
        if self.task.as_ref().is_some_and(|open| !open.records.is_empty() || open.first_seq == 1) {
            self.commit_records()?;
        }
        self.task = None;
        Ok(())
    }

    fn commit_loose_if_large(&mut self) -> Result<(), StoreError> {
        let items = self.loose.puts.len() + self.loose.feed.len();
        match self.loose_bytes >= COMMIT_BYTES || items >= COMMIT_ITEMS {
            true => self.commit_loose(),
            false => Ok(()),
        }
    }

    fn commit_loose(&mut self) -> Result<(), StoreError> {
        let (commit, bytes) = (std::mem::take(&mut self.loose), std::mem::take(&mut self.loose_bytes));
        let feed_seqs = std::mem::take(&mut self.entries).into_iter().map(|(_, seq)| seq).collect();
        self.commit(Waiting { commit, feed_seqs, links: None }, bytes)
    }

    fn audit_entry(&mut self, mac: Mac, entry: Bytes) -> Result<(), StoreError> {
        let Some(audit) = &mut self.audit else {
            return Err(StoreError::Corrupt("an entry of the audit log comes before the log's end".to_owned()));
        };
        audit.bytes += entry.len();
        audit.macs.push(mac);
        audit.entries.push(entry);
        match audit.bytes >= COMMIT_BYTES || audit.entries.len() >= COMMIT_ITEMS {
            true => self.commit_audit(),
            false => Ok(()),
        }
    }

    /// Each commit bears the end of the whole log, which is true of the last.
    fn commit_audit(&mut self) -> Result<(), StoreError> {
        let Some(audit) = self.audit.as_mut().filter(|audit| !audit.entries.is_empty()) else { return Ok(()) };
        let (entries, macs) = (std::mem::take(&mut audit.entries), std::mem::take(&mut audit.macs));
        let (first, bytes) = (audit.first, std::mem::take(&mut audit.bytes));
        audit.first += entries.len() as u64;
        let links = Some(Links { first, macs, end_mac: audit.end.end_mac });
        let commit = Commit { audit: entries, ..Commit::default() };
        self.commit(Waiting { commit, feed_seqs: Vec::new(), links }, bytes)
    }

    fn commit(&mut self, waiting: Waiting, bytes: usize) -> Result<(), StoreError> {
        self.waiting.push(waiting);
        self.waiting_bytes += bytes;
        match self.waiting_bytes >= WAITING_BYTES || self.waiting.len() >= WAITING_COMMITS {
            true => self.wait(),
            false => Ok(()),
        }
    }

    fn wait(&mut self) -> Result<(), StoreError> {
        self.waiting_bytes = 0;
        let (mut commits, mut expected) = (Vec::new(), Vec::new());
        for Waiting { commit, feed_seqs, links } in std::mem::take(&mut self.waiting) {
            commits.push(self.store.send(commit, links));
            expected.push(feed_seqs);
        }
        let answers = self.runtime.block_on(futures::future::join_all(commits));
        for (answer, feed_seqs) in answers.into_iter().zip(expected) {
            if answer?.feed_seqs != feed_seqs {
                return Err(StoreError::Corrupt("the store that is restored into was not empty".to_owned()));
            }
        }
        Ok(())
    }

    fn blob_part(&mut self, hash: BlobHash, bytes: &[u8], last: bool) -> Result<(), StoreError> {
        let (mut file, path) = match self.blob.take() {
            Some(open) => open,
            None => {
                let path = self.store.scratch_dir().join("import");
                let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
                (made.map_err(|error| io_error("write a blob", error))?, path)
            }
        };
        file.write_all(bytes).map_err(|error| io_error("write a blob", error))?;
        if !last {
            self.blob = Some((file, path));
            return Ok(());
        }
        match self.store.put_blob_file(&path)?.0 == hash {
            true => Ok(()),
            false => Err(StoreError::Corrupt(format!("blob {hash} was written with other bytes"))),
        }
    }
}
