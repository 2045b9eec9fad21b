//! From a decision to the journal: the one place that appends to a task's log while the task is at work.
//!
//! Several decisions may become one commit, each made on the state that the one before it leaves. Nothing of a decision is
//! true before its commit is durable: not in the actor's state, not for those who follow.

use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use ractor::ActorProcessingErr;

use super::{TaskActor, TaskActorState};
use crate::{
    actors::orchestrator::OrchestratorMsg,
    api::{FeedBody, TaskId, Timestamp, UserId},
    journal::{
        feed::{encode_feed, number},
        record::Entry,
        store::{Append, Commit, Committed, HeadUpdate, StoreError},
    },
    ledger::{Held, Settling, Warning},
    machine::{
        Amounts, Boundless, Decided, Input, Refusal, Room, Spent, Surroundings, TaskState, decide_through, feed_of,
        spent,
    },
    questions, task_rows,
    telemetry::Known,
    usage_rows::counts_of,
};

/// What was decided and is not committed yet.
pub(super) struct Change {
    entries: Vec<Entry>,
    encoded: Vec<Bytes>,
    /// Small files that travel with the records.
    blobs: Vec<Bytes>,
    /// What the audit log says of those who asked for it.
    audit: Vec<Bytes>,
    after: TaskState,
    /// What it takes of limits that are shared.
    held: Vec<Held>,
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

    /// Adds what the audit log says of whoever asked for it. Where nothing was decided, nothing is said: it was done before.
    pub(super) fn audited(mut self, entry: Bytes) -> Self {
        self.audit.push(entry);
        self
    }

    /// Adds what was decided right after it, on its state.
    pub(super) fn extend(&mut self, next: Self) {
        self.entries.extend(next.entries);
        self.encoded.extend(next.encoded);
        self.blobs.extend(next.blobs);
        self.audit.extend(next.audit);
        self.held.extend(next.held);
        self.after = next.after;
    }
}

/// What a commit changes in the books of shared limits.
struct Bill {
    user: UserId,
    held: Vec<Held>,
    at: Timestamp,
    /// What the task had reserved before, and what it has after.
    reserved: [Amounts; 2],
    spent: Vec<Spent>,
}

impl TaskActor {
    /// Decides what to record. The records bear the time at which they were decided, so that a replay decides with the same.
    pub(super) fn decide(&self, task: &TaskState, input: Input, blobs: Vec<Bytes>) -> Result<Change, Refusal> {
        let mut at = input.time(self.services.clock.now());
        let (Decided { records, after }, held) = match self.services.ledger.is_bounded() {
            true => {
                at = time_of_its_own(at, task.last_at);
                self.decide_within(task, input, at)?
            }
            false => (self.decide_in(&Boundless, task, input, at)?, None),
        };
        let entries: Vec<Entry> = records.into_iter().map(|record| Entry { at, record }).collect();
        let encoded = entries.iter().map(|entry| entry.encode().into()).collect();
        Ok(Change { entries, encoded, blobs, audit: Vec::new(), after, held: held.into_iter().collect() })
    }

    fn decide_in(&self, room: &dyn Room, task: &TaskState, input: Input, at: Timestamp) -> Result<Decided, Refusal> {
        let new_uuid = &mut || self.services.clock.new_uuid();
        decide_through(task, input, Surroundings { now: at, new_uuid, room })
    }

    /// Decides within what others leave of shared limits, again where they were faster, and holds what it takes.
    fn decide_within(&self, task: &TaskState, input: Input, at: Timestamp) -> Result<(Decided, Option<Held>), Refusal> {
        let (ledger, user) = (&self.services.ledger, task.submitted.owner);
        loop {
            let room = ledger.room(user, at);
            let decided = self.decide_in(&room, task, input.clone(), at)?;
            let Ok(held) = ledger.hold(&room, decided.after.taken().minus(task.taken())) else { continue };
            let mut wanted = room.into_refused();
            if !decided.after.waits_for_shared_budget() {
                wanted.clear();
            }
            self.wake(ledger.queue(self.id, user, wanted, at), at);
            return Ok((decided, Some(held)));
        }
    }

