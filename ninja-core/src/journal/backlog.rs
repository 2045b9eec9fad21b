//! What the writer has finished and the checkpointer has not: retired segments and the blobs they carry.
//!
//! It also paces both: the checkpointer sleeps while nothing is written, and the writer waits while too much log is
//! not checkpointed, because what is not flushed stays in memory.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::health::Health;
use crate::api::BlobHash;

/// How much log may wait for a checkpoint before the writer does.
pub(super) const BACKLOG_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Segments that are no longer written to, and what must be synced before they go.
#[derive(Debug, Default)]
pub(super) struct Retired {
    /// The segments, oldest first.
    pub(super) segments: Vec<PathBuf>,
    /// Their length in all.
    pub(super) bytes: u64,
    /// The blobs that they carry.
    pub(super) blobs: HashSet<BlobHash>,
}

/// What the checkpointer should do.
#[derive(Debug)]
pub(super) enum Work {
    /// Checkpoint these, then say [`Backlog::checkpointed`].
    Checkpoint(Retired),
    /// Ask the writer to retire its segment.
    AskToRotate,
    /// Nothing more will come.
    End,
}

/// Shared by the writer and the checkpointer.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Retired,
    /// Bytes retired and not checkpointed, whether waiting or in hand.
    bytes: u64,
    /// Whether the writer's segment has frames that nobody asked it to retire.
    begun: bool,
    finished: bool,
}

impl Backlog {
    /// Says that the writer's segment has its first frames.
    pub(super) fn segment_begun(&self) {
        self.state().begun = true;
        self.changed.notify_all();
    }

    /// Hands segments to the checkpointer.
    pub(super) fn retire(&self, retired: Retired) {
        let mut state = self.state();
        state.begun = false;
        state.bytes += retired.bytes;
        state.waiting.bytes += retired.bytes;
        state.waiting.segments.extend(retired.segments);
        state.waiting.blobs.extend(retired.blobs);
        self.changed.notify_all();
    }

    /// Says that the writer has ended.
    pub(super) fn finish(&self) {
        self.state().finished = true;
        self.changed.notify_all();
    }

    /// Wakes whoever waits, to look at the store's health again.
    pub(super) fn wake(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    /// Returns how much log is not checkpointed.
    pub(super) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Waits until little enough log is not checkpointed, or the store has failed.
    pub(super) fn wait_for_room(&self, health: &Health) {
        let mut state = self.state();
        while state.bytes > BACKLOG_BYTES_MAX && health.is_good() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that a checkpoint is done.
    pub(super) fn checkpointed(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(bytes);
        self.changed.notify_all();
    }

    /// Waits for work. A segment that has been written to for `every` should be retired.
    pub(super) fn next(&self, every: Duration) -> Work {
        let mut state = self.state();
        let mut waited = false;
        loop {
            if !state.waiting.segments.is_empty() {
                return Work::Checkpoint(std::mem::take(&mut state.waiting));
            }
            if state.finished {
                return Work::End;
            }
            if state.begun && waited {
                state.begun = false;
                return Work::AskToRotate;
            }
            state = match state.begun {
                true => {
                    let (state, timeout) =
                        self.changed.wait_timeout(state, every).unwrap_or_else(PoisonError::into_inner);
                    waited = timeout.timed_out();
                    state
                }
                false => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
