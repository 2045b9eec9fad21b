//! Ending a task that takes its actor or the whole process down again and again: the one append that is not the task actor's, made when there is none.

use super::{Orchestrator, OrchestratorMsg};
use crate::{
    actors::roster::Mailbox,
    api::{ApiError, ErrorCode, FeedBody, TaskId, TaskStatus},
    journal::{
        feed::{encode_feed, number},
        record::{Entry, Record},
        store::{Append, Commit, HeadUpdate, StoreError},
    },
    machine::TaskHead,
    questions, task_rows,
};

impl Orchestrator {
    /// Writes `failed(poisoned)` from the head alone, since the log itself may be what brings the actor down.
    pub(super) async fn set_aside(&self, myself: &Mailbox<OrchestratorMsg>, task: TaskId, detail: String) {
        if let Err(error) = self.try_set_aside(myself, task, detail).await {
            tracing::error!(%task, %error, code = %error.code(), "failed to set a poisoned task aside");
        }
    }

    async fn try_set_aside(
        &self,
        myself: &Mailbox<OrchestratorMsg>,
        task: TaskId,
        detail: String,
    ) -> Result<(), StoreError> {
        let store = &self.services.store;
        let damaged = |error: serde_json::Error| StoreError::Corrupt(format!("the head of {task}: {error}"));
        let Some(bytes) = store.read_head(task)? else { return Ok(()) };
        let mut head: TaskHead = serde_json::from_slice(&bytes).map_err(damaged)?;
        let at = self.services.clock.now();
        let error = ApiError::new(ErrorCode::Poisoned, detail);
        let usage = head.summary.usage;
        let record =
            Record::TaskEnded { status: TaskStatus::Failed, error: Some(error.clone()), cancel_receipt: None, usage };
        let entry = Entry { at, record };
        let first_seq = head.last_seq + 1;
        head.last_seq = first_seq;
        let reserved = std::mem::take(&mut head.reserved);
        head.summary.status = TaskStatus::Failed;
        head.summary.waiting = None;
        head.waits_for_shared_budget = false;
        head.summary.error = Some(error);
        head.summary.ended_at = Some(at);
        let update = HeadUpdate {
            owner: head.owner,
            unfinished: false,
            bytes: serde_json::to_vec(&head).map_err(damaged)?.into(),
        };
        let append = Append { task, first_seq, records: vec![entry.encode().into()], head: update };
        let owner = head.owner;
        let told = FeedBody::TaskStatus { task, status: TaskStatus::Failed, progress: head.summary.progress };
        let feed = vec![(owner, encode_feed(at, &told).into())];
        let deletes = questions::keys_of(store.as_ref(), owner, task)?;
        let counts = vec![task_rows::ended(TaskStatus::Failed, at)];
        let _settling = self.services.ledger.settling().await;
        let commit = Commit { append: Some(append), feed, deletes, counts, ..Commit::default() };
        let committed = store.commit(commit).await?;
        self.services.unfinished.note(owner, task, false);
        self.services.watch.ended(TaskStatus::Failed);
        for task in self.services.ledger.give_back(owner, task, reserved, at) {
            myself.send_message(OrchestratorMsg::WakeTask { task, due: at }).ok();
        }
        self.services.hub.publish_task(task, first_seq, &[entry]);
        self.services.hub.publish_user(owner, number(committed.feed_seqs, at, vec![told]));
        Ok(())
    }
}
