//! Turns changes into batches for the tree: checks what an append expects, numbers feed entries, keeps the indexes, takes
//! out what is forgotten.
//!
//! The writer and the replay at start use the same code, so that replaying gives what was promised. It remembers the
//! heads and feeds it has seen; those are true as long as one applier alone writes to the tree.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use uuid::Uuid;

use super::{
    audit::{self, AuditEnd, ChainKey, Links, Mac},
    buried::Buried,
    calls::Calls,
    change::{AppendChange, Change},
    counts, keys,
    reader::Reader,
    store::{Count, DocKey, DocKind, Forget, StoreError},
    tree::{self, Batch, Tree},
    value::{Stored, Value},
};
use crate::api::{TaskId, UserId};

/// How many heads and feeds are remembered before all are forgotten. Reading one again is a look into the tree's cache.
const REMEMBERED_MAX: usize = 50_000;

/// What the store knows of a task. It stands before the head's own bytes in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskState {
    /// The number of the last record; 0 when there is none.
    pub(super) last_seq: u64,
    /// Whose task it is.
    pub(super) owner: UserId,
    /// Whether recovery must look at it.
    pub(super) unfinished: bool,
}

impl TaskState {
    const BYTES: usize = 8 + 16 + 1;

    /// Splits what the tree keeps of a head into what the store knows and the stored value.
    pub(super) fn read(stored: &[u8]) -> Result<(Self, &[u8]), StoreError> {
        let damaged = || StoreError::Corrupt("a task's head does not read".to_owned());
        let (state, value) = stored.split_at_checked(Self::BYTES).ok_or_else(damaged)?;
        let mut reader = Reader::new(bytes::Bytes::copy_from_slice(state));
        let state = (|| {
            let last_seq = reader.u64()?;
            let owner = UserId::from_uuid(Uuid::from_u128(reader.u128()?));
            Ok::<_, super::reader::Malformed>(Self { last_seq, owner, unfinished: reader.flag()? })
        })();
        Ok((state.map_err(|_| damaged())?, value))
    }

    fn store(self, head: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES + 64);
        out.extend_from_slice(&self.last_seq.to_be_bytes());
        out.extend_from_slice(self.owner.uuid().as_bytes());
        out.push(u8::from(self.unfinished));
        head.store_into(&mut out);
        out
    }
}

/// Makes batches of changes. Cheap to drop: what it remembers is read again.
pub(super) struct Applier {
    tree: Arc<Tree>,
    tasks: HashMap<TaskId, Option<TaskState>>,
    feeds: HashMap<UserId, u64>,
    counts: HashMap<String, Vec<i64>>,
    buried: Buried,
    /// Where the audit log ends, once that was read.
    audit_end: Option<AuditEnd>,
}

/// What a change got.
pub(super) struct Admitted {
    /// The numbers of its feed entries.
    pub(super) feed_seqs: Vec<u64>,
    /// What links its entries for the audit log.
    pub(super) links: Option<Links>,
}