    /// Commits and tells the ledger, whatever becomes of this actor meanwhile: what was made durable is in the books.
    async fn commit_and_settle(
        &self,
        commit: Commit,
        settling: Settling,
        bill: Bill,
    ) -> Result<(Committed, (Vec<TaskId>, Vec<Warning>)), ActorProcessingErr> {
        let services = Arc::clone(&self.services);
        let both = tokio::spawn(async move {
            let _settling = settling;
            let committed = services.store.commit(commit).await?;
            let Bill { user, held, at, reserved, spent } = bill;
            Ok::<_, StoreError>((committed, services.ledger.settle(user, held, at, reserved, &spent)))
        });
        Ok(both.await??)
    }

    /// Tells a user of the limits that are nearly used up.
    async fn warn(&self, user: UserId, at: Timestamp, warnings: Vec<Warning>) -> Result<(), StoreError> {
        let tell = |Warning { of, limit, used, most }| FeedBody::BudgetWarned { of, limit, used, most };
        let told: Vec<FeedBody> = warnings.into_iter().map(tell).collect();
        let feed = told.iter().map(|body| (user, encode_feed(at, body).into())).collect();
        let committed = self.services.store.commit(Commit { feed, ..Commit::default() }).await?;
        self.services.hub.publish_user(user, number(committed.feed_seqs, at, told));
        Ok(())
    }

    /// Sends word to tasks that there is room for what they wait for.
    fn wake(&self, tasks: Vec<TaskId>, due: Timestamp) {
        for task in tasks {
            // Where the orchestrator has ended, its successor finds them by itself.
            self.orchestrator.send_message(OrchestratorMsg::WakeTask { task, due }).ok();
        }
    }

    /// Appends records in one commit with the head and the owner's feed; only then are they state and published.
    pub(super) async fn commit(&self, state: &mut TaskActorState, change: Change) -> Result<(), ActorProcessingErr> {
        let Change { entries, encoded, blobs, audit, after, held } = change;
        let (Some(before), Some(at)) = (state.task.as_deref(), entries.last().map(|entry| entry.at)) else {
            return Ok(());
        };
        let (owner, first_seq) = (after.submitted.owner, before.last_seq + 1);
        let told = feed_of(Some(before), &after);
        let (newest, spent) = (encoded.last().cloned(), spent(&after, &entries));
        let questions::Changes { puts, deletes } = questions::changes(Some(before), &after, first_seq, &entries);
        let mut counts = counts_of(owner, &spent);
        counts.extend(task_rows::counts_of(before.end.as_ref().map(|end| end.status), &entries));
        let commit = Commit {
            append: Some(Append { task: self.id, first_seq, records: encoded, head: head_update(&after) }),
            feed: told.iter().map(|body| (owner, encode_feed(at, body).into())).collect(),
            puts,
            deletes,
            blobs,
            counts,
            audit,
            ..Commit::default()
        };
        self.services.failpoints.visit("task.commit");
        let bill =
            Bill { user: owner, held, at, reserved: [before.reserved(), after.reserved()], spent: spent.clone() };
        let settling = self.services.ledger.settling().await;
        let (committed, (ready, warnings)) = match self.services.ledger.is_bounded() {
            true => self.commit_and_settle(commit, settling, bill).await?,
            false => (self.services.store.commit(commit).await?, Default::default()),
        };
        if before.end.is_some() != after.end.is_some() {
            self.services.unfinished.note(owner, self.id, after.end.is_none());
        }
        self.wake(ready, at);
        let providers = self.services.providers.now();
        let known = Known { providers: &providers, tools: &self.services.tools };
        state.watch.committed(&known, before, &after, &entries, &spent);
        self.services.tasks.keep_snapshot_if_due(first_seq - 1, &after, newest);
        state.task = Some(Arc::new(after));
        state.idle_offered = false;
        self.services.hub.publish_task(self.id, first_seq, &entries);
        self.services.hub.publish_user(owner, number(committed.feed_seqs, at, told));
        if !warnings.is_empty() {
            self.warn(owner, at, warnings).await?;
        }
        Ok(())
    }
}

/// Returns what the store is told of a task beside its records.
pub(crate) fn head_update(task: &TaskState) -> HeadUpdate {
    let bytes = serde_json::to_vec(&task.head()).expect("a head has string keys only");
    HeadUpdate { owner: task.submitted.owner, unfinished: task.end.is_none(), bytes: bytes.into() }
}

/// Returns a time that no other decision of the task bears, so that a replay knows which records were decided together: what
/// there was room for is seen in them.
fn time_of_its_own(at: Timestamp, last: Timestamp) -> Timestamp {
    let tick = SignedDuration::from_micros(1);
    let is_same = at <= last && last < at + SignedDuration::from_millis(1);
    if is_same { last + tick } else { at }
}
