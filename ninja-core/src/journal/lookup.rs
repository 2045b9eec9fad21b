//! Reads from the tree and the blobs, and checks that what is read is whole: no gap in a log, no index entry without
//! its head, no large value with other bytes.

use bytes::Bytes;

use super::{
    applier::{TaskState, number},
    audit::{self, AuditRow},
    blobs::Blobs,
    keys,
    store::{DocKey, DocKind, HeadPage, StoreError},
    tree::{self, Db, Entry, Tree},
    value::Stored,
};
use crate::api::{TaskId, UserId};

/// Reads records of a task's log.
pub(super) fn log(
    tree: &Tree,
    blobs: &Blobs,
    task: TaskId,
    from_seq: u64,
    limit: usize,
) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let found = tree.read(|db| {
        let last =
            tree::get(db, &keys::head(task))?.map(|head| TaskState::read(&head).map(|(state, _)| state.last_seq));
        let span = Span { from: from_seq.max(1), last: last.transpose()?.unwrap_or(0), limit };
        match numbered(db, span, &keys::log(task), |seq| keys::record(task, seq)) {
            // It was forgotten between the look at its head and the look at its records.
            Err(_) if tree::get(db, &keys::head(task))?.is_none() => Ok(Vec::new()),
            found => found,
        }
    })?;
    load_numbered(blobs, found)
}

/// Reads `count` records of a task's log that are there, whatever became of the task's head.
pub(super) fn counted(
    tree: &Tree,
    blobs: &Blobs,
    task: TaskId,
    from: u64,
    count: usize,
) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let span = Span { from, last: from + count as u64 - 1, limit: count };
    let found = tree.read(|db| numbered(db, span, &keys::log(task), |seq| keys::record(task, seq)))?;
    load_numbered(blobs, found)
}

/// Reads entries of a user's feed.
pub(super) fn feed(
    tree: &Tree,
    blobs: &Blobs,
    user: UserId,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let found = tree.read(|db| {
        let last = tree::get(db, &keys::feed_last(user))?.map_or(Ok(0), |last| number(&last))?;
        let span = Span { from: after.saturating_add(1), last, limit };
        numbered(db, span, &keys::feed_of(user), |seq| keys::feed(user, seq))
    })?;
    load_numbered(blobs, found)
}

/// Reads a task's head.
pub(super) fn head(tree: &Tree, blobs: &Blobs, task: TaskId) -> Result<Option<Bytes>, StoreError> {
    let found = tree.read(|db| state_and_head(db, task))?;
    found.map(|(_, stored)| load(blobs, stored)).transpose()
}

/// Lists an owner's tasks, newest first.
pub(super) fn heads_of(
    tree: &Tree,
    blobs: &Blobs,
    owner: UserId,
    after: Option<TaskId>,
    limit: usize,
) -> Result<HeadPage, StoreError> {
    let prefix = keys::owner(owner);
    let start = after.map_or_else(|| prefix.clone(), |task| just_after(keys::owner_task(owner, task)));
    let (found, next) = tree.read(|db| page(db, start, &prefix, limit, keys::task_of_owner_key))?;
    let heads = found.into_iter().map(|(task, _, stored)| Ok((task, load(blobs, stored)?)));
    Ok(HeadPage { heads: heads.collect::<Result<_, StoreError>>()?, next })
}

/// Lists unfinished tasks in id order.
pub(super) fn unfinished(
    tree: &Tree,
    blobs: &Blobs,
    after: Option<TaskId>,
    limit: usize,
) -> Result<HeadPage, StoreError> {
    let prefix = keys::all_unfinished();
    let start = after.map_or_else(|| prefix.clone(), |task| just_after(keys::unfinished(task)));
    let (found, next) = tree.read(|db| page(db, start, &prefix, limit, keys::task_of_unfinished_key))?;
    // A task can have finished between the look at the index and the look at its head.
    let still = found.into_iter().filter(|(_, state, _)| state.unfinished);
    let heads = still.map(|(task, _, stored)| Ok((task, load(blobs, stored)?)));
    Ok(HeadPage { heads: heads.collect::<Result<_, StoreError>>()?, next })
}

/// Lists the tasks of all owners in id order.
pub(super) fn all_heads(
    tree: &Tree,
    blobs: &Blobs,
    after: Option<TaskId>,
    limit: usize,
) -> Result<HeadPage, StoreError> {
    let prefix = keys::all_heads();
    let start = after.map_or_else(|| prefix.clone(), |task| just_after(keys::head(task)));
    let found: Vec<Entry> =
        tree.read(|db| tree::scan(db, start, &prefix).take(limit.saturating_add(1)).collect::<Result<_, _>>())?;
    let is_last = found.len() <= limit;
    let mut heads = Vec::with_capacity(found.len());
    for (key, stored) in found.into_iter().take(limit) {
        let task = keys::task_of_head_key(&key).ok_or_else(|| damaged("the key of a head does not read"))?;
        let (_, value) = TaskState::read(&stored)?;
        heads.push((task, load(blobs, Stored::read(value)?)?));
    }
    let next = heads.last().map(|(task, _)| *task).filter(|_| !is_last);
    Ok(HeadPage { heads, next })
}

