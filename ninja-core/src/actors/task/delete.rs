//! Deleting a task that has ended, and words that are given on a condition: both look at the head alone, so a log that cannot
//! be folded is no obstacle.

use bytes::Bytes;
use ractor::{ActorProcessingErr, RpcReplyPort};

use super::{Start, TaskActor, TaskActorState, TaskMsg};
use crate::{
    actors::roster::Mailbox,
    api::FeedBody,
    journal::{
        feed::{encode_feed, number},
        store::{Commit, Forget, StoreError},
    },
    machine::{Refusal, TaskHead},
    task_rows,
};

impl TaskMsg {
    /// Answers whoever sent it that it is not done.
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::DecideApproval { reply, .. } | Self::Cancel { reply, .. } | Self::Steer { reply, .. } => {
                // Nobody waits any more where this fails.
                reply.send(Err(refusal)).ok();
            }
            Self::Delete { reply, .. } => drop(reply.send(Err(refusal))),
            Self::IfAt { then, .. } => then.refuse(refusal),
            Self::Begin { .. } | Self::CallsReported | Self::Wake { .. } | Self::Park => {}
        }
    }
}

impl TaskActor {
    /// Takes the condition off a message, or answers it where the condition does not hold. Nobody but this actor appends, so
    /// what holds now holds until the message is handled.
    pub(super) async fn unless_moved(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        message: TaskMsg,
    ) -> Result<Option<TaskMsg>, ActorProcessingErr> {
        let TaskMsg::IfAt { seqs, then } = message else { return Ok(Some(message)) };
        let found = match &state.task {
            Some(task) => Some(task.last_seq),
            None => self.head()?.map(|head| head.last_seq),
        };
        match found {
            Some(found) if seqs.contains(&found) => return Ok(Some(*then)),
            Some(found) => then.refuse(Refusal::Moved(found)),
            // The reply is dropped, and the caller looks for the task.
            None => {}
        }
        self.begin_or_leave(myself, state).await?;
        Ok(None)
    }

    /// Forgets the task where it has ended, and tells those who follow it and its owner.
    pub(super) async fn delete(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
        audit: Bytes,
        reply: RpcReplyPort<Result<(), Refusal>>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(head) = self.head()? else { return self.leave(myself) };
        if !head.summary.status.is_terminal() {
            reply.send(Err(Refusal::NotEnded)).ok();
            return self.begin_or_leave(myself, state).await;
        }
        let (at, told) = (self.services.clock.now(), FeedBody::TaskDeleted { task: self.id });
        let commit = Commit {
            forget: vec![Forget { task: self.id, last_seq: head.last_seq }],
            feed: vec![(head.owner, encode_feed(at, &told).into())],
            counts: vec![task_rows::deleted(head.summary.status, at)],
            audit: vec![audit],
            ..Commit::default()
        };
        self.services.failpoints.visit("task.delete");
        let committed = self.services.store.commit(commit).await?;
        self.services.hub.publish_gone(self.id, head.last_seq);
        self.services.hub.publish_user(head.owner, number(committed.feed_seqs, at, vec![told]));
        reply.send(Ok(())).ok();
        self.leave(myself)
    }

    fn head(&self) -> Result<Option<TaskHead>, ActorProcessingErr> {
        let Some(bytes) = self.services.store.read_head(self.id)? else { return Ok(None) };
        let damaged = |error| StoreError::Corrupt(format!("the head of {}: {error}", self.id));
        Ok(Some(serde_json::from_slice(&bytes).map_err(damaged)?))
    }

    /// Goes on as if the message that the actor was started for had not come.
    async fn begin_or_leave(
        &self,
        myself: &Mailbox<TaskMsg>,
        state: &mut TaskActorState,
    ) -> Result<(), ActorProcessingErr> {
        if state.task.is_some() {
            return Ok(());
        }
        match self.head()? {
            Some(head) if !head.summary.status.is_terminal() => self.begin(myself, state, Start::Log).await,
            Some(_) | None => self.leave(myself),
        }
    }

    /// Ends the actor of a task with which there is nothing to do, or that was deleted.
    #[expect(clippy::unnecessary_wraps, reason = "it is how a handler ends")]
    pub(super) fn leave(&self, myself: &Mailbox<TaskMsg>) -> Result<(), ActorProcessingErr> {
        myself.stop();
        Ok(())
    }
}
