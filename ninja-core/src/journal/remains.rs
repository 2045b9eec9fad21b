//! What is left of a directory, readable or not: the tree as far as it reads, and over it the changes that only the log has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use bytes::Bytes;

use super::{
    applier::{TaskState, number},
    audit::{self, AuditEnd, Mac},
    blobs::Blobs,
    change::{AppendChange, Change},
    counts, keys, lookup,
    store::{Count, DocKey, DocKind, Forget, StoreError},
    tree::{self, Tree},
    value::{Stored, Value},
    wal::{Salvaged, Stamp},
};
use crate::api::{BlobHash, TaskId, UserId};

/// Enough for a look at everything once.
const CACHE_BYTES: usize = 16 * 1024 * 1024;
/// Keys read at a time.
const PAGE: usize = 512;

/// The tree, the blobs, and what the log has beyond the tree.
pub(super) struct Remains {
    tree: Option<Tree>,
    pub(super) blobs: Blobs,
    /// The position that the tree has applied.
    pub(super) applied: u64,
    /// Blobs that the log carries, whatever became of their files.
    pub(super) carried: HashMap<BlobHash, Bytes>,
    tasks: BTreeMap<TaskId, LogTask>,
    /// Tasks that the log forgets, whatever the tree still has of them.
    forgotten: BTreeSet<TaskId>,
    feeds: BTreeMap<UserId, BTreeMap<u64, Value>>,
    docs: BTreeMap<DocKey, Option<Value>>,
    audit: BTreeMap<u64, (Mac, Value)>,
    audit_end: Option<AuditEnd>,
}

/// What the log has of a task beyond the tree.
struct LogTask {
    state: TaskState,
    head: Value,
    records: BTreeMap<u64, Value>,
}

impl Remains {
    /// Opens what there is. The error is that of the tree, where it does not open.
    pub(super) fn open(directory: &Path, tree: &Path, log: Salvaged) -> (Self, Option<StoreError>) {
        let opened = Tree::open(tree, CACHE_BYTES).and_then(|tree| {
            let applied = tree.read(|db| tree::get(db, &keys::position()))?;
            Ok((tree, applied.map_or(Ok(0), |stored| number(&stored))?))
        });
        let (tree, applied, error) = match opened {
            Ok((tree, applied)) => (Some(tree), applied, None),
            Err(error) => (None, 0, Some(error)),
        };
        let mut remains = Self {
            tree,
            blobs: Blobs::look_at(directory),
            applied,
            carried: HashMap::new(),
            tasks: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            feeds: BTreeMap::new(),
            docs: BTreeMap::new(),
            audit: BTreeMap::new(),
            audit_end: None,
        };
        for (stamp, change) in log.changes {
            remains.carried.extend(change.all_blobs().map(|(hash, bytes)| (hash, bytes.clone())));
            if stamp.position > applied {
                remains.overlay(stamp, change);
            }
        }
        (remains, error)
    }

    /// Lets go of the tree's files.
    pub(super) fn close(&self) {
        if let Some(tree) = &self.tree {
            tree.close();
        }
    }

    fn overlay(&mut self, stamp: Stamp, change: Change) {
        if let Some(append) = change.append {
            self.overlay_append(append);
        }
        for Forget { task, .. } in change.forget {
            self.tasks.remove(&task);
            self.forgotten.insert(task);
        }
        for ((user, value), seq) in change.feed.into_iter().zip(stamp.feed_seqs) {
            self.feeds.entry(user).or_default().insert(seq, value);
        }
        self.docs.extend(change.puts.into_iter().map(|(key, value)| (key, Some(value))));
        self.docs.extend(change.deletes.into_iter().map(|key| (key, None)));
        for count in change.counts {
            self.overlay_count(count);
        }
        if let Some(links) = stamp.links {
            let linked = links.macs.iter().copied().zip(change.audit);
            self.audit.extend((links.first..).zip(linked));
            self.audit_end = Some(links.end());
        }
    }

