//! The store on disk: a write-ahead log, a tree and blobs in one directory that one engine holds.
//!
//! ```text
//! lock  format  ballast  log/<id>.log  tree/…  blobs/ab/cdef…  snapshots/ab/<task>  incoming/  scratch/
//! ```
//!
//! This module opens and closes; writing is in `writer`, forgetting the log in `checkpointer`, reading in `lookup`.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

use super::{
    applier,
    audit::{AuditEnd, AuditRow, ChainKey, Links},
    backlog::{BACKLOG_BYTES_MAX, Backlog},
    blobs::Blobs,
    calls::Calls,
    capture::{self, CaptureRequest, Hold, Holds},
    change::Change,
    export::{self, Sink},
    health::Health,
    item::Item,
    lookup,
    numbers::{Counters, StoreNumbers, StoreSize, SyncWatch},
    opening::{self, Opened},
    room::{self, Room},
    snapshots::Snapshots,
    store::{Commit, Committed, DocKey, DocKind, HeadPage, Store, StoreError},
    tree::Tree,
    writer::{Request, WriterMsg},
};
use crate::api::{BlobHash, TaskId, UserId};

/// How many bytes of commits may wait for the writer; whoever comes then waits for room.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// What a waiting commit costs besides its encoding.
const REQUEST_BYTES: usize = 256;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// How many bytes of the tree are kept in memory, as sled counts them; what was written since the tree was opened
    /// comes on top.
    pub cache_bytes: usize,
    /// The tree is opened anew when so many bytes of log went into it, because what is written stays in memory until then.
    pub renew_bytes: u64,
    /// How long the log may hold a change before a checkpoint forgets it.
    pub checkpoint_interval: Duration,
    /// How long a log segment may grow before a checkpoint forgets it.
    pub segment_bytes: u64,
    /// How much room is kept in reserve, so that a disk that has run full can still be worked with. 0 keeps none.
    pub reserve_bytes: u64,
    /// Who is told of each sync of the log.
    pub on_sync: SyncWatch,
    /// What a test puts around storage calls.
    pub(super) calls: Calls,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            renew_bytes: 128 * 1024 * 1024,
            checkpoint_interval: Duration::from_millis(500),
            segment_bytes: 64 * 1024 * 1024,
            reserve_bytes: 16 * 1024 * 1024,
            on_sync: SyncWatch::default(),
            calls: Calls::default(),
        }
    }
}

/// A store in a directory of its own.
///
/// Dropping it waits for the last checkpoint and blocks meanwhile; [`Store::close`] waits without blocking.
#[derive(Debug)]
pub struct DiskStore {
    directory: PathBuf,
    tree: Arc<Tree>,
    blobs: Arc<Blobs>,
    snapshots: Snapshots,
    health: Health,
    backlog: Arc<Backlog>,
    counters: Arc<Counters>,
    disk: Room,
    room: Arc<Semaphore>,
    queue: Sender<WriterMsg>,
    running: Mutex<Option<Running>>,
    captures: AtomicU64,
    holds: Holds,
}

/// The threads of an open store.
#[derive(Debug)]
struct Running {
    threads: [JoinHandle<()>; 2],
    released: oneshot::Receiver<()>,
}

impl DiskStore {
    /// Opens a directory, or makes it: takes its lock, replays what the log has and the tree has not. Blocks; waits
    /// up to 900 ms for the lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] if another engine holds it, [`StoreError::Version`] if a newer version wrote it,
    /// [`StoreError::Corrupt`] if it is damaged (and then nothing in it has been changed).
    pub fn open(directory: &Path, options: DiskOptions) -> Result<Self, StoreError> {
        match Self::open_once(directory, options.clone()) {
            Err(error) if error.is_disk_full() && room::give_up_reserve(directory) => {
                tracing::warn!(%error, "the disk is full; opening with the room kept in reserve");
                Self::open_once(directory, options)
            }
            opened => opened,
        }
    }

