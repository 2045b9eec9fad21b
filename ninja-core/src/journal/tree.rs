//! sled, and what must be known of it: one tree, batches only, and a clone of the handle for each thread.
//!
//! Five habits of the pinned version shape this module (read from its source and from tests):
//! - Without a flush interval every dropped iterator flushes the whole tree and swallows the error, so an interval is
//!   set that never comes. What is flushed, and when, is the checkpointer's decision alone.
//! - An iterator with an end bound walks on through the rest of the tree once it is past the bound, so scans have no
//!   end bound and stop by themselves.
//! - An iterator tells the cache of what it loads only after 32 leaves, and forgets the rest when it is dropped; what the
//!   cache was not told of it never lets go, until the tree is opened anew. So a [`Scan`] looks some of its entries up as well.
//! - After a flush that failed, the next one waits for ever, and the last handle to be dropped flushes; so after
//!   a failure one handle is leaked ([`Tree::abandon`]).
//! - What was written and flushed never leaves its cache, whatever its size (a leaf keeps the epoch of its last flush,
//!   and one that has any counts as not flushed yet); so the tree is opened anew from time to time ([`Tree::renew`]).
//!
//! It panics on some damaged files; every call from here is guarded, and a panic becomes [`StoreError::Corrupt`].

use std::{
    io::{self, ErrorKind},
    ops::RangeFrom,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    calls::{Calls, DiskCall, io_error},
    store::StoreError,
};

/// How many entries a leaf holds. A flush rewrites every leaf that changed, so writes to many tasks like small ones;
/// scans and the index in memory like large ones.
const LEAF_ENTRIES: usize = 128;

/// After how many entries a scan looks one up: a leaf that was split has twice as many.
const TOUCH_EVERY: usize = LEAF_ENTRIES / 4;

/// A handle for one thread.
pub(super) type Db = sled::Db<LEAF_ENTRIES>;

/// A change to the tree, applied whole or not at all.
pub(super) type Batch = sled::Batch;

/// A key and its value.
pub(super) type Entry = (sled::InlineArray, sled::InlineArray);

/// The tree, with handles lent to whoever reads or writes.
pub(super) struct Tree {
    config: sled::Config,
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    /// Boxed: a handle is large, and moves at every read.
    idle: Vec<Box<Db>>,
    lent: usize,
    /// Nothing is lent until this is over.
    renewing: bool,
    /// The handle that others are cloned from; `None` once closed.
    origin: Option<Db>,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

impl Tree {
    /// Opens or makes the tree.
    pub(super) fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        /// sled cannot be told "never"; it can be told "in a hundred years".
        const NEVER_MS: usize = 100 * 365 * 24 * 3600 * 1000;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity_bytes(cache_bytes)
            .flush_every_ms(Some(NEVER_MS))
            .zstd_compression_level(1);
        let origin = Some(open(&config)?);
        let pool = Mutex::new(Pool { idle: Vec::new(), lent: 0, renewing: false, origin });
        Ok(Self { config, pool, returned: Condvar::new() })
    }

