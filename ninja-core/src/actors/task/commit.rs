//! From a decision to the journal: the one place that appends to a task's log while the task is at work.
//!
//! Several decisions may become one commit, each made on the state that the one before it leaves. Nothing of a decision is
//! true before its commit is durable: not in the actor's state, not for those who follow.

use std::sync::Arc;

use bytes::Bytes;
use ractor::ActorProcessingErr;

use super::{TaskActor, TaskActorState};
use crate::{
    journal::{
        feed::{encode_feed, number},
        record::Entry,
        store::{Append, Commit, HeadUpdate},
    },
    machine::{Decided, Input, Refusal, Surroundings, TaskState, decide_through, feed_of, spent},
    usage_rows::counts_of,
};

/// What was decided and is not committed yet.
pub(super) struct Change {
    entries: Vec<Entry>,
    encoded: Vec<Bytes>,
    /// Small files that travel with the records.
    blobs: Vec<Bytes>,
    after: TaskState,
}

impl Change {
    /// Returns the state once it is committed.
    pub(super) fn after(&self) -> &TaskState {
        &self.after
    }

    /// Returns how much it puts into a commit.
    pub(super) fn bytes(&self) -> usize {
        self.encoded.iter().chain(&self.blobs).map(Bytes::len).sum()
    }

    /// Adds what was decided right after it, on its state.
    pub(super) fn extend(&mut self, next: Self) {
        self.entries.extend(next.entries);
        self.encoded.extend(next.encoded);
        self.blobs.extend(next.blobs);
        self.after = next.after;
    }
}

impl TaskActor {
    /// Decides what to record. The records bear the time at which they were decided, so that a replay decides with the same.
    pub(super) fn decide(&self, task: &TaskState, input: Input, blobs: Vec<Bytes>) -> Result<Change, Refusal> {
        let at = input.time(self.services.clock.now());
        let surroundings = Surroundings { now: at, new_uuid: &mut || self.services.clock.new_uuid() };
        let Decided { records, after } = decide_through(task, input, surroundings)?;
        let entries: Vec<Entry> = records.into_iter().map(|record| Entry { at, record }).collect();
        let encoded = entries.iter().map(|entry| entry.encode().into()).collect();
        Ok(Change { entries, encoded, blobs, after })
    }

    /// Appends records in one commit with the head and the owner's feed; only then are they state and published.
    pub(super) async fn commit(&self, state: &mut TaskActorState, change: Change) -> Result<(), ActorProcessingErr> {
        let Change { entries, encoded, blobs, after } = change;
        let (Some(before), Some(at)) = (state.task.as_deref(), entries.last().map(|entry| entry.at)) else {
            return Ok(());
        };
        let (owner, first_seq) = (after.submitted.owner, before.last_seq + 1);
        let told = feed_of(Some(before), &after);
        let newest = encoded.last().cloned();
        let commit = Commit {
            append: Some(Append { task: self.id, first_seq, records: encoded, head: head_update(&after) }),
            feed: told.iter().map(|body| (owner, encode_feed(at, body).into())).collect(),
            blobs,
            counts: counts_of(owner, spent(&after, &entries)),
            ..Commit::default()
        };
        self.services.failpoints.visit("task.commit");
        let committed = self.services.store.commit(commit).await?;
        self.services.tasks.keep_snapshot_if_due(first_seq - 1, &after, newest);
        state.task = Some(Arc::new(after));
        state.idle_offered = false;
        self.services.hub.publish_task(self.id, first_seq, &entries);
        self.services.hub.publish_user(owner, number(committed.feed_seqs, at, told));
        Ok(())
    }
}

/// Returns what the store is told of a task beside its records.
pub(crate) fn head_update(task: &TaskState) -> HeadUpdate {
    let bytes = serde_json::to_vec(&task.head()).expect("a head has string keys only");
    HeadUpdate { owner: task.submitted.owner, unfinished: task.end.is_none(), bytes: bytes.into() }
}
