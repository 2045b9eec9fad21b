//! The store's contract, shaped by the work: commit, read a log, read heads, read a feed, keep documents and blobs.
//!
//! One contract suite (`contract.rs`) runs against every implementation. Stores know bytes, owners and numbers;
//! what the records mean is the machine's business.

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{
    audit::{AuditEnd, AuditRow, ChainKey},
    item::Item,
    numbers::{StoreNumbers, StoreSize},
};
use crate::api::{BlobHash, ErrorCode, TaskId, UserId};

/// One atomic change: all of it is durable and visible, or none of it.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Records to append to a task's log, and the task's new head.
    pub append: Option<Append>,
    /// Entries for users' feeds; the writer numbers them.
    pub feed: Vec<(UserId, Bytes)>,
    /// Documents to put.
    pub puts: Vec<(DocKey, Bytes)>,
    /// Documents to delete.
    pub deletes: Vec<DocKey>,
    /// Numbers to add to rows of counters, after all documents were put and deleted.
    pub counts: Vec<Count>,
    /// Entries for the audit log, which tell of this very change; the writer numbers and chains them.
    pub audit: Vec<Bytes>,
    /// Tasks to forget: heads, records and snapshots. The blobs of their large values stay until the directory is compacted.
    pub forget: Vec<Forget>,
    /// Small blobs that travel in the frame. Larger ones are written with [`Store::put_blob_file`] before.
    pub blobs: Vec<Bytes>,
}

/// Numbers to add to one row of counters: the document of kind [`DocKind::Count`] with this id. A row that is not there has
/// zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Which row.
    pub row: String,
    /// What is added to each of its numbers.
    pub add: Vec<i64>,
}

/// A task to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forget {
    /// The task. The same commit does not append to it.
    pub task: TaskId,
    /// The number of its last record. The commit is refused with [`StoreError::Conflict`] where it is another.
    pub last_seq: u64,
}

/// Records for one task's log.
#[derive(Debug, Clone)]
pub struct Append {
    /// The task.
    pub task: TaskId,
    /// The sequence number that the first record gets. The commit is refused with [`StoreError::Conflict`]
    /// unless it is one more than the last record's (1 for a new task).
    pub first_seq: u64,
    /// The records.
    pub records: Vec<Bytes>,
    /// The head that replaces the task's present one.
    pub head: HeadUpdate,
}

/// What the store must know of a task to list and recover it, with the head's own bytes.
#[derive(Debug, Clone)]
pub struct HeadUpdate {
    /// Whose task it is.
    pub owner: UserId,
    /// Whether it is in the set of unfinished tasks that recovery reads.
    pub unfinished: bool,
    /// The head, opaque to the store.
    pub bytes: Bytes,
}

/// The kind of a document. Tags and names are stored: never renumbered or renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DocKind {
    /// Facts about the installation, such as the local owner.
    Installation = 1,
    /// An account.
    User = 2,
    /// An API key.
    ApiKey = 3,
    /// An uploaded file.
    File = 4,
    /// A row of counters.
    Count = 5,
    /// Settings of a provider, with its key sealed.
    Provider = 6,
    /// A login and what it may be renewed with.
    Session = 7,
    /// A token with which somebody sets a password, by its digest.
    Token = 8,
    /// What a request with an `Idempotency-Key` made.
    Idempotency = 9,
    /// Settings that are changed while the engine runs.
    Setting = 10,
    /// Whose an e-mail address is.
    Email = 11,
    /// Where an open question of a task stands.
    Question = 12,
    /// That an uploaded file is a user's: what lists a user's files.
    UserFile = 13,
}

/// The address of a document: its kind and an id unique within the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey {
    /// The kind.
    pub kind: DocKind,
    /// The id.
    pub id: String,
}

impl DocKey {
    /// Makes a key.
    pub fn new(kind: DocKind, id: impl ToString) -> Self {
        Self { kind, id: id.to_string() }
    }
}

/// What a commit was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The numbers of the feed entries, in the order of [`Commit::feed`]. Each user's feed starts at 1.
    pub feed_seqs: Vec<u64>,
}

/// A failure of the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The log has moved on: somebody else appended.
    #[error("task {task} is at sequence {found}, not {expected}")]
    Conflict {
        /// The task.
        task: TaskId,
        /// What the append expected as its first number.
        expected: u64,
        /// What it would have to be.
        found: u64,
    },
    /// The store failed earlier and takes no more writes. Reads go on.
    #[error("the store is read-only since a write failed: {0}")]
    ReadOnly(String),
    /// A commit has entries for the audit log, and nothing to link them with was given to the store.
    #[error(
        "the audit log cannot be written, and nothing is done that has to stand in it: `ninja audit verify` says why"
    )]
    NoAuditKey,
    /// Stored bytes are not what was written. `ninja db` tells what to do.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// Another engine holds the directory.
    #[error("the data directory is in use by {holder}")]
    Locked {
        /// The process that holds it, as it wrote itself into the lock file.
        holder: String,
    },
    /// The directory was written by a version this one does not read.
    #[error("the data directory has format {found}; this version reads format {supported}")]
    Version {
        /// What was found.
        found: u32,
        /// What is read.
        supported: u32,
    },
    /// The commit is larger than the store takes.
    #[error("a commit of {bytes} bytes is larger than {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The disk said no.
    #[error("failed to {doing}: {error}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: std::sync::Arc<std::io::Error>,
    },
}