/// Reads a document.
pub(super) fn doc(tree: &Tree, blobs: &Blobs, key: &DocKey) -> Result<Option<Bytes>, StoreError> {
    let found = tree.read(|db| tree::get(db, &keys::doc(key)))?;
    found.map(|stored| load(blobs, Stored::read(&stored)?)).transpose()
}

/// Lists documents of a kind, after an id or from the first.
pub(super) fn docs(
    tree: &Tree,
    blobs: &Blobs,
    kind: DocKind,
    prefix: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<(String, Bytes)>, StoreError> {
    let prefix = keys::docs(kind, prefix);
    let start = match after {
        "" => prefix.clone(),
        after => just_after(keys::docs(kind, after)).max(prefix.clone()),
    };
    let found: Vec<Entry> = tree.read(|db| tree::scan(db, start, &prefix).take(limit).collect())?;
    let mut docs = Vec::with_capacity(found.len());
    for (key, stored) in found {
        let id = keys::id_of_doc_key(&key).ok_or_else(|| damaged("the id of a document does not read"))?;
        docs.push((id, load(blobs, Stored::read(&stored)?)?));
    }
    Ok(docs)
}

/// Reads entries of the audit log. One that is missing is left out: that is for the one to judge who checks the chain.
pub(super) fn audit(tree: &Tree, blobs: &Blobs, from_seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
    let found: Vec<Entry> =
        tree.read(|db| tree::scan(db, keys::audit(from_seq), &keys::all_audit()).take(limit).collect())?;
    let mut rows = Vec::with_capacity(found.len());
    for (key, stored) in found {
        let seq = keys::seq_of_audit_key(&key)
            .ok_or_else(|| damaged("the number of an entry of the audit log does not read"))?;
        let (mac, value) = audit::split(&stored)?;
        rows.push(AuditRow { seq, mac, entry: load(blobs, Stored::read(value)?)? });
    }
    Ok(rows)
}

/// Which numbers are wanted, and which there are.
struct Span {
    from: u64,
    last: u64,
    limit: usize,
}

/// Reads consecutive entries. There is one for every number up to the last, or the tree is damaged.
fn numbered(
    db: &Db,
    span: Span,
    prefix: &[u8],
    key: impl Fn(u64) -> Vec<u8>,
) -> Result<Vec<(u64, Stored)>, StoreError> {
    let wanted = (span.last + 1).saturating_sub(span.from);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(span.limit);
    let mut found = Vec::new();
    if wanted == 0 {
        return Ok(found);
    }
    let mut seq = span.from;
    for entry in tree::scan(db, key(span.from), prefix).take(wanted) {
        let (at, stored) = entry?;
        if at != key(seq) {
            break;
        }
        found.push((seq, Stored::read(&stored)?));
        seq += 1;
    }
    match found.len() == wanted {
        true => Ok(found),
        false => Err(damaged(&format!("number {seq} of {} is missing", span.last))),
    }
}

type FoundHead = (TaskId, TaskState, Stored);

/// Reads the heads of the tasks that an index lists, and the task to go on after.
fn page(
    db: &Db,
    start: Vec<u8>,
    prefix: &[u8],
    limit: usize,
    task_of: impl Fn(&[u8]) -> Option<TaskId>,
) -> Result<(Vec<FoundHead>, Option<TaskId>), StoreError> {
    let mut found: Vec<FoundHead> = Vec::new();
    let mut last = None;
    for entry in tree::scan(db, start, prefix) {
        if found.len() == limit {
            return Ok((found, last));
        }
        let (key, _) = entry?;
        let task = task_of(&key).ok_or_else(|| damaged("an index entry does not read"))?;
        match state_and_head(db, task)? {
            Some((state, head)) => {
                last = Some(task);
                found.push((task, state, head));
            }
            // It was forgotten meanwhile, and is in no list any more: both go in one batch.
            None if tree::get(db, &key)?.is_none() => {}
            None => return Err(damaged(&format!("{task} has no head"))),
        }
    }
    Ok((found, None))
}

fn state_and_head(db: &Db, task: TaskId) -> Result<Option<(TaskState, Stored)>, StoreError> {
    let Some(stored) = tree::get(db, &keys::head(task))? else { return Ok(None) };
    let (state, value) = TaskState::read(&stored)?;
    Ok(Some((state, Stored::read(value)?)))
}

fn load_numbered(blobs: &Blobs, found: Vec<(u64, Stored)>) -> Result<Vec<(u64, Bytes)>, StoreError> {
    found.into_iter().map(|(seq, stored)| Ok((seq, load(blobs, stored)?))).collect()
}

/// Reads a stored value.
pub(super) fn load(blobs: &Blobs, stored: Stored) -> Result<Bytes, StoreError> {
    match stored {
        Stored::Inline(bytes) => Ok(bytes),
        Stored::Spilled { hash, len } => blobs.read(hash, len),
    }
}

/// Returns the smallest key that is larger.
fn just_after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("tree: {what}"))
}