/// Who links entries for the audit log.
#[derive(Clone, Copy)]
pub(super) enum Linking<'a> {
    /// The applier does, with the key, if it is there.
    With(Option<&'a ChainKey>),
    /// They were linked before, as this.
    Known(Option<&'a Links>),
}

impl Applier {
    /// Starts with nothing remembered.
    pub(super) fn new(tree: Arc<Tree>) -> Self {
        Self {
            tree,
            tasks: HashMap::new(),
            feeds: HashMap::new(),
            counts: HashMap::new(),
            buried: Buried::default(),
            audit_end: None,
        }
    }

    /// Returns the tree that batches are applied to.
    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Returns the position of the last frame that the tree has applied.
    pub(super) fn position(&self) -> Result<u64, StoreError> {
        let Some(stored) = self.tree.read(|db| tree::get(db, &keys::position()))? else { return Ok(0) };
        number(&stored)
    }

    /// Adds a change to the batch, and returns the numbers of its feed entries and the links of those for the audit log.
    /// Refuses, and changes nothing, where the append does not follow the task's log, a task to forget is at another record, or
    /// entries cannot be linked.
    pub(super) fn admit(
        &mut self,
        change: &Change,
        position: u64,
        linking: Linking<'_>,
        batch: &mut Batch,
    ) -> Result<Admitted, StoreError> {
        let state = match &change.append {
            Some(append) => self.check(append)?,
            None => None,
        };
        self.look_for_buried()?;
        let appended = change.append.as_ref().map(|append| append.task);
        let forgotten = change.forget.iter().map(|forget| self.check_forget(*forget, appended));
        let forgotten = forgotten.collect::<Result<Vec<_>, StoreError>>()?;
        let links = self.link(change, linking)?;
        for (user, _) in &change.feed {
            self.feed_last(*user)?;
        }
        for Count { row, .. } in &change.counts {
            self.read_count(row)?;
        }
        if let Some(append) = &change.append {
            self.put_append(append, state, batch);
        }
        for (Forget { task, last_seq }, state) in change.forget.iter().zip(forgotten) {
            self.put_forget(*task, *last_seq, state, batch);
        }
        let feed_seqs = self.put_feed(change, batch);
        for (key, value) in &change.puts {
            batch.insert(keys::doc(key), value.stored());
        }
        for key in &change.deletes {
            batch.remove(keys::doc(key));
        }
        self.put_counts(change, batch);
        self.put_audit(change, links.as_ref(), batch);
        batch.insert(keys::position(), position.to_be_bytes().to_vec());
        Ok(Admitted { feed_seqs, links })
    }

    /// Forgets what it remembers if that has grown large. Only between batches: what is remembered of changes that
    /// are not applied yet stands nowhere else.
    pub(super) fn trim(&mut self) {
        if self.tasks.len() > REMEMBERED_MAX {
            self.tasks = HashMap::new();
        }
        if self.feeds.len() > REMEMBERED_MAX {
            self.feeds = HashMap::new();
        }
        if self.counts.len() > REMEMBERED_MAX {
            self.counts = HashMap::new();
        }
    }

    /// Forgets what was admitted and not applied.
    pub(super) fn forget(&mut self) {
        self.tasks = HashMap::new();
        self.feeds = HashMap::new();
        self.counts = HashMap::new();
        self.buried = Buried::default();
        self.audit_end = None;
    }

    /// Looks for records of forgotten tasks that are still in the tree.
    pub(super) fn look_for_buried(&mut self) -> Result<(), StoreError> {
        self.buried.know(&self.tree)
    }

    /// Returns whether records of forgotten tasks are known to be in the tree.
    pub(super) fn has_buried(&self) -> bool {
        !self.buried.is_empty()
    }

    /// Takes some of them out of the tree; the tasks of which none is left are handed to `gone` before that is noted. Only
    /// between batches.
    pub(super) fn clear_buried(&mut self, calls: &Calls, gone: impl Fn(TaskId)) -> Result<(), StoreError> {
        self.buried.clear_some(&self.tree, calls, gone)
    }

    fn state_of(&mut self, task: TaskId) -> Result<Option<TaskState>, StoreError> {
        let tree = &self.tree;
        remember(&mut self.tasks, task, || {
            let stored = tree.read(|db| tree::get(db, &keys::head(task)))?;
            stored.map(|stored| TaskState::read(&stored).map(|(state, _)| state)).transpose()
        })
    }

    fn check_forget(&mut self, forget: Forget, appended: Option<TaskId>) -> Result<TaskState, StoreError> {
        let Forget { task, last_seq } = forget;
        let state = self.state_of(task)?;
        match state {
            Some(state) if state.last_seq == last_seq && appended != Some(task) => Ok(state),
            Some(_) | None => {
                let found = state.map_or(0, |state| state.last_seq) + 1;
                Err(StoreError::Conflict { task, expected: last_seq.saturating_add(1), found })
            }
        }
    }

    fn check(&mut self, append: &AppendChange) -> Result<Option<TaskState>, StoreError> {
        let state = self.state_of(append.task)?;
        let found = state.map_or(0, |state| state.last_seq) + 1;
        if append.first_seq != found {
            return Err(StoreError::Conflict { task: append.task, expected: append.first_seq, found });
        }
        Ok(state)
    }

    fn feed_last(&mut self, user: UserId) -> Result<u64, StoreError> {
        let tree = &self.tree;
        remember(&mut self.feeds, user, || {
            let stored = tree.read(|db| tree::get(db, &keys::feed_last(user)))?;
            stored.map_or(Ok(0), |stored| number(&stored))
        })
    }

    fn read_count(&mut self, row: &str) -> Result<(), StoreError> {
        if self.counts.contains_key(row) {
            return Ok(());
        }
        let key = keys::doc(&DocKey::new(DocKind::Count, row));
        let stored = self.tree.read(|db| tree::get(db, &key))?;
        let numbers = stored.map_or(Ok(Vec::new()), |stored| match Stored::read(&stored)? {
            Stored::Inline(bytes) => counts::read(&bytes),
            Stored::Spilled { .. } => Err(StoreError::Corrupt("a row of counters is a blob".to_owned())),
        });
        self.counts.insert(row.to_owned(), numbers?);
        Ok(())
    }

    fn link(&mut self, change: &Change, linking: Linking<'_>) -> Result<Option<Links>, StoreError> {
        let known = match linking {
            Linking::With(_) => None,
            Linking::Known(links) => links,
        };
        if change.audit.is_empty() && known.is_none() {
            return Ok(None);
        }
        let end = self.read_audit_end()?;
        match (linking, known) {
            (Linking::With(None), _) => Err(StoreError::NoAuditKey),
            (Linking::With(Some(key)), _) => Ok(Some(key.chain(&end, change.audit.iter().map(Value::bytes)))),
            (Linking::Known(_), Some(links))
                if links.first == end.seq + 1 && links.macs.len() == change.audit.len() =>
            {
                Ok(Some(links.clone()))
            }
            (Linking::Known(_), _) => Err(StoreError::Corrupt("its audit entries are linked otherwise".to_owned())),
        }
    }

    fn read_audit_end(&mut self) -> Result<AuditEnd, StoreError> {
        let end = match self.audit_end {
            Some(end) => end,
            None => self.past_the_last(audit_end(&self.tree)?.unwrap_or(AuditEnd::NONE))?,
        };
        self.audit_end = Some(end);
        Ok(end)
    }

    /// Returns an end that no entry stands after, so that none is ever written over. There is none after the end of a log that
    /// nobody tampered with.
    fn past_the_last(&self, end: AuditEnd) -> Result<AuditEnd, StoreError> {
        self.tree.read(|db| {
            let last = tree::scan(db, keys::audit(end.seq + 1), &keys::all_audit()).last().transpose()?;
            let Some((key, stored)) = last else { return Ok(end) };
            let seq = keys::seq_of_audit_key(&key).unwrap_or(end.seq);
            Ok(AuditEnd { seq, mac: audit::split(&stored)?.0, end_mac: Mac::NONE })
        })
    }

    fn put_audit(&mut self, change: &Change, links: Option<&Links>, batch: &mut Batch) {
        let Some(links) = links else { return };
        for ((seq, mac), entry) in (links.first..).zip(&links.macs).zip(&change.audit) {
            let mut stored = mac.as_bytes().to_vec();
            entry.store_into(&mut stored);
            batch.insert(keys::audit(seq), stored);
        }
        let end = links.end();
        batch.insert(keys::audit_end(), end.stored());
        self.audit_end = Some(end);
    }

    fn put_counts(&mut self, change: &Change, batch: &mut Batch) {
        // What a commit puts there as a document is what is counted on.
        let puts = change.puts.iter().map(|(key, value)| (key, counts::read(value.bytes()).unwrap_or_default()));
        let deletes = change.deletes.iter().map(|key| (key, Vec::new()));
        for (key, numbers) in puts.chain(deletes).filter(|(key, _)| key.kind == DocKind::Count) {
            self.counts.insert(key.id.clone(), numbers);
        }
        for Count { row, add } in &change.counts {
            // `admit` has read every one of them.
            let numbers = self.counts.entry(row.clone()).or_default();
            counts::add(numbers, add);
            let value = Value::new(counts::write(numbers).into());
            batch.insert(keys::doc(&DocKey::new(DocKind::Count, row)), value.stored());
        }
    }

    /// The head goes at once, and with it the task for whoever reads; its records, of which there can be many, go later.
    fn put_forget(&mut self, task: TaskId, last_seq: u64, state: TaskState, batch: &mut Batch) {
        batch.remove(keys::head(task));
        batch.remove(keys::owner_task(state.owner, task));
        if state.unfinished {
            batch.remove(keys::unfinished(task));
        }
        self.buried.bury(task, last_seq, batch);
        self.tasks.insert(task, None);
    }

    fn put_append(&mut self, append: &AppendChange, before: Option<TaskState>, batch: &mut Batch) {
        if before.is_none() {
            self.buried.dig_up(append.task, batch);
        }
        let mut last_seq = append.first_seq - 1;
        for record in &append.records {
            last_seq += 1;
            batch.insert(keys::record(append.task, last_seq), record.stored());
        }
        let after = TaskState { last_seq, owner: append.owner, unfinished: append.unfinished };
        batch.insert(keys::head(append.task), after.store(&append.head));
        let owner_before = before.map(|before| before.owner);
        if owner_before != Some(after.owner) {
            batch.insert(keys::owner_task(after.owner, append.task), Vec::new());
            if let Some(owner) = owner_before {
                batch.remove(keys::owner_task(owner, append.task));
            }
        }
        match (before.is_some_and(|before| before.unfinished), after.unfinished) {
            (false, true) => batch.insert(keys::unfinished(append.task), Vec::new()),
            (true, false) => batch.remove(keys::unfinished(append.task)),
            (true, true) | (false, false) => {}
        }
        self.tasks.insert(append.task, Some(after));
    }

    fn put_feed(&mut self, change: &Change, batch: &mut Batch) -> Vec<u64> {
        let mut seqs = Vec::with_capacity(change.feed.len());
        for (user, value) in &change.feed {
            // `admit` has read every one of them.
            let last = self.feeds.entry(*user).or_default();
            *last += 1;
            seqs.push(*last);
            batch.insert(keys::feed(*user, *last), value.stored());
            batch.insert(keys::feed_last(*user), last.to_be_bytes().to_vec());
        }
        seqs
    }
}

/// Reads where the audit log ends.
pub(super) fn audit_end(tree: &Tree) -> Result<Option<AuditEnd>, StoreError> {
    tree.read(|db| tree::get(db, &keys::audit_end())?.map(|stored| AuditEnd::read(&stored)).transpose())
}

/// Reads a number that stands alone in the tree.
pub(super) fn number(stored: &[u8]) -> Result<u64, StoreError> {
    let bytes = stored.try_into().map_err(|_| StoreError::Corrupt("a number in the tree does not read".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn remember<K: Hash + Eq, V: Copy>(
    map: &mut HashMap<K, V>,
    key: K,
    read: impl FnOnce() -> Result<V, StoreError>,
) -> Result<V, StoreError> {
    if let Some(value) = map.get(&key) {
        return Ok(*value);
    }
    let value = read()?;
    map.insert(key, value);
    Ok(value)
}