    /// Adds to a row of counters. Of one that does not read nothing is left but what was added since.
    fn overlay_count(&mut self, Count { row, add }: Count) {
        let key = DocKey::new(DocKind::Count, row);
        let known = match self.docs.get(&key) {
            Some(value) => value.as_ref().map(|value| value.bytes().clone()),
            None => self.get(&keys::doc(&key)).ok().flatten().and_then(|stored| self.load(&stored).ok()),
        };
        let mut numbers = known.and_then(|bytes| counts::read(&bytes).ok()).unwrap_or_default();
        counts::add(&mut numbers, &add);
        self.docs.insert(key, Some(Value::new(counts::write(&numbers).into())));
    }

    fn overlay_append(&mut self, append: AppendChange) {
        let last_seq = append.first_seq + append.records.len() as u64 - 1;
        let state = TaskState { last_seq, owner: append.owner, unfinished: append.unfinished };
        self.forgotten.remove(&append.task);
        let mut records = self.tasks.remove(&append.task).map(|known| known.records).unwrap_or_default();
        records.extend((append.first_seq..).zip(append.records));
        self.tasks.insert(append.task, LogTask { state, head: append.head, records });
    }

    /// Lists the tasks that a head or an index of the tree names, or the log; and where a list broke off.
    pub(super) fn tasks(&self) -> (BTreeSet<TaskId>, Vec<StoreError>) {
        let (mut tasks, mut broken): (BTreeSet<TaskId>, _) = (self.tasks.keys().copied().collect(), Vec::new());
        type TaskOf = fn(&[u8]) -> Option<TaskId>;
        let lists: [(Vec<u8>, TaskOf); 3] = [
            (keys::all_heads(), keys::task_of_head_key),
            (keys::all_owners(), keys::task_of_owner_key),
            (keys::all_unfinished(), keys::task_of_unfinished_key),
        ];
        for (prefix, task_of) in lists {
            broken.extend(self.each_key(&prefix, &mut |key| tasks.extend(task_of(key))).err());
        }
        tasks.retain(|task| !self.forgotten.contains(task));
        (tasks, broken)
    }

    /// Lists the tasks that an index lists: those of an owner, or those unfinished.
    pub(super) fn indexed(&self, task: TaskId, state: TaskState) -> Result<bool, StoreError> {
        let Some(tree) = &self.tree else { return Ok(true) };
        tree.read(|db| {
            let owned = tree::get(db, &keys::owner_task(state.owner, task))?.is_some();
            let unfinished = tree::get(db, &keys::unfinished(task))?.is_some();
            Ok(owned && unfinished == state.unfinished)
        })
    }

    /// Returns a task's head as the tree has it.
    pub(super) fn tree_state(&self, task: TaskId) -> Result<Option<TaskState>, StoreError> {
        self.get(&keys::head(task))?.map(|stored| TaskState::read(&stored).map(|(state, _)| state)).transpose()
    }

    /// Returns what is known of a task, and its head.
    pub(super) fn task(&self, task: TaskId) -> Result<Option<(TaskState, Bytes)>, StoreError> {
        if let Some(known) = self.tasks.get(&task) {
            return Ok(Some((known.state, known.head.bytes().clone())));
        }
        let Some(stored) = self.get(&keys::head(task))? else { return Ok(None) };
        let (state, head) = TaskState::read(&stored)?;
        Ok(Some((state, self.load(head)?)))
    }

    /// Returns a record of a task.
    pub(super) fn record(&self, task: TaskId, seq: u64) -> Result<Bytes, StoreError> {
        let known = self.tasks.get(&task).and_then(|known| known.records.get(&seq));
        self.value(known, &keys::record(task, seq))
    }

    /// Lists users with a feed and the number of its last entry, and where the list broke off.
    pub(super) fn feeds(&self) -> (BTreeMap<UserId, u64>, Option<StoreError>) {
        let mut users: BTreeSet<UserId> = self.feeds.keys().copied().collect();
        let prefix = keys::all_feed_ends();
        let mut broken = self.each_key(&prefix, &mut |key| users.extend(keys::user_of_feed_end_key(key))).err();
        let mut feeds = BTreeMap::new();
        for user in users {
            let in_tree = self.get(&keys::feed_last(user)).and_then(|last| last.map_or(Ok(0), |last| number(&last)));
            let in_log = self.feeds.get(&user).and_then(|entries| entries.keys().next_back()).copied().unwrap_or(0);
            match in_tree {
                Ok(last) => drop(feeds.insert(user, last.max(in_log))),
                Err(error) => broken = Some(error),
            }
        }
        (feeds, broken)
    }

