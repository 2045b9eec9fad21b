//! The store in memory: the same contract by the plainest means, for tests and as the model of the one on disk.
//!
//! Blobs are files in a given directory, because their paths are part of the contract; snapshots are files beside them.
//! Nothing is synced.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{
    audit::{AuditEnd, AuditRow, ChainKey},
    blobs::Blobs,
    calls::Calls,
    change::Change,
    counts,
    export::blob_parts,
    health::Health,
    item::Item,
    snapshots::Snapshots,
    store::{Append, Commit, Committed, Count, DocKey, DocKind, Forget, HeadPage, Store, StoreError},
    value::{SPILL_BYTES, hash_of},
};
use crate::api::{BlobHash, TaskId, UserId};

/// A store that forgets when it is dropped.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    blobs: Blobs,
    snapshots: Snapshots,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<TaskId, Task>,
    owners: BTreeSet<(UserId, TaskId)>,
    feeds: BTreeMap<UserId, Vec<Bytes>>,
    docs: BTreeMap<DocKey, Bytes>,
    audit: Vec<AuditRow>,
    audit_end: Option<AuditEnd>,
    chain_key: Option<ChainKey>,
    closed: bool,
}

#[derive(Debug)]
struct Task {
    owner: UserId,
    unfinished: bool,
    head: Bytes,
    records: Vec<Bytes>,
}

impl MemoryStore {
    /// Makes an empty store that keeps blobs in a directory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the directory cannot be made or emptied.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let blobs = Blobs::open(directory, Calls::default())?;
        Ok(Self { state: Mutex::default(), blobs, snapshots: Snapshots::of(directory) })
    }

    /// Lets a test do to the audit log what somebody can do who writes the disk.
    #[cfg(test)]
    pub(crate) fn tamper_audit(&self, with: impl FnOnce(&mut Vec<AuditRow>, &mut Option<AuditEnd>)) {
        let State { audit, audit_end, .. } = &mut *self.state();
        with(audit, audit_end);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, commit: Commit) -> Result<Committed, StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::ReadOnly("the store is closed".to_owned()));
        }
        let change = Change::new(commit.clone())?;
        let appended = commit.append.as_ref().map(|append| append.task);
        state.check_forget(&commit.forget, appended)?;
        if !commit.audit.is_empty() && state.chain_key.is_none() {
            return Err(StoreError::NoAuditKey);
        }
        if let Some(append) = commit.append {
            state.append(append)?;
        }
        for Forget { task, .. } in commit.forget {
            state.forget(task);
            self.snapshots.remove(task);
        }
        for (hash, bytes) in &change.blobs {
            self.blobs.write(*hash, bytes)?;
        }
        let mut feed_seqs = Vec::with_capacity(commit.feed.len());
        for (user, entry) in commit.feed {
            let feed = state.feeds.entry(user).or_default();
            feed.push(entry);
            feed_seqs.push(feed.len() as u64);
        }
        state.docs.extend(commit.puts);
        for key in &commit.deletes {
            state.docs.remove(key);
        }
        for Count { row, add } in &commit.counts {
            let key = DocKey::new(DocKind::Count, row);
            let mut numbers = state.docs.get(&key).map_or(Ok(Vec::new()), |bytes| counts::read(bytes))?;
            counts::add(&mut numbers, add);
            state.docs.insert(key, counts::write(&numbers).into());
        }
        state.chain(commit.audit);
        Ok(Committed { feed_seqs })
    }
}

impl State {
    fn check_forget(&self, forget: &[Forget], appended: Option<TaskId>) -> Result<(), StoreError> {
        for Forget { task, last_seq } in forget {
            let last = self.tasks.get(task).map(|known| known.records.len() as u64);
            if last != Some(*last_seq) || appended == Some(*task) {
                let (expected, found) = (last_seq.saturating_add(1), last.unwrap_or(0) + 1);
                return Err(StoreError::Conflict { task: *task, expected, found });
            }
        }
        Ok(())
    }

    fn forget(&mut self, task: TaskId) {
        if let Some(known) = self.tasks.remove(&task) {
            self.owners.remove(&(known.owner, task));
        }
    }

    fn append(&mut self, append: Append) -> Result<(), StoreError> {
        let Append { task: id, first_seq, records, head } = append;
        let found = self.tasks.get(&id).map_or(0, |task| task.records.len() as u64) + 1;
        if first_seq != found {
            return Err(StoreError::Conflict { task: id, expected: first_seq, found });
        }
        let before = self.tasks.remove(&id);
        if let Some(before) = &before {
            self.owners.remove(&(before.owner, id));
        }
        let mut log = before.map_or_else(Vec::new, |task| task.records);
        log.extend(records);
        self.owners.insert((head.owner, id));
        let task = Task { owner: head.owner, unfinished: head.unfinished, head: head.bytes, records: log };
        self.tasks.insert(id, task);
        Ok(())
    }

    fn chain(&mut self, entries: Vec<Bytes>) {
        let Some(key) = self.chain_key.as_ref().filter(|_| !entries.is_empty()) else { return };
        let links = key.chain(&self.audit_end.unwrap_or(AuditEnd::NONE), entries.iter());
        let numbered = (links.first..).zip(&links.macs).zip(entries);
        self.audit.extend(numbered.map(|((seq, mac), entry)| AuditRow { seq, mac: *mac, entry }));
        self.audit_end = Some(links.end());
    }

