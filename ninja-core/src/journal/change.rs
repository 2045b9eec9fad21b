//! A commit made ready to write: its large values hashed, its size known, its encoding for the log.
//!
//! The encoding is binary and big-endian. A `value` is a `u32` length and the raw bytes.
//!
//! ```text
//! append   u8 present; task [16], first_seq u64, owner [16], unfinished u8, head value, u32 n, n × value
//! feed     u32 n, n × (user [16], value)
//! puts     u32 n, n × (kind u8, id value, value)
//! deletes  u32 n, n × (kind u8, id value)
//! blobs    u32 n, n × value
//! counts   absent where neither they nor what comes after is there; else u32 n, n × (row value, u32 m, m × i64)
//! forget   absent where neither they nor what comes after is there; else u32 n, n × (task [16], last_seq u64)
//! audit    absent where there are none; else u32 n, n × value
//! ```
//!
//! The frame around it carries the version; see [`super::wal`].

use bytes::Bytes;
use uuid::Uuid;

use crate::api::{BlobHash, TaskId, UserId};

use super::{
    keys,
    reader::{Malformed, Reader},
    store::{Commit, Count, DocKey, Forget, StoreError},
    value::{Value, hash_of},
};

/// The largest commit. Larger contents go through `put_blob_file`, which does not hold them in memory.
pub(super) const COMMIT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One atomic change, with its large values hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) append: Option<AppendChange>,
    pub(super) feed: Vec<(UserId, Value)>,
    pub(super) puts: Vec<(DocKey, Value)>,
    pub(super) deletes: Vec<DocKey>,
    pub(super) blobs: Vec<(BlobHash, Bytes)>,
    pub(super) counts: Vec<Count>,
    pub(super) forget: Vec<Forget>,
    pub(super) audit: Vec<Value>,
}

/// Records for one task's log and its new head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppendChange {
    pub(super) task: TaskId,
    pub(super) first_seq: u64,
    pub(super) owner: UserId,
    pub(super) unfinished: bool,
    pub(super) head: Value,
    pub(super) records: Vec<Value>,
}

impl Change {
    /// Makes a commit ready, or refuses it for its size.
    pub(super) fn new(commit: Commit) -> Result<Self, StoreError> {
        let bytes = size_of(&commit);
        if bytes > COMMIT_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes, limit: COMMIT_BYTES_MAX });
        }
        let append = commit.append.map(|append| AppendChange {
            task: append.task,
            first_seq: append.first_seq,
            owner: append.head.owner,
            unfinished: append.head.unfinished,
            head: Value::new(append.head.bytes),
            records: append.records.into_iter().map(Value::new).collect(),
        });
        Ok(Self {
            append,
            feed: commit.feed.into_iter().map(|(user, bytes)| (user, Value::new(bytes))).collect(),
            puts: commit.puts.into_iter().map(|(key, bytes)| (key, Value::new(bytes))).collect(),
            deletes: commit.deletes,
            blobs: commit.blobs.into_iter().map(|bytes| (hash_of(&bytes), bytes)).collect(),
            counts: commit.counts,
            forget: commit.forget,
            audit: commit.audit.into_iter().map(Value::new).collect(),
        })
    }

    /// Returns every blob that the change brings: those it names and its large values.
    pub(super) fn all_blobs(&self) -> impl Iterator<Item = (BlobHash, &Bytes)> {
        let heads = self.append.iter().flat_map(|append| std::iter::once(&append.head).chain(&append.records));
        let feed = self.feed.iter().map(|(_, value)| value);
        let puts = self.puts.iter().map(|(_, value)| value);
        let spilled = heads.chain(feed).chain(puts).chain(&self.audit).filter_map(Value::spilled);
        spilled.chain(self.blobs.iter().map(|(hash, bytes)| (*hash, bytes)))
    }

    /// Encodes the change for the log.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.encode_append(&mut out);
        put_count(&mut out, self.feed.len());
        for (user, value) in &self.feed {
            out.extend_from_slice(user.uuid().as_bytes());
            put_value(&mut out, value.bytes());
        }
        put_count(&mut out, self.puts.len());
        for (key, value) in &self.puts {
            put_doc_key(&mut out, key);
            put_value(&mut out, value.bytes());
        }
        put_count(&mut out, self.deletes.len());
        for key in &self.deletes {
            put_doc_key(&mut out, key);
        }
        put_count(&mut out, self.blobs.len());
        for (_, bytes) in &self.blobs {
            put_value(&mut out, bytes);
        }
        let (has_forget, has_audit) = (!self.forget.is_empty(), !self.audit.is_empty());
        if !self.counts.is_empty() || has_forget || has_audit {
            self.encode_counts(&mut out);
        }
        if has_forget || has_audit {
            self.encode_forget(&mut out);
        }
        if has_audit {
            self.encode_audit(&mut out);
        }
        out
    }

    fn encode_forget(&self, out: &mut Vec<u8>) {
        put_count(out, self.forget.len());
        for Forget { task, last_seq } in &self.forget {
            out.extend_from_slice(task.uuid().as_bytes());
            out.extend_from_slice(&last_seq.to_be_bytes());
        }
    }

    fn encode_counts(&self, out: &mut Vec<u8>) {
        put_count(out, self.counts.len());
        for Count { row, add } in &self.counts {
            put_value(out, row.as_bytes());
            put_count(out, add.len());
            for number in add {
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
    }

    fn encode_audit(&self, out: &mut Vec<u8>) {
        put_count(out, self.audit.len());
        for entry in &self.audit {
            put_value(out, entry.bytes());
        }
    }

    fn encode_append(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.append.is_some()));
        let Some(append) = &self.append else { return };
        out.extend_from_slice(append.task.uuid().as_bytes());
        out.extend_from_slice(&append.first_seq.to_be_bytes());
        out.extend_from_slice(append.owner.uuid().as_bytes());
        out.push(u8::from(append.unfinished));
        put_value(out, append.head.bytes());
        put_count(out, append.records.len());
        for record in &append.records {
            put_value(out, record.bytes());
        }
    }

    /// Reads what [`Change::encode`] wrote, without copying the values.
    pub(super) fn decode(body: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let change = Self {
            append: Self::decode_append(&mut reader)?,
            feed: reader.list(|reader| Ok((UserId::from_uuid(uuid(reader)?), value(reader)?)))?,
            puts: reader.list(|reader| Ok((doc_key(reader)?, value(reader)?)))?,
            deletes: reader.list(doc_key)?,
            blobs: reader.list(|reader| reader.value().map(|bytes| (hash_of(&bytes), bytes)))?,
            counts: if reader.is_at_end() { Vec::new() } else { reader.list(count)? },
            forget: if reader.is_at_end() { Vec::new() } else { reader.list(forget)? },
            audit: if reader.is_at_end() { Vec::new() } else { reader.list(value)? },
        };
        reader.finish()?;
        Ok(change)
    }

    fn decode_append(reader: &mut Reader) -> Result<Option<AppendChange>, Malformed> {
        if !reader.flag()? {
            return Ok(None);
        }
        Ok(Some(AppendChange {
            task: TaskId::from_uuid(uuid(reader)?),
            first_seq: reader.u64()?,
            owner: UserId::from_uuid(uuid(reader)?),
            unfinished: reader.flag()?,
            head: value(reader)?,
            records: reader.list(value)?,
        }))
    }
}