    /// Returns an entry of a user's feed.
    pub(super) fn entry(&self, user: UserId, seq: u64) -> Result<Bytes, StoreError> {
        self.value(self.feeds.get(&user).and_then(|entries| entries.get(&seq)), &keys::feed(user, seq))
    }

    /// Lists the documents, and where the list broke off.
    pub(super) fn docs(&self) -> (BTreeSet<DocKey>, Option<StoreError>) {
        let mut docs = BTreeSet::new();
        let broken = self.each_key(&keys::all_docs(), &mut |key| docs.extend(keys::doc_of_key(key))).err();
        for (key, value) in &self.docs {
            match value {
                Some(_) => drop(docs.insert(key.clone())),
                None => drop(docs.remove(key)),
            }
        }
        (docs, broken)
    }

    /// Returns a document.
    pub(super) fn doc(&self, key: &DocKey) -> Result<Bytes, StoreError> {
        self.value(self.docs.get(key).and_then(Option::as_ref), &keys::doc(key))
    }

    /// Returns where the audit log ends. Where that does not read, or is gone, the error says so.
    pub(super) fn audit_end(&self) -> Result<Option<AuditEnd>, StoreError> {
        match self.audit_end {
            Some(end) => Ok(Some(end)),
            None => self.get(&keys::audit_end())?.map(|stored| AuditEnd::read(&stored)).transpose(),
        }
    }

    /// Returns the number of the last entry of the audit log that is there, and where the list broke off.
    pub(super) fn last_audit(&self) -> (u64, Option<StoreError>) {
        let mut last = self.audit.keys().next_back().copied().unwrap_or(0);
        let broken = self.each_key(&keys::all_audit(), &mut |key| {
            last = last.max(keys::seq_of_audit_key(key).unwrap_or(0));
        });
        (last, broken.err())
    }

    /// Returns an entry of the audit log, and what links it to the one before.
    pub(super) fn audit(&self, seq: u64) -> Result<(Mac, Bytes), StoreError> {
        if let Some((mac, value)) = self.audit.get(&seq) {
            return Ok((*mac, value.bytes().clone()));
        }
        let stored = self.get(&keys::audit(seq))?.ok_or_else(|| StoreError::Corrupt("missing".to_owned()))?;
        let (mac, value) = audit::split(&stored)?;
        Ok((mac, self.load(value)?))
    }

    fn value(&self, known: Option<&Value>, key: &[u8]) -> Result<Bytes, StoreError> {
        match known {
            Some(value) => Ok(value.bytes().clone()),
            None => self.load(&self.get(key)?.ok_or_else(|| StoreError::Corrupt("missing".to_owned()))?),
        }
    }

    fn load(&self, stored: &[u8]) -> Result<Bytes, StoreError> {
        match Stored::read(stored)? {
            Stored::Spilled { hash, .. } if self.carried.contains_key(&hash) => {
                Ok(self.carried.get(&hash).cloned().unwrap_or_default())
            }
            stored @ (Stored::Inline(_) | Stored::Spilled { .. }) => lookup::load(&self.blobs, stored),
        }
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(tree) = &self.tree else { return Ok(None) };
        tree.read(|db| Ok(tree::get(db, key)?.map(|stored| stored.to_vec())))
    }

    /// Walks the keys that begin with `prefix`, up to the first that cannot be read.
    fn each_key(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut start = prefix.to_vec();
        loop {
            let (page, broken) = tree.read(|db| {
                let (mut page, mut broken) = (Vec::new(), None);
                for entry in tree::scan(db, start.clone(), prefix).take(PAGE) {
                    match entry {
                        Ok((key, _)) => page.push(key.to_vec()),
                        // The iterator would repeat the same error for ever.
                        Err(error) => {
                            broken = Some(error);
                            break;
                        }
                    }
                }
                Ok((page, broken))
            })?;
            page.iter().for_each(|key| each(key));
            match (broken, page.into_iter().next_back()) {
                (Some(error), _) => return Err(error),
                (None, None) => return Ok(()),
                (None, Some(last)) => {
                    start = last;
                    start.push(0);
                }
            }
        }
    }
}