    fn open_once(directory: &Path, options: DiskOptions) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel();
        let Opened { tree, blobs, backlog, health, writer, checkpointer, room: disk, holds, counters, lock } =
            opening::open(directory, options, queue.clone(), waiting)?;
        let (release, released) = oneshot::channel();
        let (ended, shown) = (Arc::clone(&backlog), Arc::clone(&backlog));
        let writer = opening::spawn("ninja-journal", health.clone(), || writer.run(), move || ended.finish())?;
        let (last_tree, last_health) = (Arc::clone(&tree), health.clone());
        let let_go = move || {
            if !last_health.is_good() {
                last_tree.abandon();
                backlog.wake();
            }
            last_tree.close();
            drop(lock);
            // Nobody waits for this if the store was dropped.
            let _: Result<_, _> = release.send(());
        };
        let checkpointer = opening::spawn("ninja-checkpoint", health.clone(), || checkpointer.run(), let_go)?;
        let running = Mutex::new(Some(Running { threads: [writer, checkpointer], released }));
        let (snapshots, room) = (Snapshots::of(directory), Arc::new(Semaphore::new(QUEUE_BYTES)));
        Ok(Self {
            directory: directory.to_owned(),
            tree,
            blobs,
            snapshots,
            health,
            backlog: shown,
            counters,
            disk,
            room,
            queue,
            running,
            holds,
            captures: AtomicU64::new(0),
        })
    }

    /// Commits, with the links that the entries for the audit log bring from another store, if they do.
    pub(super) async fn send(&self, commit: Commit, links: Option<Links>) -> Result<Committed, StoreError> {
        self.health.check()?;
        self.disk.check()?;
        let change = Change::new(commit)?;
        let body = change.encode();
        let weight = u32::try_from(body.len() + REQUEST_BYTES).expect("a commit is bounded far below 4 GiB");
        let permit = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let request = Box::new(Request { change, body, links, permit, reply });
        self.queue.send(WriterMsg::Commit(request)).map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| {
            self.health.check()?;
            Err(closed())
        })
    }

    /// Hands on all that is no blob, as of one moment, and returns the blobs that were values of it.
    pub(super) fn entries(&self, each: Sink<'_>) -> Result<HashSet<BlobHash>, StoreError> {
        let (captured, _hold) = self.capture()?;
        export::entries(&self.tree, &self.blobs, captured, each)
    }

    /// Returns the blobs. Whoever removes any must know that nobody writes meanwhile.
    pub(super) fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Has the writer copy what is ever changed in place. What the copy counts can be read as long as the hold is there.
    fn capture(&self) -> Result<(File, Hold), StoreError> {
        let hold = self.holds.hold(self.queue.clone());
        let number = self.captures.fetch_add(1, Ordering::Relaxed);
        let file = capture::nameless_file(self.blobs.scratch(), number)?;
        let (reply, answer) = mpsc::sync_channel(1);
        self.queue.send(WriterMsg::Capture(CaptureRequest { file, reply })).map_err(|_| closed())?;
        Ok((answer.recv().map_err(|_| closed())??, hold))
    }

    /// Returns how many records of a task are in the tree, whether it has a head or not.
    #[cfg(test)]
    pub(super) fn records_in_tree(&self, task: TaskId) -> usize {
        use super::{keys, tree};
        let prefix = keys::log(task);
        self.tree.read(|db| Ok(tree::scan(db, prefix.clone(), &prefix).count())).unwrap_or(0)
    }

    /// Tells the threads to end, once.
    fn end(&self) -> Option<Running> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        self.room.close();
        // A writer that has gone has ended already.
        drop(self.queue.send(WriterMsg::Close));
        Some(running)
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        let Some(running) = self.end() else { return };
        for thread in running.threads {
            // A thread's panic has been recorded as the store's failure.
            let _: Result<_, _> = thread.join();
        }
    }
}

impl Store for DiskStore {
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Committed, StoreError>> {
        Box::pin(self.send(commit, None))
    }

    fn read_log(&self, task: TaskId, from_seq: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        lookup::log(&self.tree, &self.blobs, task, from_seq, limit)
    }

