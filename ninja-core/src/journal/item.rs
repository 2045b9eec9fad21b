//! What a store holds, one thing after another: the form in which data leaves one store and enters another.
//!
//! Indexes and counters are not among it: whoever takes items in makes them anew.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    audit::{AuditEnd, Mac},
    store::DocKey,
};
use crate::api::{BlobHash, TaskId, UserId};

/// One thing that a store holds. A task comes before its records, those in order and without a gap; entries of a feed come in
/// order from the first; the end of the audit log comes before its entries, those in order; the parts of a blob come one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A document.
    Doc {
        /// Its address.
        key: DocKey,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A task: what the store knows of it, and its head.
    Task {
        /// The task.
        task: TaskId,
        /// Whose it is.
        owner: UserId,
        /// Whether recovery looks at it.
        unfinished: bool,
        /// How many records follow.
        last_seq: u64,
        /// The head's bytes.
        head: Bytes,
    },
    /// A record of the task that came last.
    Record {
        /// The task.
        task: TaskId,
        /// Its number.
        seq: u64,
        /// Its bytes.
        bytes: Bytes,
    },
    /// An entry of a user's feed.
    Feed {
        /// Whose feed.
        user: UserId,
        /// Its number.
        seq: u64,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Where the audit log ends: its entries follow.
    AuditEnd(AuditEnd),
    /// An entry of the audit log.
    Audit {
        /// Its number.
        seq: u64,
        /// What links it to the one before.
        mac: Mac,
        /// Its bytes.
        bytes: Bytes,
    },
    /// A part of a blob. Large values of the other items are blobs as well and do not come again.
    BlobPart {
        /// What all parts together hash to.
        hash: BlobHash,
        /// The part; never more than [`BLOB_PART_BYTES`].
        bytes: Bytes,
        /// Whether no part follows.
        last: bool,
    },
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doc { key, .. } => write!(f, "{:?} {}", key.kind, key.id),
            Self::Task { task, .. } => write!(f, "{task}"),
            Self::Record { task, seq, .. } => write!(f, "record {seq} of {task}"),
            Self::Feed { user, seq, .. } => write!(f, "entry {seq} of the feed of {user}"),
            Self::AuditEnd(_) => write!(f, "the end of the audit log"),
            Self::Audit { seq, .. } => write!(f, "entry {seq} of the audit log"),
            Self::BlobPart { hash, .. } => write!(f, "blob {hash}"),
        }
    }
}

/// How much of a blob is in one item: little enough to hold, enough that a line of it is worth its frame.
pub const BLOB_PART_BYTES: usize = 512 * 1024;

/// How many things there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemCounts {
    /// Documents.
    pub docs: u64,
    /// Tasks.
    pub tasks: u64,
    /// Records of tasks.
    pub records: u64,
    /// Entries of feeds.
    pub entries: u64,
    /// Entries of the audit log. Backups of older versions have none.
    #[serde(default)]
    pub audit: u64,
    /// Blobs that are not values of the others.
    pub blobs: u64,
    /// Their length in all.
    pub blob_bytes: u64,
}

/// Counts items as they pass, and holds them to their order and their hashes.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: ItemCounts,
    /// The task that records belong to, the number that the next one has, and the last there is.
    task: Option<(TaskId, u64, u64)>,
    feed: Option<(UserId, u64)>,
    /// The number that the next entry of the audit log has, and the last there is.
    audit: Option<(u64, u64)>,
    blob: Option<(BlobHash, Sha256)>,
}

impl Tally {
    /// Takes note of an item, or says what is wrong with it.
    pub(super) fn see(&mut self, item: &Item) -> Result<(), String> {
        if !matches!(item, Item::Record { .. }) {
            self.end_task()?;
        }
        if !matches!(item, Item::Audit { .. }) {
            self.end_audit()?;
        }
        if !matches!(item, Item::BlobPart { .. }) {
            self.end_blob()?;
        }
        match item {
            Item::Doc { .. } => self.counts.docs += 1,
            Item::Task { task, last_seq, .. } => {
                self.counts.tasks += 1;
                self.task = Some((*task, 1, *last_seq));
            }
            Item::Record { task, seq, .. } => self.see_record(*task, *seq)?,
            Item::Feed { user, seq, .. } => self.see_entry(*user, *seq)?,
            Item::AuditEnd(end) => self.audit = Some((1, end.seq)),
            Item::Audit { seq, .. } => self.see_audit(*seq)?,
            Item::BlobPart { hash, bytes, last } => self.see_part(*hash, bytes, *last)?,
        }
        Ok(())
    }

    /// Checks that nothing is missing at the end.
    pub(super) fn finish(&mut self) -> Result<ItemCounts, String> {
        self.end_task()?;
        self.end_audit()?;
        self.end_blob()?;
        Ok(self.counts)
    }

    fn see_record(&mut self, of: TaskId, found: u64) -> Result<(), String> {
        match &mut self.task {
            Some((task, next, last)) if *task == of && *next == found && found <= *last => *next += 1,
            Some(_) | None => return Err(format!("record {found} of {of} is out of order")),
        }
        self.counts.records += 1;
        Ok(())
    }

    fn see_entry(&mut self, of: UserId, found: u64) -> Result<(), String> {
        let next = self.feed.filter(|(user, _)| *user == of).map_or(1, |(_, seq)| seq + 1);
        if found != next {
            return Err(format!("entry {found} of the feed of {of} is out of order"));
        }
        self.feed = Some((of, found));
        self.counts.entries += 1;
        Ok(())
    }

    fn see_audit(&mut self, found: u64) -> Result<(), String> {
        match &mut self.audit {
            Some((next, last)) if *next == found && found <= *last => *next += 1,
            Some(_) | None => return Err(format!("entry {found} of the audit log is out of order")),
        }
        self.counts.audit += 1;
        Ok(())
    }

    fn see_part(&mut self, of: BlobHash, bytes: &[u8], last: bool) -> Result<(), String> {
        let (hash, mut hasher) = self.blob.take().unwrap_or_else(|| (of, Sha256::new()));
        if hash != of {
            return Err(format!("blob {hash} is cut off"));
        }
        hasher.update(bytes);
        self.counts.blob_bytes += bytes.len() as u64;
        if !last {
            self.blob = Some((hash, hasher));
            return Ok(());
        }
        self.counts.blobs += 1;
        match BlobHash::from_bytes(hasher.finalize().into()) == hash {
            true => Ok(()),
            false => Err(format!("the bytes of blob {hash} are not what was written")),
        }
    }

    fn end_task(&mut self) -> Result<(), String> {
        match self.task.take() {
            Some((task, next, last)) if next <= last => Err(format!("records {next} to {last} of {task} are missing")),
            Some(_) | None => Ok(()),
        }
    }

    fn end_audit(&mut self) -> Result<(), String> {
        match self.audit.take() {
            Some((next, last)) if next <= last => Err(format!("entries {next} to {last} of the audit log are missing")),
            Some(_) | None => Ok(()),
        }
    }

    fn end_blob(&mut self) -> Result<(), String> {
        self.blob.take().map_or(Ok(()), |(hash, _)| Err(format!("blob {hash} is cut off")))
    }
}