    /// Reads with a lent handle.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut lent = self.lend()?;
        let Some(db) = lent.db.as_ref() else { return Err(closed()) };
        let result = catch_unwind(AssertUnwindSafe(|| read(db)));
        result.unwrap_or_else(|_| {
            // A handle that panicked may be in the middle of something: it is not used again.
            lent.db = None;
            Err(StoreError::Corrupt("the tree panicked in a read".to_owned()))
        })
    }

    /// Applies a batch. Only one thread may: sled takes its leaves' locks in an order that others would break.
    pub(super) fn apply(&self, batch: Batch, calls: &Calls) -> Result<(), StoreError> {
        let lent = self.lend()?;
        let Some(db) = lent.db.as_ref() else { return Err(closed()) };
        guarded("apply a batch", || calls.run(DiskCall::ApplyTree, Path::new(""), || db.apply_batch(batch)))
    }

    /// Makes what was applied durable.
    pub(super) fn flush(&self, calls: &Calls) -> Result<(), StoreError> {
        let lent = self.lend()?;
        let Some(db) = lent.db.as_ref() else { return Err(closed()) };
        flush(db, calls)
    }

    /// Flushes the tree and opens it anew, which gives back the memory of all that was written since it was opened. Readers
    /// and the writer wait meanwhile. `witness` is a key whose value must be the same before and after.
    pub(super) fn renew(&self, witness: &[u8], calls: &Calls) -> Result<(), StoreError> {
        let mut pool = self.pool();
        pool.renewing = true;
        while pool.lent > 0 {
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        let renewed = pool.renew(&self.config, witness, calls);
        pool.renewing = false;
        drop(pool);
        self.returned.notify_all();
        renewed
    }

    /// Waits until every lent handle is back, then lets go of the files.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        let origin = pool.origin.take();
        pool.idle.clear();
        while pool.lent > 0 {
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        drop(pool);
        drop(origin);
    }

    /// Leaks a handle, so that a tree whose state is unknown is never flushed.
    pub(super) fn abandon(&self) {
        std::mem::forget(self.pool().origin.clone());
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut pool = self.pool();
        while pool.renewing {
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        let db = match pool.idle.pop() {
            Some(db) => db,
            None => Box::new(pool.origin.clone().ok_or_else(closed)?),
        };
        pool.lent += 1;
        Ok(Lent { tree: self, db: Some(db) })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle on loan.
struct Lent<'a> {
    tree: &'a Tree,
    db: Option<Box<Db>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.tree.pool();
        pool.lent -= 1;
        match pool.origin {
            Some(_) => pool.idle.extend(self.db.take()),
            None => self.db = None,
        }
        if pool.renewing || pool.origin.is_none() {
            self.tree.returned.notify_all();
        }
    }
}

impl Pool {
    /// Does what [`Tree::renew`] says, with every handle back. After a failure to flush the old tree stays as it was.
    fn renew(&mut self, config: &sled::Config, witness: &[u8], calls: &Calls) -> Result<(), StoreError> {
        let origin = self.origin.as_ref().ok_or_else(closed)?;
        flush(origin, calls)?;
        let before = get(origin, witness)?;
        self.idle.clear();
        self.origin = None;
        let origin = self.origin.insert(open(config)?);
        match get(origin, witness)? == before {
            true => Ok(()),
            false => Err(StoreError::Corrupt("the tree was opened anew and is not what it was".to_owned())),
        }
    }
}

/// Reads the value of a key.
pub(super) fn get(db: &Db, key: &[u8]) -> Result<Option<sled::InlineArray>, StoreError> {
    db.get(key).map_err(read_error)
}

/// Walks the entries from `start` on, as long as their keys begin with `prefix`.
pub(super) fn scan<'a>(db: &'a Db, start: Vec<u8>, prefix: &'a [u8]) -> Scan<'a> {
    let range: RangeFrom<Vec<u8>> = start..;
    Scan { db, entries: db.range(range), prefix, passed: 0, unseen: None }
}

/// See [`scan`].
pub(super) struct Scan<'a> {
    db: &'a Db,
    entries: sled::Iter<LEAF_ENTRIES>,
    prefix: &'a [u8],
    passed: usize,
    /// The key of the entry that was passed last, unless it was looked up.
    unseen: Option<sled::InlineArray>,
}

impl Iterator for Scan<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match self.entries.next()? {
            Ok(entry) => entry,
            Err(error) => return Some(Err(read_error(error))),
        };
        self.unseen = Some(key.clone());
        let is_within = key.starts_with(self.prefix);
        if (self.passed.is_multiple_of(TOUCH_EVERY) || !is_within)
            && let Err(error) = self.look_up()
        {
            return Some(Err(error));
        }
        self.passed += 1;
        is_within.then_some(Ok((key, value)))
    }
}

impl Scan<'_> {
    fn look_up(&mut self) -> Result<(), StoreError> {
        self.unseen.take().map_or(Ok(()), |key| get(self.db, &key).map(drop))
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        // For the cache's sake alone, so not where a damaged tree made the walk panic: a second one would end the process.
        if !std::thread::panicking() {
            self.look_up().ok();
        }
    }
}

fn flush(db: &Db, calls: &Calls) -> Result<(), StoreError> {
    guarded("flush", || calls.run(DiskCall::FlushTree, Path::new(""), || db.flush().map(|_| ())))
}

/// Makes an error of a panic.
pub(super) fn guarded<T>(what: &str, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(StoreError::Corrupt(format!("the tree panicked; it was to {what}"))))
}

fn open(config: &sled::Config) -> Result<Db, StoreError> {
    guarded("open", || config.open().map_err(|error| open_error(&config.path, error)))
}

fn open_error(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::OutOfMemory
        | ErrorKind::WouldBlock => io_error("open the tree", error),
        _ => StoreError::Corrupt(format!("tree {}: {error}", path.display())),
    }
}

/// sled tells damage and disk errors apart by the kind alone.
fn read_error(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreError::Corrupt(format!("tree: {error}")),
        _ => io_error("read the tree", error),
    }
}

fn closed() -> StoreError {
    io_error("read the tree", io::Error::other("the store is closed"))
}