    fn read_head(&self, task: TaskId) -> Result<Option<Bytes>, StoreError> {
        lookup::head(&self.tree, &self.blobs, task)
    }

    fn list_heads(&self, owner: UserId, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        lookup::heads_of(&self.tree, &self.blobs, owner, after, limit)
    }

    fn list_unfinished(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        lookup::unfinished(&self.tree, &self.blobs, after, limit)
    }

    fn list_tasks(&self, after: Option<TaskId>, limit: usize) -> Result<HeadPage, StoreError> {
        lookup::all_heads(&self.tree, &self.blobs, after, limit)
    }

    fn read_feed(&self, user: UserId, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        lookup::feed(&self.tree, &self.blobs, user, after, limit)
    }

    fn read_doc(&self, key: &DocKey) -> Result<Option<Bytes>, StoreError> {
        lookup::doc(&self.tree, &self.blobs, key)
    }

    fn list_docs(&self, kind: DocKind, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        lookup::docs(&self.tree, &self.blobs, kind, prefix, "", usize::MAX)
    }

    fn page_docs(
        &self,
        kind: DocKind,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Bytes)>, StoreError> {
        lookup::docs(&self.tree, &self.blobs, kind, prefix, after, limit)
    }

    fn chain_audit(&self, key: ChainKey) {
        // A store that is closed commits nothing that would be linked.
        drop(self.queue.send(WriterMsg::ChainAudit(key)));
    }

    fn read_audit(&self, from_seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        lookup::audit(&self.tree, &self.blobs, from_seq, limit)
    }

    fn audit_end(&self) -> Result<Option<AuditEnd>, StoreError> {
        applier::audit_end(&self.tree)
    }

    fn read_snapshot(&self, task: TaskId) -> Option<(u64, Bytes)> {
        self.snapshots.read(task)
    }

    fn keep_snapshot(&self, task: TaskId, seq: u64, bytes: Bytes) {
        // A closed directory may be somebody else's.
        if self.health.is_good() && !self.room.is_closed() {
            self.snapshots.keep(task, seq, &bytes);
            // One that comes after its task was forgotten has come too late to be removed with it.
            if lookup::head(&self.tree, &self.blobs, task).is_ok_and(|head| head.is_none()) {
                self.snapshots.remove(task);
            }
        }
    }

    fn open_blob(&self, hash: BlobHash) -> Result<Option<File>, StoreError> {
        self.blobs.open_checked(hash)
    }

    fn blob_path(&self, hash: BlobHash) -> Result<PathBuf, StoreError> {
        self.blobs.checked_path(hash)
    }

    fn put_blob_file(&self, file: &Path) -> Result<(BlobHash, u64), StoreError> {
        self.health.check()?;
        if self.room.is_closed() {
            return Err(closed());
        }
        self.blobs.adopt(file, &self.health)
    }

    fn scratch_dir(&self) -> &Path {
        self.blobs.scratch()
    }

    fn export(&self, each: &mut dyn FnMut(Item) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (captured, _hold) = self.capture()?;
        export::all(&self.tree, &self.blobs, captured, each)
    }

    fn failure(&self) -> Option<StoreError> {
        self.health.failure().or_else(|| self.disk.check().err())
    }

    fn numbers(&self) -> StoreNumbers {
        StoreNumbers {
            queued_bytes: QUEUE_BYTES.saturating_sub(self.room.available_permits()) as u64,
            queued_bytes_max: QUEUE_BYTES as u64,
            backlog_bytes: self.backlog.bytes(),
            backlog_bytes_max: BACKLOG_BYTES_MAX,
            room_bytes: self.disk.known(),
            ..self.counters.read()
        }
    }

    fn size(&self) -> StoreSize {
        StoreSize::of(&self.directory)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            if let Some(running) = self.end() {
                // The sender goes without a word only in a panic, which is recorded.
                let _: Result<_, _> = running.released.await;
            }
            self.health.failure().map_or(Ok(()), Err)
        })
    }
}

fn closed() -> StoreError {
    StoreError::ReadOnly("the store is closed".to_owned())
}