impl StoreError {
    /// Returns whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        self.code() == ErrorCode::DiskFull
    }

    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict { .. } | Self::NoAuditKey => ErrorCode::Conflict,
            Self::ReadOnly(_) => ErrorCode::ReadOnly,
            Self::Corrupt(_) | Self::Version { .. } => ErrorCode::Corrupt,
            Self::Locked { .. } => ErrorCode::AlreadyRunning,
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Io { error, .. } if is_full(error.kind()) => ErrorCode::DiskFull,
            Self::Io { .. } => ErrorCode::ReadOnly,
        }
    }
}

fn is_full(kind: std::io::ErrorKind) -> bool {
    matches!(kind, std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// One page of task heads, newest task first.
#[derive(Debug, Clone, Default)]
pub struct HeadPage {
    /// The heads' bytes with their tasks.
    pub heads: Vec<(TaskId, Bytes)>,
    /// The task to go on after; `None` on the last page.
    pub next: Option<TaskId>,
}

/// A durable store. Reads are quick and may be called from async code; `commit` waits for the disk.
///
/// A future returned by `commit` that is dropped does not undo the commit: its outcome is then unknown to the caller.
pub trait Store: Send + Sync + 'static {
    /// Makes a change durable. Never times out: its outcome would be unknown.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>>;

    /// Reads up to `limit` records of a task's log whose number is at least `from_seq`.
    fn read_log(&self, task: TaskId, from_seq: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// Reads a task's head.
    fn read_head(&self, task: TaskId) -> Result<Option<Bytes>, StoreError>;

    /// Lists an owner's tasks, newest first, after a task or from the newest.
    fn list_heads(&self, owner: UserId, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError>;

    /// Lists unfinished tasks of all owners in id order, after a task or from the first.
    fn list_unfinished(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError>;

    /// Lists tasks of all owners in id order, after a task or from the first.
    fn list_tasks(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError>;

    /// Reads up to `limit` entries of a user's feed whose number is greater than `after`.
    fn read_feed(&self, user: UserId, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// Reads a document.
    fn read_doc(&self, key: &DocKey) -> Result<Option<Bytes>, StoreError>;

    /// Lists the documents of a kind whose ids begin with `prefix`, in id order.
    fn list_docs(&self, kind: DocKind, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// Lists up to `limit` of these documents, in id order, whose ids come after `after`; from the first where it is empty.
    fn page_docs(
        &self,
        kind: DocKind,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// Gives the key with which entries for the audit log are linked from now on. A commit that has any and comes before is
    /// refused with [`StoreError::NoAuditKey`].
    fn chain_audit(&self, key: ChainKey);

    /// Reads up to `limit` entries of the audit log whose number is at least `from_seq`. One that is missing is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where one of them does not read.
    fn read_audit(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// Returns where the audit log ends. `None` where it was not begun.
    fn audit_end(&self) -> Result<Option<AuditEnd>, StoreError>;

    /// Returns the snapshot that was kept of a task: how many records it folds, and its bytes. `None` where there is none,
    /// or it is torn, damaged or of another version.
    ///
    /// The reader must not use one that folds more records than the task has: snapshots are not synced with the log, and a
    /// directory that was repaired or put together by hand can have kept one without its records.
    fn read_snapshot(&self, task: TaskId) -> Option<(u64, Bytes)>;

    /// Keeps a snapshot of a task, folded from its first `seq` records, all of them committed. It replaces the one before. It is
    /// not durable and may be gone at any time; a store that takes no more writes keeps none, nor of a task that was forgotten.
    fn keep_snapshot(&self, task: TaskId, seq: u64, bytes: Bytes);

    /// Opens a blob for reading. `None` where there is none. Blocks, and reads it through the first time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where its bytes are not what its address says.
    fn open_blob(&self, hash: BlobHash) -> Result<Option<std::fs::File>, StoreError>;

    /// Returns the path of a blob, to bind it read-only into a sandbox. Blocks, and reads it through the first time.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] where it is missing, or its bytes are not what its address says.
    fn blob_path(&self, hash: BlobHash) -> Result<std::path::PathBuf, StoreError>;

    /// Moves a finished file (on the same file system, see [`Store::scratch_dir`]) into the blobs, synced, and returns its address and size.
    fn put_blob_file(&self, file: &std::path::Path) -> Result<(BlobHash, u64), StoreError>;

    /// Returns the directory in which files for [`Store::put_blob_file`] are made. Emptied at start.
    fn scratch_dir(&self) -> &std::path::Path;

    /// Hands on everything the store holds, as of one moment while this runs, however much is written meanwhile. Blocks.
    ///
    /// # Errors
    ///
    /// Those of `each`, and [`StoreError::Corrupt`] where something is damaged or missing.
    fn export(&self, each: &mut dyn FnMut(Item) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// Returns why the store does not write, if it does not. A full disk is no reason any more once there is room again; every
    /// other is one until the store is opened anew.
    fn failure(&self) -> Option<StoreError>;

    /// Returns how the store stands. Cheap; zeros where nobody counts.
    fn numbers(&self) -> StoreNumbers {
        StoreNumbers::default()
    }

    /// Measures what the store takes on the disk. Blocks, for as long as it takes to look at every file.
    fn size(&self) -> StoreSize {
        StoreSize::default()
    }

    /// Waits until everything is checkpointed, then releases the directory. Later commits are refused.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
