//! Opens a data directory: checks first, then repairs, then replays, and only then lets anybody write.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use super::{
    applier::{Applier, Linking},
    backlog::{Backlog, Retired},
    blobs::{Blobs, make_directory},
    calls::{Calls, io_error},
    capture::Holds,
    change::Change,
    checkpointer::Checkpointer,
    directory::{DirectoryLock, check_format},
    disk::DiskOptions,
    health::Health,
    numbers::Counters,
    room::Room,
    snapshots::Snapshots,
    store::StoreError,
    tree::{Batch, Tree},
    wal::{Log, Stamp, Survey},
    writer::{Writer, WriterMsg},
};
use crate::api::BlobHash;

/// How many changes are replayed in one batch.
const REPLAY_BATCH: usize = 1024;

/// An open directory, and what its threads will run.
pub(super) struct Opened {
    pub(super) tree: Arc<Tree>,
    pub(super) blobs: Arc<Blobs>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) health: Health,
    pub(super) writer: Writer,
    pub(super) checkpointer: Checkpointer,
    pub(super) room: Room,
    pub(super) holds: Holds,
    pub(super) counters: Arc<Counters>,
    pub(super) lock: DirectoryLock,
}

/// Opens a directory.
pub(super) fn open(
    directory: &Path,
    options: DiskOptions,
    queue: Sender<WriterMsg>,
    waiting: Receiver<WriterMsg>,
) -> Result<Opened, StoreError> {
    let (log, tree_path) = (directory.join("log"), directory.join("tree"));
    let calls = options.calls;
    make_directory(directory).map_err(|error| io_error("make the data directory", error))?;
    let lock = DirectoryLock::take(directory)?;
    check_format(directory, tree_path.exists())?;
    make_directory(&log).map_err(|error| io_error("make the log's directory", error))?;
    let survey = Survey::take(&log)?;

    make_directory(&tree_path).map_err(|error| io_error("make the tree's directory", error))?;
    let tree = Arc::new(Tree::open(&tree_path, options.cache_bytes)?);
    let mut applier = Applier::new(Arc::clone(&tree));
    survey.check_against(applier.position()?)?;
    survey.repair(&calls)?;
    let blobs = Arc::new(Blobs::open(directory, calls.clone())?);
    let restored = replay(&survey, &mut applier, &blobs, &calls).inspect_err(|_| tree.abandon())?;
    calls.sync_directory(directory)?;

    let (health, backlog) = (Health::default(), Arc::new(Backlog::default()));
    let position = survey.last_position();
    let first = Log::create(&log, survey.next_id(), position + 1, calls.clone())?;
    hand_over(&survey, restored, &backlog);
    let room = Room::reserve(directory, options.reserve_bytes);
    let holds = Holds::default();
    let checkpointer = Checkpointer {
        tree: Arc::clone(&tree),
        renew_bytes: options.renew_bytes,
        written: 0,
        blobs: Arc::clone(&blobs),
        backlog: Arc::clone(&backlog),
        writer: queue,
        health: health.clone(),
        room: room.clone(),
        calls: calls.clone(),
        log,
        every: options.checkpoint_interval,
    };
    let counters = Arc::new(Counters::default());
    let writer = Writer {
        queue: waiting,
        applier,
        log: first,
        position,
        blobs: Arc::clone(&blobs),
        backlog: Arc::clone(&backlog),
        health: health.clone(),
        room: room.clone(),
        calls,
        snapshots: Snapshots::of(directory),
        holds: holds.clone(),
        counters: Arc::clone(&counters),
        on_sync: options.on_sync,
        chain_key: None,
        segment_bytes: options.segment_bytes,
        unsynced: HashSet::new(),
    };
    Ok(Opened { tree, blobs, backlog, health, writer, checkpointer, room, holds, counters, lock })
}

/// Starts a thread whose panic is the store's failure. `after` runs either way.
pub(super) fn spawn(
    name: &str,
    health: Health,
    run: impl FnOnce() + Send + 'static,
    after: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(run)).is_err() {
            health.fail(StoreError::Corrupt("a thread of the store panicked".to_owned()));
        }
        after();
    };
    thread::Builder::new().name(name.to_owned()).spawn(guarded).map_err(|error| io_error("start a thread", error))
}

/// Brings the tree and the blobs to where the log is, and returns the blobs that the log carries. Those are checked
/// even where the tree has the change: the tree may have been flushed before they were synced.
fn replay(
    survey: &Survey,
    applier: &mut Applier,
    blobs: &Blobs,
    calls: &Calls,
) -> Result<HashSet<BlobHash>, StoreError> {
    let applied = applier.position()?;
    let (mut restored, mut batch, mut staged) = (HashSet::new(), Batch::default(), 0);
    survey.replay(|stamp, change| {
        for (hash, bytes) in change.all_blobs() {
            blobs.restore(hash, bytes)?;
            restored.insert(hash);
        }
        if stamp.position > applied {
            admit_again(applier, &stamp, &change, &mut batch)?;
            staged += 1;
        }
        if staged == REPLAY_BATCH {
            staged = 0;
            applier.trim();
            applier.tree().apply(std::mem::take(&mut batch), calls)?;
        }
        Ok(())
    })?;
    if staged > 0 {
        applier.tree().apply(batch, calls)?;
    }
    applier.look_for_buried()?;
    Ok(restored)
}

fn admit_again(applier: &mut Applier, stamp: &Stamp, change: &Change, batch: &mut Batch) -> Result<(), StoreError> {
    let damaged = |what: String| StoreError::Corrupt(format!("log position {}: {what}", stamp.position));
    let linking = Linking::Known(stamp.links.as_ref());
    let admitted = applier.admit(change, stamp.position, linking, batch);
    let admitted = admitted.map_err(|error| damaged(error.to_string()))?;
    match admitted.feed_seqs == stamp.feed_seqs {
        true => Ok(()),
        false => Err(damaged("its feed entries are numbered otherwise".to_owned())),
    }
}

fn hand_over(survey: &Survey, blobs: HashSet<BlobHash>, backlog: &Backlog) {
    let (segments, lengths): (Vec<_>, Vec<u64>) = survey.standing().into_iter().unzip();
    if !segments.is_empty() {
        backlog.retire(Retired { segments, bytes: lengths.iter().sum(), blobs });
    }
}
