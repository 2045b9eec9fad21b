//! The writer: a thread that makes commits durable in the order they came, many with one sync.
//!
//! It gathers what waits, checks and numbers it, writes all frames with one write, syncs once, applies one batch to
//! the tree, and only then answers. It is a thread and not an actor: if it fails, nothing may restart it and go on as
//! if nothing had been; the store is read-only from then on.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    applier::{Admitted, Applier, Linking},
    audit::{ChainKey, Links},
    backlog::{Backlog, Retired},
    blobs::Blobs,
    calls::Calls,
    capture::{CaptureRequest, Holds},
    change::Change,
    health::Health,
    numbers::{Counters, SyncWatch, Synced},
    room::Room,
    snapshots::Snapshots,
    store::{Committed, StoreError},
    tree::Batch,
    wal::{AppendError, Log, Stamp},
};
use crate::api::BlobHash;

/// How many bytes of frames are gathered for one write: enough that a sync is shared, little enough that those who
/// came first do not wait long.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// What the writer is told.
pub(super) enum WriterMsg {
    /// Make a change durable.
    Commit(Box<Request>),
    /// Let the checkpoint have what the current segment holds.
    Rotate,
    /// Link entries for the audit log with this key from now on.
    ChainAudit(ChainKey),
    /// Copy what a backup needs of this moment.
    Capture(CaptureRequest),
    /// Nobody reads any more what a copy counts.
    Released,
    /// Finish what came before this, and end.
    Close,
}

/// A change with what its sender waits on.
pub(super) struct Request {
    /// The change.
    pub(super) change: Change,
    /// Its encoding.
    pub(super) body: Vec<u8>,
    /// What links its entries for the audit log, where another store linked them.
    pub(super) links: Option<Links>,
    /// Its share of the queue, given back with the answer.
    pub(super) permit: OwnedSemaphorePermit,
    /// Where the answer goes. Nobody may be there any more.
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) queue: Receiver<WriterMsg>,
    pub(super) applier: Applier,
    pub(super) log: Log,
    /// The position of the last synced frame.
    pub(super) position: u64,
    pub(super) blobs: Arc<Blobs>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) health: Health,
    pub(super) room: Room,
    pub(super) calls: Calls,
    pub(super) snapshots: Snapshots,
    /// Whoever reads what a copy counts, so that nothing of it goes meanwhile.
    pub(super) holds: Holds,
    pub(super) counters: Arc<Counters>,
    pub(super) on_sync: SyncWatch,
    /// What entries for the audit log are linked with, once that was given.
    pub(super) chain_key: Option<ChainKey>,
    /// A segment is retired when it is longer than this.
    pub(super) segment_bytes: u64,
    /// Blobs written for frames of the current segment, not synced yet.
    pub(super) unsynced: HashSet<BlobHash>,
}

/// Whether the writer goes on after a group.
enum After {
    GoOn,
    Rotate,
    ChainAudit(ChainKey),
    Capture(CaptureRequest),
    Close,
}

impl Writer {
    /// Runs until it is told to close, or everyone who could send has gone.
    pub(super) fn run(mut self) {
        let mut frames = Vec::new();
        while let Some(msg) = self.next() {
            let (group, after) = self.gather(msg);
            if !group.is_empty() {
                self.commit(group, &mut frames);
                self.clear_buried();
            }
            match after {
                After::GoOn if self.log.bytes() < self.segment_bytes => {}
                After::GoOn | After::Rotate => self.rotate(),
                After::ChainAudit(key) => self.chain_key = Some(key),
                After::Capture(request) => request.serve(self.applier.tree()),
                After::Close => break,
            }
        }
        self.rotate();
    }