fn size_of(commit: &Commit) -> u64 {
    let append = commit.append.iter().flat_map(|append| std::iter::once(&append.head.bytes).chain(&append.records));
    let feed = commit.feed.iter().map(|(_, bytes)| bytes);
    let puts = commit.puts.iter().map(|(_, bytes)| bytes);
    let values = append.chain(feed).chain(puts).chain(&commit.blobs).chain(&commit.audit).map(Bytes::len);
    let ids = commit.puts.iter().map(|(key, _)| key).chain(&commit.deletes).map(|key| key.id.len());
    // Every item costs a few dozen bytes of its own, in the frame and in the tree.
    let counts = commit.counts.iter().map(|count| count.row.len() + count.add.len() * 8);
    let forget = commit.forget.iter().map(|_| 24);
    values.chain(ids).chain(counts).chain(forget).map(|len| len as u64 + 32).sum()
}

/// Writes a count or length. `Change::new` has bounded every one of them by the size of a commit.
fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a commit is bounded, so its counts fit");
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_value(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_doc_key(out: &mut Vec<u8>, key: &DocKey) {
    out.push(key.kind as u8);
    put_value(out, key.id.as_bytes());
}

fn uuid(reader: &mut Reader) -> Result<Uuid, Malformed> {
    reader.u128().map(Uuid::from_u128)
}

fn value(reader: &mut Reader) -> Result<Value, Malformed> {
    reader.value().map(Value::new)
}

fn count(reader: &mut Reader) -> Result<Count, Malformed> {
    let row = String::from_utf8(reader.value()?.to_vec()).map_err(|_| Malformed)?;
    Ok(Count { row, add: reader.list(|reader| reader.u64().map(u64::cast_signed))? })
}

fn forget(reader: &mut Reader) -> Result<Forget, Malformed> {
    Ok(Forget { task: TaskId::from_uuid(uuid(reader)?), last_seq: reader.u64()? })
}

fn doc_key(reader: &mut Reader) -> Result<DocKey, Malformed> {
    let kind = keys::doc_kind(reader.u8()?).ok_or(Malformed)?;
    let id = String::from_utf8(reader.value()?.to_vec()).map_err(|_| Malformed)?;
    Ok(DocKey { kind, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_takes_no_room_where_there_is_none_of_it() {
        let forget = |n| Forget { task: TaskId::from_uuid(Uuid::from_u128(n)), last_seq: 7 };
        let count = Count { row: "r".to_owned(), add: vec![1, -1] };
        let read = |commit: Commit| {
            let change = Change::new(commit).unwrap();
            let bytes = change.encode();
            assert_eq!(Change::decode(bytes.clone().into()), Ok(change));
            bytes
        };
        // An append flag and four empty lists: the form in which it has been since the first version.
        assert_eq!(read(Commit::default()), [0; 17]);
        assert_eq!(read(Commit { counts: vec![count.clone()], ..Commit::default() }).len(), 17 + 4 + 5 + 4 + 16);
        assert_eq!(read(Commit { forget: vec![forget(1), forget(2)], ..Commit::default() }).len(), 17 + 4 + 4 + 48);
        let both = Commit { counts: vec![count], forget: vec![forget(1)], ..Commit::default() };
        assert_eq!(read(both).len(), 17 + 4 + 5 + 4 + 16 + 4 + 24);
        let audit = || vec![Bytes::from("one"), Bytes::from("second")];
        assert_eq!(read(Commit { audit: audit(), ..Commit::default() }).len(), 17 + 4 + 4 + 4 + 7 + 10);
        let all = Commit { forget: vec![forget(1)], audit: audit(), ..Commit::default() };
        assert_eq!(read(all).len(), 17 + 4 + 4 + 24 + 4 + 7 + 10);
    }
}