    fn items(&self) -> Vec<Item> {
        let docs = self.docs.iter().map(|(key, bytes)| Item::Doc { key: key.clone(), bytes: bytes.clone() });
        let mut items: Vec<Item> = docs.collect();
        for (id, Task { owner, unfinished, head, records }) in &self.tasks {
            let (task, last_seq, head) = (*id, records.len() as u64, head.clone());
            items.push(Item::Task { task, owner: *owner, unfinished: *unfinished, last_seq, head });
            items.extend((1..).zip(records.clone()).map(|(seq, bytes)| Item::Record { task, seq, bytes }));
        }
        for (user, entries) in &self.feeds {
            let entries = (1..).zip(entries.clone());
            items.extend(entries.map(|(seq, bytes)| Item::Feed { user: *user, seq, bytes }));
        }
        items.extend(self.audit_end.map(Item::AuditEnd));
        let rows = self.audit.iter().cloned();
        items.extend(rows.map(|AuditRow { seq, mac, entry }| Item::Audit { seq, mac, bytes: entry }));
        items
    }

    fn page(&self, tasks: impl Iterator<Item = TaskId>, limit: usize) -> HeadPage {
        let heads = tasks.filter_map(|id| self.tasks.get(&id).map(|task| (id, task.head.clone())));
        let mut heads: Vec<(TaskId, Bytes)> = heads.take(limit.saturating_add(1)).collect();
        let more = heads.len() > limit;
        heads.truncate(limit);
        let next = heads.last().map(|(id, _)| *id).filter(|_| more);
        HeadPage { heads, next }
    }
}

impl Store for MemoryStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(async { self.apply(commit) })
    }

    fn read_log(&self, task: TaskId, from_seq: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let state = self.state();
        let records = state.tasks.get(&task).map_or(&[][..], |task| &task.records);
        Ok(numbered(records, from_seq, limit))
    }

    fn read_head(&self, task: TaskId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().tasks.get(&task).map(|task| task.head.clone()))
    }

    fn list_heads(&self, owner: UserId, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        let state = self.state();
        let tasks = state.owners.iter().rev().filter(|(of, _)| *of == owner).map(|(_, task)| *task);
        Ok(state.page(tasks.filter(|task| after.is_none_or(|after| *task < after)), limit))
    }

    fn list_unfinished(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tasks = state.tasks.range((from, Bound::Unbounded)).filter(|(_, task)| task.unfinished);
        Ok(state.page(tasks.map(|(id, _)| *id), limit))
    }

    fn list_tasks(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tasks = state.tasks.range((from, Bound::Unbounded));
        Ok(state.page(tasks.map(|(id, _)| *id), limit))
    }

    fn read_feed(&self, user: UserId, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let state = self.state();
        let entries = state.feeds.get(&user).map_or(&[][..], Vec::as_slice);
        Ok(numbered(entries, after.saturating_add(1), limit))
    }

    fn read_doc(&self, key: &DocKey) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().docs.get(key).cloned())
    }

    fn list_docs(&self, kind: DocKind, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        let state = self.state();
        let docs = state.docs.iter().filter(|(key, _)| key.kind == kind && key.id.starts_with(prefix));
        Ok(docs.map(|(key, bytes)| (key.id.clone(), bytes.clone())).collect())
    }

    fn page_docs(
        &self,
        kind: DocKind,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError> {
        let docs = self.list_docs(kind, prefix)?.into_iter();
        Ok(docs.filter(|(id, _)| after.is_empty() || id.as_str() > after).take(limit).collect())
    }

    fn chain_audit(&self, key: ChainKey) {
        self.state().chain_key = Some(key);
    }

    fn read_audit(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self.state().audit.iter().filter(|row| row.seq >= from_seq).take(limit).cloned().collect())
    }

    fn audit_end(&self) -> Result<Option<AuditEnd>, StoreError> {
        Ok(self.state().audit_end)
    }

    fn read_snapshot(&self, task: TaskId) -> Option<(u64, Bytes)> {
        self.snapshots.read(task)
    }

    fn keep_snapshot(&self, task: TaskId, seq: u64, bytes: Bytes) {
        let state = self.state();
        if !state.closed && state.tasks.contains_key(&task) {
            self.snapshots.keep(task, seq, &bytes);
        }
    }

    fn open_blob(&self, hash: BlobHash) -> Result<Option<std::fs::File>, StoreError> {
        self.blobs.open_checked(hash)
    }

    fn blob_path(&self, hash: BlobHash) -> Result<PathBuf, StoreError> {
        self.blobs.checked_path(hash)
    }

    fn put_blob_file(&self, file: &Path) -> Result<(BlobHash, u64), StoreError> {
        self.blobs.adopt(file, &Health::default())
    }

    fn scratch_dir(&self) -> &Path {
        self.blobs.scratch()
    }

    fn export(&self, each: &mut dyn FnMut(Item) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let items = self.state().items();
        let values = items.iter().flat_map(value_of).filter(|value| value.len() > SPILL_BYTES);
        let values: HashSet<BlobHash> = values.map(|value| hash_of(value)).collect();
        items.into_iter().try_for_each(&mut *each)?;
        self.blobs.each(&mut |hash, file| match values.contains(&hash) {
            true => Ok(()),
            false => blob_parts(hash, file, each),
        })
    }

    fn failure(&self) -> Option<StoreError> {
        None
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.state().closed = true;
            Ok(())
        })
    }
}

fn value_of(item: &Item) -> Option<&Bytes> {
    match item {
        Item::Doc { bytes, .. } | Item::Record { bytes, .. } | Item::Feed { bytes, .. } | Item::Audit { bytes, .. } => {
            Some(bytes)
        }
        Item::Task { head, .. } => Some(head),
        Item::AuditEnd(_) | Item::BlobPart { .. } => None,
    }
}

/// Numbers items from 1 and returns those from `from` on.
fn numbered(items: &[Bytes], from: u64, limit: usize) -> Vec<(u64, Bytes)> {
    (1..).zip(items.iter().cloned()).filter(|(seq, _)| *seq >= from).take(limit).collect()
}
