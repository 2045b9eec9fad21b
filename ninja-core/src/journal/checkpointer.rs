//! The checkpointer: a thread that lets the log be forgotten, behind the writer's back and without holding it up.
//!
//! The order is what keeps the promise: blobs are synced, then the tree is flushed, then the segments go. Every
//! result is checked; the first failure makes the store read-only, and the segments stay.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
    time::{Duration, Instant},
};

use super::{
    backlog::{Backlog, Retired, Work},
    blobs::Blobs,
    calls::{Calls, DiskCall},
    health::Health,
    keys,
    room::Room,
    store::StoreError,
    tree::Tree,
    writer::WriterMsg,
};

/// The checkpointer's own state.
pub(super) struct Checkpointer {
    pub(super) tree: Arc<Tree>,
    /// The tree is opened anew when so many bytes of log went into it.
    pub(super) renew_bytes: u64,
    /// Those that did since it was opened.
    pub(super) written: u64,
    pub(super) blobs: Arc<Blobs>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) writer: Sender<WriterMsg>,
    pub(super) health: Health,
    pub(super) room: Room,
    pub(super) calls: Calls,
    /// The log's directory.
    pub(super) log: PathBuf,
    /// How long a segment may wait to be retired.
    pub(super) every: Duration,
}

impl Checkpointer {
    /// Runs until the writer has ended, and what it left is checkpointed.
    pub(super) fn run(mut self) {
        loop {
            match self.backlog.next(self.every) {
                Work::Checkpoint(retired) => self.checkpoint(&retired),
                // The writer has ended if it does not take this; the backlog says so next.
                Work::AskToRotate => drop(self.writer.send(WriterMsg::Rotate)),
                Work::End => break,
            }
        }
    }

    fn checkpoint(&mut self, retired: &Retired) {
        if self.health.is_good()
            && let Err(error) = self.try_checkpoint(retired)
        {
            self.health.fail(error);
        }
        self.backlog.checkpointed(retired.bytes);
    }

    fn try_checkpoint(&mut self, retired: &Retired) -> Result<(), StoreError> {
        self.room.prepare_flush(retired.bytes);
        self.blobs.sync(&retired.blobs)?;
        self.written += retired.bytes;
        match self.written < self.renew_bytes {
            true => self.tree.flush(&self.calls)?,
            false => self.renew()?,
        }
        for path in &retired.segments {
            self.calls.run(DiskCall::RemoveSegment, path, || fs::remove_file(path))?;
        }
        self.calls.sync_directory(&self.log)
    }

    fn renew(&mut self) -> Result<(), StoreError> {
        let began = Instant::now();
        self.tree.renew(&keys::position(), &self.calls)?;
        tracing::debug!(bytes = self.written, took = ?began.elapsed(), "opened the tree anew");
        self.written = 0;
        Ok(())
    }
}