    /// Waits for what comes next, and clears up meanwhile.
    fn next(&mut self) -> Option<WriterMsg> {
        while self.may_clear() {
            match self.queue.try_recv() {
                Ok(msg) => return Some(msg),
                Err(TryRecvError::Empty) => self.clear_buried(),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
        self.queue.recv().ok()
    }

    fn may_clear(&self) -> bool {
        self.applier.has_buried() && self.health.is_good() && !self.holds.are_there()
    }

    /// Takes out some of what was forgotten. It is in no log: the tree says itself what is left to do.
    fn clear_buried(&mut self) {
        if !self.may_clear() {
            return;
        }
        let Self { applier, snapshots, .. } = self;
        if let Err(error) = applier.clear_buried(&self.calls, |task| snapshots.remove(task)) {
            self.fail(error);
        }
    }

    fn gather(&self, first: WriterMsg) -> (Vec<Request>, After) {
        let (mut group, mut bytes) = (Vec::new(), 0);
        let mut next = Ok(first);
        loop {
            match next {
                Ok(WriterMsg::Commit(request)) => {
                    bytes += request.body.len();
                    group.push(*request);
                }
                Ok(WriterMsg::Rotate) => return (group, After::Rotate),
                Ok(WriterMsg::ChainAudit(key)) => return (group, After::ChainAudit(key)),
                Ok(WriterMsg::Capture(request)) => return (group, After::Capture(request)),
                Ok(WriterMsg::Released) => return (group, After::GoOn),
                Ok(WriterMsg::Close) => return (group, After::Close),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return (group, After::GoOn),
            }
            if bytes >= GROUP_BYTES {
                return (group, After::GoOn);
            }
            next = self.queue.try_recv();
        }
    }

    fn commit(&mut self, group: Vec<Request>, frames: &mut Vec<u8>) {
        self.backlog.wait_for_room(&self.health);
        let mut answers = match self.health.check().and_then(|()| self.room.check()) {
            Ok(()) => self.write(&group, frames),
            Err(refused) => vec![Err(refused); group.len()],
        };
        frames.clear();
        frames.shrink_to(GROUP_BYTES);
        self.applier.trim();
        for (request, answer) in group.into_iter().zip(answers.drain(..)) {
            drop(request.permit);
            // Nobody waits for the answer if the caller has gone.
            let _: Result<_, _> = request.reply.send(answer);
        }
    }

    /// Makes a group durable, and returns an answer for each of it.
    fn write(&mut self, group: &[Request], frames: &mut Vec<u8>) -> Vec<Result<Committed, StoreError>> {
        let (mut batch, mut position) = (Batch::default(), self.position);
        let mut answers = Vec::with_capacity(group.len());
        for request in group {
            let linking = match &request.links {
                Some(links) => Linking::Known(Some(links)),
                None => Linking::With(self.chain_key.as_ref()),
            };
            let admitted = self.applier.admit(&request.change, position + 1, linking, &mut batch);
            answers.push(admitted.map(|Admitted { feed_seqs, links }| {
                position += 1;
                let stamp = Stamp { position, synced: self.position, feed_seqs, links };
                stamp.encode_frame(self.log.salt(), &request.body, frames);
                Committed { feed_seqs: stamp.feed_seqs }
            }));
        }
        if position == self.position {
            return answers;
        }
        let admitted = group.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let changes: Vec<&Change> = admitted.map(|(request, _)| &request.change).collect();
        match self.make_durable(frames, &changes, batch) {
            Ok(()) => {
                self.position = position;
                answers
            }
            Err(AppendError::Undone(error)) => {
                // What was admitted is in neither log nor tree, so it never was.
                self.applier.forget();
                self.room.run_out(&error);
                vec![Err(error); group.len()]
            }
            Err(AppendError::Unknown(error)) => {
                let error = self.fail(error);
                vec![Err(error); group.len()]
            }
        }
    }

    fn make_durable(&mut self, frames: &[u8], changes: &[&Change], batch: Batch) -> Result<(), AppendError> {
        let first_of_segment = !self.log.has_frames();
        let began = Instant::now();
        self.log.append(frames)?;
        self.on_sync.tell(Synced { took: began.elapsed(), commits: changes.len() as u64 });
        for (hash, bytes) in changes.iter().flat_map(|change| change.all_blobs()) {
            self.write_blob(hash, bytes).map_err(AppendError::Unknown)?;
            self.unsynced.insert(hash);
        }
        self.applier.tree().apply(batch, &self.calls).map_err(AppendError::Unknown)?;
        for forget in changes.iter().flat_map(|change| &change.forget) {
            self.snapshots.remove(forget.task);
        }
        self.counters.note(changes, frames.len());
        if first_of_segment {
            self.backlog.segment_begun();
        }
        Ok(())
    }

    /// Writes a blob whose frame is synced, with the room kept in reserve if it must be: the commit can no longer be undone.
    fn write_blob(&self, hash: BlobHash, bytes: &[u8]) -> Result<(), StoreError> {
        match self.blobs.write(hash, bytes) {
            Err(error) if error.is_disk_full() => {
                self.room.run_out(&error);
                self.blobs.write(hash, bytes)
            }
            written => written,
        }
    }

    fn rotate(&mut self) {
        if !self.log.has_frames() || !self.health.is_good() {
            return;
        }
        let mut rotated = self.log.rotate(self.position + 1);
        if let Err(AppendError::Undone(error)) = &rotated {
            // A checkpoint gives back what the log takes, so it is worth the room kept in reserve.
            self.room.run_out(error);
            rotated = self.log.rotate(self.position + 1);
        }
        match rotated {
            Ok((path, bytes)) => {
                let blobs = std::mem::take(&mut self.unsynced);
                self.backlog.retire(Retired { segments: vec![path], bytes, blobs });
            }
            // The segment goes on, and is offered again.
            Err(AppendError::Undone(_)) => self.backlog.segment_begun(),
            Err(AppendError::Unknown(error)) => drop(self.fail(error)),
        }
    }

    fn fail(&self, error: StoreError) -> StoreError {
        let error = self.health.fail(error);
        self.backlog.wake();
        error
    }
}
