//! Hands on everything that a store on disk holds, as of one point in time, while it is written to.

use std::{collections::HashSet, fs::File};

use bytes::Bytes;

use super::{
    applier::{TaskState, number},
    audit::AuditEnd,
    blobs::Blobs,
    capture,
    item::{BLOB_PART_BYTES, Item},
    keys, lookup,
    store::{DocKey, StoreError},
    tree::Tree,
    value::{Stored, spilled_as},
};
use crate::api::{BlobHash, TaskId, UserId};

/// Records or entries read at a time.
const PAGE: usize = 256;

/// What takes the items.
pub(super) type Sink<'a> = &'a mut dyn FnMut(Item) -> Result<(), StoreError>;

/// Hands on what a capture counts, then the blobs.
pub(super) fn all(tree: &Tree, blobs: &Blobs, captured: File, sink: Sink<'_>) -> Result<(), StoreError> {
    let spilled = entries(tree, blobs, captured, sink)?;
    blobs.each(&mut |hash, file| match spilled.contains(&hash) {
        true => Ok(()),
        false => blob_parts(hash, file, sink),
    })
}

/// Hands on what a capture counts, and returns the blobs that were its values.
pub(super) fn entries(
    tree: &Tree,
    blobs: &Blobs,
    captured: File,
    sink: Sink<'_>,
) -> Result<HashSet<BlobHash>, StoreError> {
    let mut export = Export { tree, blobs, sink, spilled: HashSet::new() };
    capture::replay(captured, |key, value| export.entry(key, value))?;
    Ok(export.spilled)
}

/// Hands on a blob in parts. Whether they are what the name says is for the one to judge who takes them.
pub(super) fn blob_parts(hash: BlobHash, file: File, sink: Sink<'_>) -> Result<(), StoreError> {
    let mut content = super::blobs::Chunks::of(file, BLOB_PART_BYTES);
    let mut part = content.next_chunk()?;
    loop {
        let next = content.next_chunk()?;
        let last = next.is_empty();
        sink(Item::BlobPart { hash, bytes: part, last })?;
        if last {
            return Ok(());
        }
        part = next;
    }
}

struct Export<'a, 'b> {
    tree: &'a Tree,
    blobs: &'a Blobs,
    sink: Sink<'b>,
    /// Blobs that values have brought already.
    spilled: HashSet<BlobHash>,
}

impl Export<'_, '_> {
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if let Some(key) = keys::doc_of_key(key) {
            return self.doc(key, value);
        }
        if let Some(task) = keys::task_of_head_key(key) {
            return self.task(task, value);
        }
        if key == keys::audit_end() {
            return self.audit(AuditEnd::read(value)?);
        }
        match keys::user_of_feed_end_key(key) {
            Some(user) => self.feed(user, number(value)?),
            None => Err(StoreError::Corrupt("tree: a key is of no kind that this version knows".to_owned())),
        }
    }

    fn doc(&mut self, key: DocKey, value: &[u8]) -> Result<(), StoreError> {
        let bytes = lookup::load(self.blobs, Stored::read(value)?)?;
        self.note(&bytes);
        (self.sink)(Item::Doc { key, bytes })
    }

    fn task(&mut self, task: TaskId, value: &[u8]) -> Result<(), StoreError> {
        let (state, head) = TaskState::read(value)?;
        let head = lookup::load(self.blobs, Stored::read(head)?)?;
        self.note(&head);
        let TaskState { last_seq, owner, unfinished } = state;
        (self.sink)(Item::Task { task, owner, unfinished, last_seq, head })?;
        let mut from = 1;
        while from <= last_seq {
            let wanted = usize::try_from(last_seq - from + 1).unwrap_or(PAGE).min(PAGE);
            for (seq, bytes) in lookup::counted(self.tree, self.blobs, task, from, wanted)? {
                self.note(&bytes);
                (self.sink)(Item::Record { task, seq, bytes })?;
            }
            from += wanted as u64;
        }
        Ok(())
    }

    fn feed(&mut self, user: UserId, last: u64) -> Result<(), StoreError> {
        let mut after = 0;
        while after < last {
            let wanted = usize::try_from(last - after).unwrap_or(PAGE).min(PAGE);
            for (seq, bytes) in lookup::feed(self.tree, self.blobs, user, after, wanted)? {
                self.note(&bytes);
                (self.sink)(Item::Feed { user, seq, bytes })?;
            }
            after += wanted as u64;
        }
        Ok(())
    }

    fn audit(&mut self, end: AuditEnd) -> Result<(), StoreError> {
        (self.sink)(Item::AuditEnd(end))?;
        let mut from = 1;
        while from <= end.seq {
            let wanted = usize::try_from(end.seq - from + 1).unwrap_or(PAGE).min(PAGE);
            let rows = lookup::audit(self.tree, self.blobs, from, wanted)?;
            for (seq, row) in (from..).zip(&rows) {
                if row.seq != seq {
                    return Err(StoreError::Corrupt(format!("entry {seq} of the audit log is missing")));
                }
                self.note(&row.entry);
                (self.sink)(Item::Audit { seq, mac: row.mac, bytes: row.entry.clone() })?;
            }
            if rows.len() < wanted {
                return Err(StoreError::Corrupt(format!("the audit log ends before entry {}", end.seq)));
            }
            from += wanted as u64;
        }
        Ok(())
    }

    fn note(&mut self, bytes: &Bytes) {
        self.spilled.extend(spilled_as(bytes));
    }
}
